"""Parses and writes a Redis server's answers (RESP2, RESP3). It knows no commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A user's selectors lie four deep.
_MAX_DEPTH = 16

_BULK = b"$!="
_LISTS = b"*~>"
_MAPS = b"%|"


class Unreadable(Exception):
    """Not a valid answer, or an incomplete one."""


@dataclass(frozen=True)
class Value:
    """`kind` is its first byte. `text`: a scalar's value, `None` for a list or a null. `items`: of a list, or
    alternating names and values of a map."""

    kind: bytes
    text: bytes | None = None
    items: tuple[Value, ...] | None = None

    def with_items(self, items: Sequence[Value]) -> Value:
        return Value(self.kind, None, tuple(items))


def bulk(text: bytes) -> Value:
    return Value(b"$", text)


def read_all(data: bytes) -> list[Value]:
    """Raises: Unreadable."""
    found, at = [], 0
    while at < len(data):
        value, at = _read(data, at, 0)
        found.append(value)
    return found


def written(value: Value) -> bytes:
    if value.items is not None:
        count = len(value.items) // (2 if value.kind in _MAPS else 1)
        return value.kind + b"%d\r\n" % count + b"".join(map(written, value.items))
    if value.text is None:
        return value.kind + (b"\r\n" if value.kind == b"_" else b"-1\r\n")
    if value.kind in _BULK:
        return value.kind + b"%d\r\n%b\r\n" % (len(value.text), value.text)
    return value.kind + value.text + b"\r\n"


def _read(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    end = data.find(b"\r\n", at)
    if end < 0 or depth > _MAX_DEPTH:
        raise Unreadable
    kind, head, at = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b"_":
        return Value(kind), at
    if kind in _BULK or kind in _LISTS or kind in _MAPS:
        if head == b"-1":
            return Value(kind), at
        if not head.isdigit() or int(head) > len(data):
            raise Unreadable
        count = int(head)
    elif kind and kind in b"+-:,#(":
        return Value(kind, head), at
    else:
        raise Unreadable
    if kind in _BULK:
        end = at + count
        if data[end : end + 2] != b"\r\n":
            raise Unreadable
        return Value(kind, data[at:end]), end + 2
    items = []
    for _ in range(count * 2 if kind in _MAPS else count):
        item, at = _read(data, at, depth + 1)
        items.append(item)
    return Value(kind, None, tuple(items)), at
