"""Decodes the content codings of an answer, so that its content can be searched (RFC 9110 8.4.1). No I/O.

Services are only asked for `gzip`. Some answer in other codings, so those of browsers are supported too; their
libraries are imported when needed.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

# The maximum output of one step, however small its input: a megabyte of zeros is a kilobyte of gzip. brotli treats it
# as approximate.
_STEP_BYTES = 256 * 1024

# `aws-chunked` says how an object was uploaded to an object store, not how it is returned.
_NONE = frozenset({"identity", "aws-chunked"})

# RFC 9659: more than 8 MiB of window is no content coding of HTTP.
_MAX_WINDOW_LOG = 23

# Two layers happen, where a proxy encodes what is already encoded. More is an attack.
_MAX_CODINGS = 3


class BadCoding(Exception):
    """The content does not match its coding, or ends too early."""


class Coding(Protocol):
    """One coding of one content."""

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """The content, in pieces that are bounded. Raises: BadCoding."""

    def finish(self) -> None:
        """The stream has ended. Raises: BadCoding: it should not have."""


class Decoding:
    """Decodes several codings that were applied one after another."""

    def __init__(self, codings: Iterable[str]) -> None:
        self._steps = [_CODINGS[coding]() for coding in codings][::-1]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The content, in pieces. Raises: BadCoding."""
        return _through(self._steps, data)

    def finish(self) -> None:
        """The stream has ended. Raises: BadCoding: it should not have."""
        for step in self._steps:
            step.finish()


def _through(steps: list[Coding], data: bytes) -> Iterator[bytes]:
    if not steps:
        yield data
        return
    for piece in steps[0].feed(data):
        yield from _through(steps[1:], piece)


class _Inflating:
    """gzip or deflate, the latter with or without zlib's frame: servers differ."""

    def __init__(self, *, gzip: bool) -> None:
        # 16 + 15: gzip's frame with any window (zlib manual, inflateInit2).
        self._gzip = gzip
        self._inflate = zlib.decompressobj(31 if self._gzip else 15)
        self._raw_possible = not self._gzip
        self._held = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        if self._raw_possible:
            # The first two bytes together show whether there is a zlib header (RFC 1950 2.2).
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
        if self._begun and not self._inflate.eof:
            raise BadCoding


class _Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        import brotli  # type: ignore[import-untyped]

        self._error: type[Exception] = brotli.error
        self._decompressor = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        while True:
            try:
                piece: bytes = self._decompressor.process(data, output_buffer_limit=_STEP_BYTES)
            except self._error:
                raise BadCoding from None
            data = b""
            if piece:
                yield piece
            # It accepts more input before all output was read.
            if self._decompressor.is_finished() or (not piece and self._decompressor.can_accept_more_data()):
                return

    def finish(self) -> None:
        if self._begun and not self._decompressor.is_finished():
            raise BadCoding


class _Zstandard:
    """RFC 8878, frames one after another."""

    def __init__(self) -> None:
        self._zstd: Any = _zstd()
        self._frame = self._next_frame()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        while data or not (self._frame.needs_input or self._frame.eof):
            if self._frame.eof:
                self._frame = self._next_frame()
            try:
                piece: bytes = self._frame.decompress(data, max_length=_STEP_BYTES)
            except self._zstd.ZstdError:
                raise BadCoding from None
            data = self._frame.unused_data if self._frame.eof else b""
            if piece:
                yield piece

    def finish(self) -> None:
        if self._begun and not self._frame.eof:
            raise BadCoding

    def _next_frame(self) -> Any:
        limit = {self._zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        return self._zstd.ZstdDecompressor(options=limit)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


_CODINGS: Mapping[str, Callable[[], Coding]] = {
    "gzip": lambda: _Inflating(gzip=True),
    "x-gzip": lambda: _Inflating(gzip=True),
    "deflate": lambda: _Inflating(gzip=False),
    "br": _Brotli,
    "zstd": _Zstandard,
}


def codings_of(values: list[str]) -> tuple[str, ...] | None:
    """The codings to decode, in the order in which they were applied; `None`: one is unknown."""
    names = tuple(name for name in values if name not in _NONE)
    return names if len(names) <= _MAX_CODINGS and all(name in _CODINGS for name in names) else None
