"""Bodies of HTTP/1.1 messages, in pieces: what belongs to one, and where it ends (RFC 9112 6, 7). No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

# A chunk's first line with its extensions, and all trailers together.
_MAX_LINE_BYTES = 4096
_MAX_TRAILER_BYTES = 16 * 1024

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~]*)?")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")


class BadBody(Exception):
    """The chunks are malformed. The message is our own text."""


class Body(Protocol):
    """Parses bytes from the wire. `over`: its end was seen; then `trailers` are available, and `rest` is what
    followed."""

    over: bool
    rest: bytes
    trailers: list[tuple[bytes, bytes]]

    def feed(self, data: bytes) -> bytes:
        """The content in `data`; `b""` is the end of the stream.

        Raises: BadBody: malformed. EOFError: the stream ended before the body.
        """


class OfLength:
    """`Content-Length: length`."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.over = length == 0
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> bytes:
        if not data and not self.over:
            raise EOFError
        if len(data) > self.left:
            self.rest = data[self.left :]
            data = data[: self.left]
        self.left -= len(data)
        self.over = self.left == 0
        return data


class UntilClose:
    """Ends with the connection."""

    def __init__(self) -> None:
        self.over = False
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> bytes:
        self.over = not data
        return data


class Chunked:
    """`Transfer-Encoding: chunked`. Extensions are dropped; lines must end with CRLF."""

    def __init__(self) -> None:
        self.over = False
        self.rest = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self._held = b""
        # A position in `_held`, so that many small chunks in one block are not copied for each of them.
        self._at = 0
        self._left = 0
        self._state: Callable[[list[bytes]], bool] = self._size
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        if not data and not self.over:
            raise EOFError
        self._held = self._held[self._at :] + data
        self._at = 0
        found: list[bytes] = []
        while self._state(found):
            pass
        if self.over:
            self.rest, self._held = self._held[self._at :], b""
        return found[0] if len(found) == 1 else b"".join(found)

    def _line(self) -> bytes | None:
        end = self._held.find(b"\r\n", self._at)
        if (end if end >= 0 else len(self._held)) - self._at > _MAX_LINE_BYTES:
            raise BadBody("the line of a chunk is too long")
        if end < 0:
            return None
        line = self._held[self._at : end]
        self._at = end + 2
        return line

    def _size(self, _found: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadBody("a chunk has no size")
        self._left = int(match[1], 16)
        self._state = self._data if self._left else self._trailer
        return True

    def _data(self, found: list[bytes]) -> bool:
        piece = self._held[self._at : self._at + self._left]
        if not piece:
            return False
        found.append(piece)
        self._at += len(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = self._end
        return True

    def _end(self, _found: list[bytes]) -> bool:
        end = self._held[self._at : self._at + 2]
        if end != b"\r\n":
            if b"\r\n".startswith(end):
                return False
            raise BadBody("a chunk is longer than its stated size")
        self._at += 2
        self._state = self._size
        return True

    def _trailer(self, _found: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        if not line:
            self.over = True
            return False
        self._trailer_bytes += len(line)
        match = _TRAILER.fullmatch(line)
        if match is None or self._trailer_bytes > _MAX_TRAILER_BYTES:
            raise BadBody("a trailer is malformed")
        self.trailers.append((match[1], match[2].rstrip()))
        return True


def chunk(data: bytes) -> bytes:
    """`data` as one chunk; empty data gives nothing, as an empty chunk means the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: list[tuple[bytes, bytes]]) -> bytes:
    """The end of a chunked body."""
    return b"0\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in trailers) + b"\r\n"
