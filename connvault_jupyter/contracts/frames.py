"""The channel's framing, for both ends: 4 bytes big-endian length, then one JSON object. Standard library only.

Evolution: the first frame of a connection is the hello; its `protocol` number changes when the framing or the
meaning of a field changes, and two ends with different numbers refuse each other with a typed error. Nothing that
knows about operations, requesters or secrets belongs here.

    client                                   broker
    {"protocol": 1, "version": "0.1.0"}  ->
                                         <-  {"ok": true, "protocol": 1, "version": "0.1.0"}
    {"op": "access.check", "body": {}}   ->
                                         <-  {"ok": true, "body": {}} | {"ok": false, "problem": {}}

One request at a time per connection; the client's EOF withdraws what is pending.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from ..errors import BrokerUnavailable, MalformedFrame, RequestTooLarge

PROTOCOL = 1

# For requests: enough for any form, too small for a peer to make the broker use much memory.
MAX_FRAME_BYTES = 1 << 20

# For the broker's answers: a list of thousands of connections, or of long audit events.
MAX_ANSWER_BYTES = 16 << 20

# sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero.
MAX_SOCKET_PATH_BYTES = 100

SOCKET_VARIABLE = "CONNVAULT_SOCKET"

_LENGTH = struct.Struct(">I")


class Json(str):
    """A value that is JSON text already."""

    __slots__ = ()


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode(message: dict[str, Any], *, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """The frame that carries `message`. Its `body` may be `Json`, which is inserted unchanged: half the time for a
    long list.

    Raises:
        RequestTooLarge: the JSON is longer than `max_bytes`.
    """
    body = message.get("body")
    if isinstance(body, Json):
        around = _ENCODER.encode({name: value for name, value in message.items() if name != "body"})
        comma = "" if around == "{}" else ","
        text = f'{around[:-1]}{comma}"body":{body}}}'
    else:
        text = _ENCODER.encode(message)
    written = text.encode()
    if len(written) > max_bytes:
        raise RequestTooLarge
    return _LENGTH.pack(len(written)) + written


def _refuse_constant(_: str) -> None:
    raise ValueError


# NaN and Infinity are Python's own additions to JSON; no contract knows them.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(body: bytes) -> dict[str, Any]:
    """The message in a frame's body.

    Raises:
        MalformedFrame: not a JSON object (RFC 8259). The cause is dropped: it would quote the input.
    """
    try:
        message = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        raise MalformedFrame from None
    if not isinstance(message, dict):
        raise MalformedFrame
    return message


def receive(stream: socket.socket, *, max_bytes: int = MAX_FRAME_BYTES) -> dict[str, Any] | None:
    """The next message, or `None` at a clean EOF between two frames.

    Raises:
        MalformedFrame: EOF inside a frame, or not a JSON object.
        RequestTooLarge: the announced length is over `max_bytes`; the body is not read.
        OSError: the socket failed or timed out.
    """
    # One recv nearly always returns the whole frame; reading the head separately would cost a second system call.
    data = stream.recv(65536)
    if not data:
        return None
    while len(data) < _LENGTH.size:
        data += _more(stream, _LENGTH.size - len(data))
    (length,) = _LENGTH.unpack_from(data)
    if length > max_bytes:
        raise RequestTooLarge
    missing = _LENGTH.size + length - len(data)
    if missing < 0:
        # The peer must wait for the answer before it sends the next request.
        raise MalformedFrame
    if missing:
        parts = [data]
        while missing:
            part = _more(stream, min(missing, 65536))
            parts.append(part)
            missing -= len(part)
        data = b"".join(parts)
    return decode(data[_LENGTH.size :])


def _more(stream: socket.socket, size: int) -> bytes:
    part = stream.recv(size)
    if not part:
        raise MalformedFrame
    return part


class Reader:
    """Reads frames one by one from a stream on which the peer may have sent several (the operator channel).

    `patience_s`: how long the rest of a frame may take after its first byte; `None` waits for ever. The wait for a
    first byte is never bounded: an idle peer is normal.
    """

    def __init__(
        self, stream: socket.socket, *, patience_s: float | None = None, max_bytes: int = MAX_FRAME_BYTES
    ) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._patience_s = patience_s
        self._buffer = bytearray()
        self._usable = True

    @property
    def usable(self) -> bool:
        """Whether the next frame can still be found, as at most the content of the last one was wrong."""
        return self._usable

    @property
    def ahead(self) -> bool:
        """Whether the peer has sent more than the frames read so far."""
        return bool(self._buffer)

    def receive(self) -> dict[str, Any] | None:
        """Like `frames.receive`, with the same errors; what follows the frame is kept for the next call."""
        buffer = self._buffer
        if not buffer:
            data = self._stream.recv(65536)
            if not data:
                return None
            buffer += data
        if len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            end = _LENGTH.size + length
            if length <= self._max_bytes and len(buffer) >= end:
                body = bytes(buffer[_LENGTH.size : end])
                del buffer[:end]
                return decode(body)
        return self._rest()

    def _rest(self) -> dict[str, Any]:
        buffer = self._buffer
        self._usable = False
        deadline = None if self._patience_s is None else time.monotonic() + self._patience_s
        while len(buffer) < _LENGTH.size:
            buffer += self._in_time(deadline)
        (length,) = _LENGTH.unpack_from(buffer)
        if length > self._max_bytes:
            raise RequestTooLarge
        end = _LENGTH.size + length
        while len(buffer) < end:
            buffer += self._in_time(deadline)
        if self._patience_s is not None:
            self._stream.settimeout(None)
        self._usable = True
        body = bytes(buffer[_LENGTH.size : end])
        del buffer[:end]
        return decode(body)

    def _in_time(self, deadline: float | None) -> bytes:
        """Reads more of the frame. The deadline is for the whole frame: sending single bytes must not extend it."""
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._stream.settimeout(left_s)
        return _more(self._stream, 65536)


def send(stream: socket.socket, message: dict[str, Any]) -> None:
    """Sends one frame.

    Raises:
        RequestTooLarge: see `encode`.
        OSError: the socket failed or timed out.
    """
    stream.sendall(encode(message))


def check_socket_path(path: str) -> str:
    """`path`, if a Unix socket can have it.

    Raises:
        BrokerUnavailable: it is longer than every platform allows.
    """
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise BrokerUnavailable(
            f"The socket's path is longer than {MAX_SOCKET_PATH_BYTES} bytes. Set a shorter JUPYTER_RUNTIME_DIR."
        )
    return path
