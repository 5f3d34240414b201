"""Removes secrets from the answers about a Redis server's settings and users. `rules` decides which commands need it.

Nothing of a removed secret remains, neither a length nor a count: an empty text, an empty list. Selected by name,
whatever the values are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .values import Unreadable, Value, bulk, read_all, written

SECRET_SETTINGS = (
    b"requirepass",
    b"masterauth",
    b"masteruser",
    # Valkey's names.
    b"primaryauth",
    b"primaryuser",
    b"tls-key-file-pass",
    b"tls-client-key-file-pass",
    b"sentinel-pass",
)

# Also names that a fork or a module of the server may use: an empty value does no harm.
_SECRET = re.compile(rb".*(pass|passwd|password|passphrase|auth|secret|token|key)", re.IGNORECASE)

# `user NAME on #<SHA-256 of a password> ~* ...`.
_USER_AND_NAME = 2
_HASH = re.compile(rb"[#<>!].*", re.DOTALL)

Blank = Callable[[Value], Value]


def blanked(answer: bytes, blank: Blank) -> bytes | None:
    """A whole answer without its secrets, with interleaved RESP3 pushes unchanged; `None`: it can't be parsed."""
    try:
        values = read_all(answer)
        return b"".join(written(one if one.kind in (b">", b"-") else blank(one)) for one in values)
    except Unreadable:
        return None


def settings(value: Value) -> Value:
    """The answer to CONFIG GET: alternating names and values. Raises: Unreadable."""
    return _named(value, lambda name: bulk(b"") if _is_secret(name) else None)


def users(value: Value) -> Value:
    """The answer to ACL LIST: one line per user. Raises: Unreadable."""
    return value.with_items([bulk(_without_hashes(_text(one))) for one in _items(value)])


def user(value: Value) -> Value:
    """The answer to ACL GETUSER; nothing if there is no such user. Raises: Unreadable."""
    if value.items is None and value.text is None:
        return value
    return _named(value, lambda name: Value(b"*", None, ()) if name == b"passwords" else None)


def _named(value: Value, instead: Callable[[bytes], Value | None]) -> Value:
    items = _items(value)
    if len(items) % 2:
        raise Unreadable
    found: list[Value] = []
    for name, one in zip(items[::2], items[1::2], strict=True):
        given = instead(_text(name).lower())
        found += (name, one if given is None else given)
    return value.with_items(found)


def _is_secret(name: bytes) -> bool:
    return name in SECRET_SETTINGS or _SECRET.fullmatch(name) is not None


def _without_hashes(line: bytes) -> bytes:
    words = line.split(b" ")
    kept = [word for word in words[_USER_AND_NAME:] if not _HASH.fullmatch(word)]
    return b" ".join([*words[:_USER_AND_NAME], *kept])


def _items(value: Value) -> Sequence[Value]:
    if value.items is None:
        raise Unreadable
    return value.items


def _text(value: Value) -> bytes:
    if value.text is None:
        raise Unreadable
    return value.text
