"""Takes the content coding off an answer, so that what it says can be looked through (RFC 9110 8.4.1). No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

# What comes out of one step, however small what goes in: a megabyte of zeros is a kilobyte of gzip.
_STEP_BYTES = 256 * 1024

_GZIP = frozenset({"gzip", "x-gzip"})
# `aws-chunked` says how an object was sent to an object store, not how it comes back.
_NONE = frozenset({"identity", "aws-chunked"})


class BadCoding(Exception):
    """The content is not what its coding says, or ends too early."""


class Inflating:
    """gzip or deflate, the latter with or without zlib's frame: servers differ."""

    def __init__(self, coding: str) -> None:
        # 16 + 15: gzip's frame with any window (zlib manual, inflateInit2).
        self._gzip = coding in _GZIP
        self._inflate = zlib.decompressobj(31 if self._gzip else 15)
        self._raw_possible = not self._gzip
        self._held = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The content, in pieces. Raises: BadCoding."""
        self._begun = self._begun or bool(data)
        if self._raw_possible:
            # Only the first two bytes together tell whether zlib's frame is there (RFC 1950 2.2).
            data = self._held + data
            if len(data) < 2:
                self._held = data
                return
        while data:
            try:
                piece = self._inflate.decompress(data, _STEP_BYTES)
            except zlib.error:
                if not self._raw_possible:
                    raise BadCoding from None
                self._inflate, self._raw_possible = zlib.decompressobj(-15), False
                continue
            self._raw_possible = False
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece
            if self._inflate.eof and self._inflate.unused_data:
                if not self._gzip:
                    raise BadCoding
                # Members one after another (RFC 1952 2.2).
                data = self._inflate.unused_data
                self._inflate = zlib.decompressobj(31)

    def finish(self) -> None:
        """The stream has ended. Raises: BadCoding: it should not have."""
        if self._begun and not self._inflate.eof:
            raise BadCoding


def coding_of(values: list[str]) -> str | None:
    """The one coding to take off; empty: there is none; `None`: one or more that nobody asked for."""
    names = [name for name in values if name not in _NONE]
    if not names:
        return ""
    if len(names) == 1 and (names[0] in _GZIP or names[0] == "deflate"):
        return names[0]
    return None
