"""The beginning of a presigned POST: its fields, read strictly, and written anew."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from connvault_jupyter.relays.http.bodies import BadBody
from connvault_jupyter.relays.http.client_auth import HandleToken
from connvault_jupyter.relays.http.heads import RequestHead, request_head
from connvault_jupyter.relays.http.post_form import PostForm, form_at_start, post_form
from connvault_jupyter.relays.http.streams import Gone, Incoming
from connvault_jupyter.relays.limits import LIMITS
from tests.support.relays.scripted_streams import Scripted


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


def test_a_field_may_be_empty_or_begin_as_a_part_does() -> None:
    """Only at the beginning of a line of its own it would be another part."""
    form = read(part("a", b"") + part("b", b"--b is in it") + part("c", b"") + FILE)
    assert form.fields == [("a", b""), ("b", b"--b is in it"), ("c", b"")]


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
    theirs = [
        ["eq", "$x-amz-date"],
        {"x-amz-date": "d"},
        ["eq", "$X-Amz-Credential", "c"],
        {"X-Amz-Algorithm": "a"},
    ]
    form = read(part("key", b"k") + part("policy", policy(*theirs, *ours)) + FILE)
    assert form.policy == {"expiration": "2030", "conditions": ours}


@pytest.mark.parametrize(
    "text",
    [b"%%%", base64.b64encode(b"no JSON"), base64.b64encode(b"[]"), b"", policy()[:-4], b"!" + policy()],
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
    assert read(part("key", b"k") + part("AWSAccessKeyId", b"the-token") + FILE).gives(token)
    assert not read(part("key", b"the-tokens") + FILE).gives(token)


def test_a_part_whose_head_has_no_end_is_refused_early() -> None:
    """It would be looked through again with each byte that comes."""
    with pytest.raises(BadBody):
        post_form(b"--b\r\n" + b"content-disposition:form-data" * 100, b"b")


@pytest.mark.parametrize(
    ("head", "value"),
    [
        (b'form-data; name="key"', b"key"),
        (b"FORM-DATA;name=key", b"key"),
        (b'form-data; a=b;\tname="key"; c=d', b"key"),
        (b'form-data; name=""', b""),
    ],
)
def test_a_fields_name_is_read_however_it_is_written(head: bytes, value: bytes) -> None:
    """RFC 7578 4.2, as servers read it."""
    body = b"--b\r\nContent-Type: a/b\r\nCONTENT-DISPOSITION: " + head + b"\r\n\r\nv\r\n" + FILE
    assert read(body).fields == [(value.decode(), b"v")]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("file", ""),
        ("FILE", ""),
        ("upload", '; filename="a"'),
        ("upload", ";FileName=a"),
        ("upload", ";\tfilename*=a"),
    ],
)
def test_a_file_is_what_is_called_so_or_has_a_name(name: str, more: str) -> None:
    """The form's fields end before it."""
    start = part("key", b"k")
    form = read(start + part(name, b"content", more))
    assert (form.fields, form.length) == ([("key", b"k")], len(start))


def test_the_head_of_a_part_may_have_a_kilobyte() -> None:
    """With its boundary, and no more."""
    empty = len(part("", b"").partition(b"\r\n\r\n")[0])
    assert read(part("k" * (1024 - empty), b"v") + FILE).fields == [("k" * (1024 - empty), b"v")]
    with pytest.raises(BadBody, match="too long"):
        post_form(part("k" * (1025 - empty), b"v") + FILE, b"b")


def test_the_head_of_a_part_without_its_end_may_have_a_kilobyte_too() -> None:
    """More of it is not waited for."""
    start = b"--b\r\ncontent-disposition:".ljust(1024)
    for known in (start, start + b"\r\n\r", start + b"\r\n "):
        assert post_form(known, b"b") is None
    with pytest.raises(BadBody, match="too long"):
        post_form(start + b"\r\n  ", b"b")


def test_a_form_in_a_trace_shows_none_of_its_fields() -> None:
    """They are a login."""
    shown = repr(read(part("x-amz-signature", b"canary") + FILE))
    assert "canary" not in shown
    assert "boundary" not in shown
    assert "length=" in shown


@pytest.mark.parametrize("condition", [["content-length-range"], [], "x-amz-date", None, ["eq"], {}])
def test_a_condition_of_another_form_stays_in_the_policy(condition: Any) -> None:
    """The service judges it."""
    assert read(part("Policy", policy(condition)) + FILE).policy["conditions"] == [condition]


def test_a_form_without_a_policy_has_none() -> None:
    """Nothing is signed then."""
    with pytest.raises(BadBody, match="policy"):
        _ = read(part("key", b"k") + FILE).policy


BODY = part("key", b"k") + part("Policy", policy()) + FILE


def posted(
    *headers: str,
    method: str = "POST",
    kind: str = "multipart/form-data; boundary=b",
    length: int = len(BODY),
) -> RequestHead:
    lines = [f"{method} /bucket HTTP/1.1", "Host: h", f"Content-Type: {kind}", *headers]
    if not any("chunked" in header for header in headers):
        lines.append(f"Content-Length: {length}")
    return request_head("\r\n".join([*lines, "", ""]).encode("latin-1"))


def incoming_of(*said: bytes, late: int = 0) -> tuple[Incoming, Scripted]:
    stream = Scripted(*said, late=late)
    return Incoming(stream, limits=LIMITS, idle=lambda: None), stream


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b"',
        "multipart/form-data; boundary=b;charset=utf-8",
        'multipart/form-data; boundary="b"; charset=utf-8',
        "Multipart/Form-Data ;charset=utf-8; BOUNDARY=b",
    ],
)
def test_a_presigned_post_is_read_up_to_its_file_and_stays_in_the_buffer(kind: str) -> None:
    """However it comes in, and even if nothing comes for a while."""
    incoming, stream = incoming_of(*(BODY[at : at + 7] for at in range(0, len(BODY), 7)), late=3)
    form = form_at_start(incoming, posted(kind=kind))
    assert form is not None
    assert [name for name, _ in form.fields] == ["key", "Policy"]
    assert incoming.buffer + stream.left() == BODY
    assert not stream.sent
    stream.close()


def test_a_presigned_post_that_awaits_a_word_gets_it() -> None:
    """Nothing can be said of it before its fields are there."""
    incoming, stream = incoming_of(BODY)
    assert form_at_start(incoming, posted("Expect: 100-continue")) is not None
    assert stream.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    stream.close()


@pytest.mark.parametrize(
    "head",
    [
        posted(method="PUT"),
        posted("Transfer-Encoding: chunked"),
        posted(kind="text/plain; boundary=b"),
        posted(kind="x-multipart/form-data; boundary=b"),
        posted(kind="multipart/form-data"),
        posted(kind="multipart/form-data; boundary="),
    ],
    ids=["no POST", "no length", "a text", "another type", "no boundary", "an empty boundary"],
)
def test_another_request_is_no_presigned_post(head: RequestHead) -> None:
    """It is not even read."""
    incoming, stream = incoming_of(BODY)
    assert form_at_start(incoming, head) is None
    assert stream.left() == BODY
    stream.close()


def test_a_form_that_nobody_signed_is_no_presigned_post() -> None:
    """It goes up as it is."""
    incoming, stream = incoming_of(part("key", b"policy") + FILE)
    assert form_at_start(incoming, posted(length=len(part("key", b"policy") + FILE))) is None
    stream.close()


def test_a_boundary_of_seventy_characters_is_read() -> None:
    """RFC 2046 5.1.1: the longest."""
    boundary = "b" * 70
    body = BODY.replace(b"--b", f"--{boundary}".encode())
    incoming, stream = incoming_of(body)
    head = posted(kind=f"multipart/form-data; boundary={boundary}", length=len(body))
    form = form_at_start(incoming, head)
    assert form is not None
    assert form.boundary == boundary.encode()
    stream.close()


def test_a_form_whose_body_ends_before_its_file_is_refused() -> None:
    """What follows is the client's next request, and no file of this one."""
    start = BODY.partition(b'--b\r\nContent-Disposition: form-data; name="file"')[0]
    incoming, stream = incoming_of(BODY)
    with pytest.raises(BadBody, match="no file"):
        form_at_start(incoming, posted(length=len(start)))
    stream.close()


@pytest.mark.parametrize("more", [0, 1])
def test_a_form_may_have_64_kilobytes_before_its_file(more: int) -> None:
    """S3 takes 20. One byte more is not waited for."""
    rest = len(FILE[: FILE.index(b"\r\n\r\n") + 4])
    most = 64 * 1024
    start = part("policy", b"x" * (most - rest - len(part("policy", b"")) + more))
    assert len(start) + rest == most + more
    incoming, stream = incoming_of(start + FILE[: rest - 1], FILE[rest - 1 :])
    head = posted(length=len(start + FILE))
    # The buffer is as long as what was read at once, so that one byte decides.
    incoming.buffer = stream.recv(most)
    if more:
        with pytest.raises(BadBody, match="too much data"):
            form_at_start(incoming, head)
    else:
        assert form_at_start(incoming, head) is not None
    stream.close()


def test_a_presigned_post_that_is_cut_off_is_no_form() -> None:
    """The client has gone."""
    incoming, stream = incoming_of(BODY[:30])
    with pytest.raises(Gone):
        form_at_start(incoming, posted())
    stream.close()
