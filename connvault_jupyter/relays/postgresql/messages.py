"""PostgreSQL's messages as bytes: reads (with limits), writes and recognises them. Decides and connects nothing.

Protocol 3 (PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats"): a type byte, a length that counts
itself, a body; the first packets of a client have no type byte.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from ..limits import left_s

# The server's own bound for a startup packet (MAX_STARTUP_PACKET_LENGTH).
MAX_STARTUP_BYTES = 10_000
# An error with its context is the longest message of a login; libpq accepts no longer ones during a login.
MAX_LOGIN_BYTES = 30_000

_U32 = struct.Struct(">I")
_HEAD = struct.Struct(">cI")
_SSL = 80877103
_GSS = 80877104
_CANCEL = 80877102
_PROTOCOL_3 = 3 << 16
# A key of protocol 3.2 has up to 256 bytes, one of 3.0 has four.
_KEY_BYTES = (4, 256)
_BLOCK_BYTES = 8192

SSL_REQUEST = struct.pack(">II", 8, _SSL)
TERMINATE = b"X\0\0\0\x04"
AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
ASK_FOR_PASSWORD = b"R\0\0\0\x08\0\0\0\x03"
# Messages after which a server is ready again.
_SYNCED = b"QSF"
READY = b"Z\0\0\0\x05I"


class Malformed(Exception):
    """The received data is not a message of this protocol, or too long."""


class Terminated(Exception):
    """The client has sent Terminate, between two messages."""


@dataclass(frozen=True)
class Startup:
    """`minor` of protocol 3; `parameters` as received, names and values without their zero bytes."""

    minor: int
    parameters: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Cancel:
    pid: int
    key: bytes


@dataclass(frozen=True)
class EncryptionRequest:
    """An SSLRequest or a GSSENCRequest."""

    kind: int


class Wire:
    """Reads and writes messages until one deadline (`time.monotonic`), however slow the other side is.

    `read` is earlier data of the stream, from another one's `rest`.
    """

    def __init__(self, stream: socket.socket, *, deadline: float, read: bytes = b"") -> None:
        self._stream = stream
        self._deadline = deadline
        self._buffer = bytearray(read)

    def message(self, max_bytes: int = MAX_LOGIN_BYTES) -> tuple[bytes, bytes]:
        """Type and body. Raises: Malformed; TimeoutError; OSError: the stream has ended or failed."""
        self._fill(5)
        kind, length = _HEAD.unpack_from(self._buffer)
        if not 4 <= length <= max_bytes:
            raise Malformed
        self._fill(length + 1)
        return kind, self._take(length + 1)[5:]

    def packet(self, max_bytes: int = MAX_STARTUP_BYTES) -> bytes:
        """The body of a packet without a type. Raises: as `message`."""
        self._fill(4)
        (length,) = _U32.unpack_from(self._buffer)
        if not 8 <= length <= max_bytes:
            raise Malformed
        self._fill(length)
        return self._take(length)[4:]

    def byte(self) -> bytes:
        """One byte. Raises: as `message`."""
        self._fill(1)
        return self._take(1)

    def rest(self) -> bytes:
        """The data received after the last message, which then belongs to the caller."""
        return self._take(len(self._buffer))

    def send(self, data: bytes) -> None:
        """Raises: TimeoutError; OSError: the stream failed."""
        self._stream.settimeout(left_s(self._deadline))
        self._stream.sendall(data)

    def _take(self, count: int) -> bytes:
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            self._stream.settimeout(left_s(self._deadline))
            data = self._stream.recv(_BLOCK_BYTES)
            if not data:
                raise ConnectionResetError("the stream has ended")
            self._buffer += data


class ClientMessages:
    """A `copying.Filter` from client to server that changes nothing, and raises Terminated before a Terminate is
    forwarded.

    It must know where each message ends: the same five bytes can be part of a query or of copied data. One that
    follows anything but a Query, Sync or FunctionCall is forwarded, as the server then rolls back what was not synced.
    """

    def __init__(self) -> None:
        self._last = _SYNCED[0]
        self._skip = 0
        self._head = b""
        self._lost = False

    def __call__(self, data: bytes) -> bytes:
        if self._lost:
            return data
        seen = data
        if self._head:
            seen = self._head + data
            self._head = b""
        elif data == TERMINATE and not self._skip and self._last in _SYNCED:
            raise Terminated
        position, end = self._skip, len(seen)
        start = -1
        while position + 5 <= end:
            (length,) = _U32.unpack_from(seen, position + 1)
            if length < 4:
                # The server will end it; until then everything is forwarded.
                self._lost = True
                return data
            start = position
            position += length + 1
        if start >= 0:
            self._last = seen[start]
        if position < end:
            self._head = seen[position:]
            self._skip = 0
        else:
            self._skip = position - end
        return data


def parse_opening(body: bytes) -> Startup | Cancel | EncryptionRequest:
    """Parses a client's first packet. Raises: Malformed; also for other major versions."""
    (code,) = _U32.unpack_from(body)
    if code in (_SSL, _GSS):
        if len(body) != 4:
            raise Malformed
        return EncryptionRequest(code)
    if code == _CANCEL:
        key = body[8:]
        if not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
            raise Malformed
        return Cancel(_U32.unpack_from(body, 4)[0], key)
    if code >> 16 != 3:
        raise Malformed
    return Startup(code & 0xFFFF, _pairs(body[4:]))


def _pairs(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    if data == b"\0":
        return ()
    if not data.endswith(b"\0\0"):
        raise Malformed
    parts = data[:-2].split(b"\0")
    if len(parts) % 2 or not all(parts[::2]):
        raise Malformed
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def startup(parameters: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A StartupMessage of protocol 3.0. Raises: Malformed: a zero byte inside."""
    body = bytearray(_U32.pack(_PROTOCOL_3))
    for pair in parameters:
        for part in pair:
            if b"\0" in part:
                raise Malformed
            body += part + b"\0"
    body += b"\0"
    return _U32.pack(len(body) + 4) + bytes(body)


def cancel_request(pid: int, key: bytes) -> bytes:
    """A CancelRequest."""
    return struct.pack(">III", 12 + len(key), _CANCEL, pid) + key


def message(kind: bytes, body: bytes) -> bytes:
    """A message of one type byte."""
    return _HEAD.pack(kind, len(body) + 4) + body


def query(text: str) -> bytes:
    """A simple Query."""
    return message(b"Q", text.encode() + b"\0")


def parameter_status(name: str, value: str) -> bytes:
    """A server's report of one of its settings."""
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def backend_key(pid: int, key: bytes) -> bytes:
    """The key with which a client may cancel."""
    return message(b"K", _U32.pack(pid) + key)


def negotiate_version(unknown: Iterable[bytes]) -> bytes:
    """Offers 3.0, and lists unknown `_pq_.` options."""
    names = tuple(unknown)
    return message(
        b"v", struct.pack(">II", _PROTOCOL_3, len(names)) + b"".join(name + b"\0" for name in names)
    )


def fatal(sqlstate: str, text: str) -> bytes:
    """An ErrorResponse after which the connection ends."""
    fields = (("S", "FATAL"), ("V", "FATAL"), ("C", sqlstate), ("M", text))
    return message(b"E", b"".join(f"{key}{value}\0".encode() for key, value in fields) + b"\0")


def sqlstate_of(body: bytes) -> str:
    """The SQLSTATE of an ErrorResponse's body; empty without a usable one."""
    for field in body.split(b"\0"):
        code = field[1:]
        if field[:1] == b"C" and len(code) == 5 and code.isalnum() and code.isascii():
            return code.decode("ascii")
    return ""


def status_of(body: bytes) -> tuple[str, str]:
    """Name and value of a ParameterStatus's body. Raises: Malformed."""
    parts = body.split(b"\0")
    if len(parts) != 3 or parts[2]:
        raise Malformed
    return parts[0].decode("utf-8", "replace"), parts[1].decode("utf-8", "replace")
