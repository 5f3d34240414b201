"""Masking a stream: nothing of a secret passes, wherever it is split, and nothing else changes."""

from __future__ import annotations

import base64
import itertools
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from connvault_jupyter.relays.masking import Masker, spellings

_SECRET = 's3cr3t/päss+w"ord='


def _through(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    return b"".join(masker(piece) for piece in pieces if piece) + masker(b"")


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(0, 400), max_size=8))
def test_when_split_anywhere_the_secret_is_masked(before: bytes, after: bytes, cuts: list[int]) -> None:
    """Each spelling, each place of each cut; the length stays."""
    for spelling in spellings(_SECRET):
        data = before + spelling + after
        found = _through(Masker(spellings(_SECRET)), data, cuts)
        assert spelling not in found
        assert len(found) == len(data)


@given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=8))
@example(b"s3cr3t/", [3])
@example(b"s3cs3cr3", [1, 4])
def test_when_there_is_no_secret_nothing_changes(data: bytes, cuts: list[int]) -> None:
    """What only begins like a secret is let go as it was."""
    patterns = spellings(_SECRET)
    assume(not any(pattern in data for pattern in patterns))
    assert _through(Masker(patterns), data, cuts) == data


@pytest.mark.parametrize("offset", range(3))
def test_when_in_the_middle_of_base64_it_is_masked(offset: int) -> None:
    """`user:password` in Base64 has the password at a place that depends on the user's length."""
    text = base64.b64encode(b"u" * offset + _SECRET.encode() + b"tail")
    found = _through(Masker(spellings(_SECRET)), text, [])
    core = base64.b64encode(b"\0" * offset + _SECRET.encode())[4:-4]
    assert core in text
    assert core not in found
    assert len(found) == len(text)


def test_when_spelled_for_json_or_a_url_it_is_known() -> None:
    """The forms in which services echo what they got."""
    found = spellings(_SECRET)
    assert json.dumps(_SECRET)[1:-1].encode() in found
    assert quote(_SECRET, safe="").encode() in found
    assert _SECRET.encode() in found


def test_when_short_it_is_no_pattern() -> None:
    """Three characters are found in any text: masking them would destroy answers and hide nothing."""
    assert not Masker([b"abc"])
    assert Masker([b"abc"])(b"xabcx") == b"xabcx"


def test_when_one_secret_holds_another_the_longer_is_masked_whole() -> None:
    """No tail of the longer one is left over."""
    assert Masker([b"abcd", b"abcdefgh"])(b"-abcdefgh-") == b"-********-"
