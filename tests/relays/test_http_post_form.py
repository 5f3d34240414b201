"""The beginning of a presigned POST: its fields, read strictly, and written anew."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from connvault_jupyter.relays.http.bodies import BadBody
from connvault_jupyter.relays.http.client_auth import HandleToken
from connvault_jupyter.relays.http.post_form import PostForm, post_form


def part(name: str, value: bytes, more: str = "") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
        name.encode(),
        more.encode(),
        value,
    )


FILE = (
    part("file", b"--b is in it\r\n", '; filename="f"\r\nContent-Type: a/b')
    + part("late", b"x")
    + b"--b--\r\n"
)


def policy(*conditions: Any) -> bytes:
    return base64.b64encode(json.dumps({"expiration": "2030", "conditions": conditions}).encode())


def read(body: bytes) -> PostForm:
    form = post_form(body, b"b")
    assert form is not None
    return form


def test_fields_are_those_before_the_file() -> None:
    """Values as they are, with lines of their own in them."""
    start = part("key", b"a\r\nb\r\n--c") + part("policy", b"p")
    form = read(start + FILE)
    assert form.fields == [("key", b"a\r\nb\r\n--c"), ("policy", b"p")]
    assert form.length == len(start)


def test_a_part_of_a_post_form_is_not_enough() -> None:
    """At every cut before the head of the file's part."""
    start = part("key", b"k") + part("policy", b"p")
    known = len(start) + FILE.index(b"\r\n\r\n") + 4
    for end in range(known):
        assert post_form((start + FILE)[:end], b"b") is None
    assert read((start + FILE)[:known]).length == len(start)


@pytest.mark.parametrize(
    "body",
    [
        b"no form at all",
        b"--c\r\nContent-Disposition: form-data; name=key\r\n\r\nk\r\n--c--",
        b"--b\r\nContent-Type: text/plain\r\n\r\nk\r\n--b--\r\n",
        part("key", b"k") + b"--b--\r\n\r\n",
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    """Nor what has no file."""
    with pytest.raises(BadBody):
        post_form(body, b"b")


def test_what_signs_is_written_anew_and_the_rest_stays() -> None:
    """Of both versions, in any case."""
    login = ("AWSAccessKeyId", "signature", "Policy", "X-Amz-Signature", "x-amz-credential", "x-amz-date",
             "x-amz-algorithm", "x-amz-security-token")  # fmt: skip
    start = part("key", b"k") + b"".join(part(name, b"theirs") for name in login) + part("acl", b"private")
    made = read(start + FILE).signed({"policy": "ours"})
    assert b"theirs" not in made
    assert read(made + FILE).fields == [("key", b"k"), ("acl", b"private"), ("policy", b"ours")]


def test_a_post_policy_loses_what_it_says_of_the_login() -> None:
    """In each form that a condition has."""
    ours = [{"bucket": "b"}, ["starts-with", "$key", "k"], ["content-length-range", 1, 9]]
    theirs = [{"x-amz-date": "d"}, ["eq", "$X-Amz-Credential", "c"], {"X-Amz-Algorithm": "a"}]
    form = read(part("policy", policy(*theirs, *ours)) + FILE)
    assert form.policy == {"expiration": "2030", "conditions": ours}


@pytest.mark.parametrize(
    "text", [b"%%%", base64.b64encode(b"no JSON"), base64.b64encode(b"[]"), b"", policy()[:-4]]
)
def test_a_policy_that_can_not_be_read_is_refused(text: bytes) -> None:
    """Nothing is signed then."""
    with pytest.raises(BadBody):
        _ = read(part("policy", text) + FILE).policy


def test_the_token_is_found_in_each_field_of_a_login() -> None:
    """As a word of its own."""
    token = HandleToken(lambda word: word == "the-token", len("the-token"))
    assert read(part("x-amz-credential", b"the-token/2026/r/s3/aws4_request") + FILE).gives(token)
    assert read(part("AWSAccessKeyId", b"the-token") + FILE).gives(token)
    assert not read(part("key", b"the-tokens") + FILE).gives(token)


def test_a_part_whose_head_has_no_end_is_refused_early() -> None:
    """It would be looked through again with each byte that comes."""
    with pytest.raises(BadBody):
        post_form(b"--b\r\n" + b"content-disposition:form-data" * 100, b"b")
