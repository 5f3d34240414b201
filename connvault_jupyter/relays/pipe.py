"""Messages with file descriptors between the broker, its zygote and its workers. It does not interpret messages.

4 bytes big-endian length, then a JSON object, as in `contracts.frames`; descriptors travel with the first byte
(unix(7), SCM_RIGHTS). Both ends are of one installation, so there is no version.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LENGTH = struct.Struct(">I")
_MAX_BYTES = 1 << 20
_MAX_DESCRIPTORS = 4
_ANCILLARY = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)

# An end that does not read for this long is stuck; the sender must not get stuck too.
_SEND_TIMEOUT_S = 2


class Pipe:
    """One end. Any thread may send; one thread receives."""

    def __init__(self, stream: socket.socket, *, receive_timeout_s: int = 0) -> None:
        """`receive_timeout_s`: receiving fails after this time without a byte; 0: never."""
        self._stream = stream
        self._sending = threading.Lock()
        for option, seconds in (
            (socket.SO_SNDTIMEO, _SEND_TIMEOUT_S),
            (socket.SO_RCVTIMEO, receive_timeout_s),
        ):
            stream.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", seconds, 0))

    def fileno(self) -> int:
        return self._stream.fileno()

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Raises: OSError: the other end is gone or does not read."""
        frame = _frame(message)
        with self._sending:
            if descriptors:
                sent = socket.send_fds(self._stream, [frame], list(descriptors))
                frame = frame[sent:]
            self._stream.sendall(frame)

    def offer(self, message: Mapping[str, Any]) -> bool:
        """Sends a short message if that does not block; returns whether it was sent. Raises: OSError: as `send`."""
        if not self._sending.acquire(blocking=False):
            return False
        try:
            if self._stream.fileno() < 0:
                raise OSError("this end is closed")
            room = select.poll()
            room.register(self._stream, select.POLLOUT)
            if not room.poll(0):
                return False
            self._stream.sendall(_frame(message))
            return True
        finally:
            self._sending.release()

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """A message and its descriptors, which the caller must close. `None`: the end.

        Raises: OSError: it ended in the middle, or is not a message.
        """
        head, ancillary, _, _ = self._stream.recvmsg(
            _LENGTH.size, _ANCILLARY, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        )
        if not head:
            return None
        descriptors = _descriptors(ancillary)
        try:
            head += self._exactly(_LENGTH.size - len(head))
            (length,) = _LENGTH.unpack(head)
            if length > _MAX_BYTES:
                raise OSError("a message is too long")
            message = json.loads(self._exactly(length))
        except BaseException:
            close_all(descriptors)
            raise
        return message, descriptors

    def messages(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Yields what `receive` returns, until the end of any kind."""
        while True:
            try:
                received = self.receive()
            except OSError:
                return
            if received is None:
                return
            yield received

    def end(self) -> None:
        """Ends both directions: the other end notices even if a copy of this one is open elsewhere, and whoever waits
        here returns. From any thread."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Also gives back the descriptor. Only for the thread that receives: for another one that was about to, the
        number could be something else by now."""
        self.end()
        with self._sending:
            self._stream.close()

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            data = self._stream.recv(min(count - len(found), 65536))
            if not data:
                raise OSError("the other end closed in the middle of a message")
            found += data
        return bytes(found)


def _frame(message: Mapping[str, Any]) -> bytes:
    text = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(text)) + text


def close_all(descriptors: Sequence[int]) -> None:
    """Closes received descriptors that are not needed."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
