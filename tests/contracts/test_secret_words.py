"""What looks like a secret, by name or by form, and how long it takes to say so."""

from __future__ import annotations

import time

import pytest

from connvault_jupyter.contracts.secret_words import (
    has_login,
    holds_secret,
    looks_secret,
    mentions_secret,
    secret_values,
)

# The old patterns took 3 s and more for these 60 kB, and hours for what fits into a frame.
PIECES = [
    "a",
    "a-",
    "a=",
    "a ",
    "://:",
    "://a:",
    "://",
    "-a ",
    "--",
    "-----BEGIN A",
    "PRIVATE KEY",
    "=",
    ": ",
    "é",
]
LONG_CHARS = 60_000
LIMIT_S = 1.0


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("before", ["", "://", "-----BEGIN ", "--"])
def test_a_long_text_takes_no_longer_than_its_length(before: str, piece: str) -> None:
    """The broker reads what a notebook suggests, and what a teammate commits, with its lock held."""
    text = (before + piece * LONG_CHARS)[:LONG_CHARS]
    began = time.process_time()
    secret_values({"host": text}, plain_fields={"host"})
    mentions_secret(text)
    looks_secret(text)
    assert time.process_time() - began < LIMIT_S


@pytest.mark.parametrize(
    "text",
    [
        "password=x",
        "password = x",
        "2token=x",
        "x=token=y",
        "host=a;api-key =\tx",
        "https://ada:secret@example.org",
        "://a:://b:c@d",
        "https://a:b:c@d",
        "-----BEGIN EC PRIVATE KEY-----",
    ],
)
def test_a_secret_in_a_value_is_found(text: str) -> None:
    """A setting with the name of a secret, a login in an address, a key."""
    assert holds_secret(text)
    assert mentions_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "password",
        "password=",
        "password = \n",
        "token_url=https://example.org",
        "https://example.org:8443/a@b",
        "https://ada@example.org:1",
        "=password",
        "a=b",
        "host=é",
    ],
)
def test_what_holds_no_secret_is_none(text: str) -> None:
    """A name without a value, an address of where secrets come from, a user."""
    assert not holds_secret(text)


def test_a_colon_assigns_in_free_text_alone() -> None:
    """`API key: billing` is a description where a field is meant."""
    assert mentions_secret("token: abc")
    assert mentions_secret("--password abc")
    assert not holds_secret("token: abc")
    assert not has_login("https://example.org")
