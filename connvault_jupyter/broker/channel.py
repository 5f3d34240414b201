"""The requester channel's listener: one thread per connection, one request at a time. It does not interpret
operations.

The requester is identified once per connection, at its first request, and never by what the peer sends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..contracts.access import Requester
from ..contracts.frames import MAX_ANSWER_BYTES, PROTOCOL, Reader, encode
from ..errors import BrokerUnavailable, ConnvaultError, MalformedFrame, RequestTooLarge, VersionMismatch
from ..services.ports import Wait
from .operator_channel import refusal
from .os_processes import Peer, Processes

# A kernel keeps one connection per thread: 128 is a large thread pool, 512 is enough for all kernels of a shared
# machine.
MAX_CONNECTIONS = 512
MAX_PER_PROCESS = 128

# A frame is one write by a local process, so seconds are generous.
_PATIENCE_S = 10.0

# When all connections are in use, the one that has been idle the longest, and at least this long, is closed.
_EVICT_AFTER_S = 30.0

Call = Callable[[str, Any, Requester, Wait], dict[str, Any]]
"""(operation, body, requester, wait) -> `{"ok": ...}`; never raises."""

Identify = Callable[[Peer], Requester]


class RequesterListener:
    """Serves a bound, listening socket until `close`."""

    def __init__(
        self,
        *,
        listener: socket.socket,
        processes: Processes,
        identify: Identify,
        call: Call,
        version: str,
        log: logging.Logger,
    ) -> None:
        self._listener = listener
        self._processes = processes
        self._identify = identify
        self._call = call
        self._version = version
        self._log = log
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()

    def start(self) -> None:
        threading.Thread(target=self._accept, name="requester-listener", daemon=True).start()

    def close(self) -> None:
        """Closes all connections."""
        # Closing it does not wake a thread that waits in accept(2).
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                connection.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                # Out of descriptors: new connections wait until another one ends.
                time.sleep(0.05)
                continue
            try:
                peer = self._processes.peer(stream)
            except OSError:
                _farewell(
                    stream,
                    BrokerUnavailable(
                        "The broker can't see which process is asking. Is it in another container?"
                    ),
                )
                continue
            connection = _Connection(stream, peer)
            if self._admit(connection):
                threading.Thread(
                    target=self._serve, args=(connection,), name=f"requester-{peer.pid}", daemon=True
                ).start()
            else:
                peer.close()
                _farewell(
                    stream, BrokerUnavailable("Too many connections to the broker are open. Close some.")
                )

    def _admit(self, connection: _Connection) -> bool:
        with self._lock:
            of_process = sum(1 for other in self._connections if other.peer.pid == connection.peer.pid)
            if of_process >= MAX_PER_PROCESS:
                return False
            if len(self._connections) >= MAX_CONNECTIONS:
                quiet = [other for other in self._connections if not other.busy]
                oldest = min(quiet, key=lambda other: other.used_at, default=None)
                if oldest is None or time.monotonic() - oldest.used_at < _EVICT_AFTER_S:
                    return False
                self._connections.discard(oldest)
                oldest.hang_up()
            self._connections.add(connection)
            return True

    def _serve(self, connection: _Connection) -> None:
        try:
            if connection.greet(self._version):
                connection.answer_all(self._identify, self._call)
        except ConnvaultError as exc:
            connection.refuse(exc)
        except OSError:
            pass  # The peer is gone, so nobody can be told.
        except Exception as exc:  # noqa: BLE001 -- one connection must not take the broker down
            self._log.error("a requester's connection failed: %s", type(exc).__name__)
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.end()


class _Connection:
    def __init__(self, stream: socket.socket, peer: Peer) -> None:
        self.peer = peer
        self.busy = True
        self.used_at = time.monotonic()
        self._stream = stream
        self._reader = Reader(stream, patience_s=_PATIENCE_S)
        self._out_of_turn = False
        # A peer that does not read its answer must not block the thread. The kernel enforces this timeout;
        # `settimeout` would cost a system call per message.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(_PATIENCE_S), 0))

    def greet(self, version: str) -> bool:
        """The hello. False: the peer left without one.

        Raises: VersionMismatch, MalformedFrame, RequestTooLarge, OSError.
        """
        self._stream.settimeout(_PATIENCE_S)
        hello = self._reader.receive()
        self._stream.settimeout(None)
        if hello is None:
            return False
        if not isinstance(hello.get("protocol"), int) or not isinstance(hello.get("version"), str):
            raise MalformedFrame
        if hello["protocol"] != PROTOCOL or hello["version"] != version:
            raise VersionMismatch(broker_version=version)
        self._stream.sendall(encode({"ok": True, "protocol": PROTOCOL, "version": version}))
        return True

    def answer_all(self, identify: Identify, call: Call) -> None:
        """Answers until the peer hangs up. Raises: MalformedFrame, RequestTooLarge, OSError."""
        requester: Requester | None = None
        while True:
            self.used_at = time.monotonic()
            self.busy = False
            message = self._reader.receive()
            self.busy = True
            if message is None:
                return
            operation = message.get("op")
            # Sending the next request before reading the answer violates the protocol.
            if (
                self._reader.ahead
                or not isinstance(operation, str)
                or len(message) != 2
                or "body" not in message
            ):
                raise MalformedFrame
            try:
                if requester is None:
                    requester = identify(self.peer)
            except ConnvaultError as exc:
                answer = refusal(exc)
            else:
                answer = call(operation, message["body"], requester, self._wait)
            try:
                frame = encode(answer, max_bytes=MAX_ANSWER_BYTES)
            except RequestTooLarge as exc:
                frame = encode(refusal(exc))
            self._stream.sendall(frame)
            if self._out_of_turn:
                return

    def refuse(self, error: ConnvaultError) -> None:
        """Sends the reason, as the last message on this connection."""
        with contextlib.suppress(OSError):
            self._stream.sendall(encode(refusal(error)))

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self._stream.close()
        self.peer.close()

    def _wait(self, settled: Future[None]) -> bool:
        """Implements the port `Wait`: EOF from the peer, or anything that it sends out of turn, counts as
        disconnecting."""
        bell = _Bell()
        try:
            settled.add_done_callback(lambda _: bell.ring())
            poll = select.poll()
            poll.register(self._stream, select.POLLIN)
            poll.register(bell.descriptor, select.POLLIN)
            poll.poll()
            self._out_of_turn = not settled.done()
            return not self._out_of_turn
        finally:
            bell.close()


class _Bell:
    """Wakes a `poll` from another thread; ringing after `close` is harmless."""

    def __init__(self) -> None:
        self.descriptor, self._ringer = os.pipe()
        self._lock = threading.Lock()
        self._open = True

    def ring(self) -> None:
        with self._lock:
            if self._open:
                os.write(self._ringer, b"!")

    def close(self) -> None:
        with self._lock:
            self._open = False
            os.close(self.descriptor)
            os.close(self._ringer)


def _farewell(stream: socket.socket, error: ConnvaultError) -> None:
    with contextlib.suppress(OSError):
        stream.settimeout(1.0)
        stream.sendall(encode(refusal(error)))
    stream.close()
