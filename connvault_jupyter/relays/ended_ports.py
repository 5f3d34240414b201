"""Loopback ports of handles that have ended: clients that still connect there are told, once, in their own protocol.

Client libraries treat a closed port as a service that is being restarted, and retry for half a minute. And any other
process could get a closed port, while programs continue to send requests there. So the port of an HTTP handle is kept
for a while. Nothing here is secret: only the content types that the client accepts are read from its request.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# As long as a program may pause between two requests. Nobody uses more ports than that.
_KEPT_S = 600.0
_MOST_PORTS = 64
_MOST_CLIENTS = 64

# The time for a request to arrive, and for its answer to be read.
_HEAD_S, _READ_S = 10.0, 2.0
_MAX_HEAD_BYTES = 16 * 1024
_END = b"\r\n\r\n"
# It must be unambiguous: any process on this machine may connect here.
_ACCEPT = re.compile(rb"\r\naccept:([^\r\n]{0,500})\r\n", re.IGNORECASE)

# Without a free descriptor nobody can be accepted, and retrying at once would keep a processor busy.
_FULL_S = 0.5

Answer = Callable[[str, bool], bytes]
"""(what the client accepts, whether it expects a body) -> the whole answer, after which the connection ends."""


@dataclass
class _Port:
    listening: socket.socket
    answer: Answer
    until: float


@dataclass(eq=False)
class _Client:
    stream: socket.socket
    answer: Answer
    until: float
    read: bytes = b""
    told: bool = False


class EndedPorts:
    """Uses one thread, started with the first port. Thread-safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bell: socket.socket | None = None
        self._coming: list[_Port] = []
        self._closed = False

    def keep(self, listening: socket.socket, answer: Answer) -> None:
        """Answers there from now on; takes ownership of the socket."""
        listening.setblocking(False)
        with self._lock:
            if self._closed:
                listening.close()
                return
            self._coming.append(_Port(listening, answer, self._clock() + _KEPT_S))
            if self._bell is None:
                bell, self._bell = socket.socketpair()
                threading.Thread(target=self._run, args=(bell,), name="ended-ports", daemon=True).start()
            self._bell.send(b"!")

    def close(self) -> None:
        """Closes all of them."""
        with self._lock:
            self._closed = True
            if self._bell is not None:
                self._bell.close()

    def _run(self, bell: socket.socket) -> None:
        with contextlib.closing(_Serving(self._clock)) as serving, bell:
            serving.listen_to(bell)
            while serving.turn():
                with self._lock:
                    coming, self._coming = self._coming, []
                for port in coming:
                    serving.add(port)


class _Serving:
    """The thread's state: ports, and clients that are being told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._ports: list[_Port] = []
        self._clients: list[_Client] = []

    def listen_to(self, bell: socket.socket) -> None:
        self._selector.register(bell, selectors.EVENT_READ, None)

    def add(self, port: _Port) -> None:
        self._ports.append(port)
        self._selector.register(port.listening, selectors.EVENT_READ, port)
        while len(self._ports) > _MOST_PORTS:
            self._forget(self._ports.pop(0).listening)

    def turn(self) -> bool:
        """Waits for an event and handles it; `False`: it has ended."""
        now = self._clock()
        for port in [port for port in self._ports if port.until <= now]:
            self._ports.remove(port)
            self._forget(port.listening)
        for client in [client for client in self._clients if client.until <= now]:
            self._leave(client)
        due = [*(port.until for port in self._ports), *(client.until for client in self._clients)]
        for key, _ in self._selector.select(max(0.0, min(due) - now) if due else None):
            if key.data is None:
                bell: socket.socket = key.fileobj  # type: ignore[assignment]
                if not bell.recv(4096):
                    return False
            elif isinstance(key.data, _Port):
                self._let_in(key.data)
            elif key.data in self._clients:
                self._hear(key.data)
        return True

    def close(self) -> None:
        for stream in (*(port.listening for port in self._ports), *(one.stream for one in self._clients)):
            stream.close()
        self._selector.close()

    def _let_in(self, port: _Port) -> None:
        try:
            stream, _ = port.listening.accept()
        except BlockingIOError:
            return
        except OSError:
            time.sleep(_FULL_S)
            return
        stream.setblocking(False)
        client = _Client(stream, port.answer, self._clock() + _HEAD_S)
        self._clients.append(client)
        self._selector.register(stream, selectors.EVENT_READ, client)
        while len(self._clients) > _MOST_CLIENTS:
            self._leave(self._clients[0])

    def _hear(self, client: _Client) -> None:
        try:
            data = client.stream.recv(_MAX_HEAD_BYTES)
            if not data:
                self._leave(client)
            elif not client.told:
                client.read += data
                if _END in client.read or len(client.read) > _MAX_HEAD_BYTES:
                    self._tell(client)
        except BlockingIOError:
            pass
        except OSError:
            self._leave(client)

    def _tell(self, client: _Client) -> None:
        """Reads what it still sends: otherwise it would see a reset connection instead of the answer."""
        head, client.read, client.told = client.read.partition(_END)[0] + b"\r\n", b"", True
        found = _ACCEPT.search(head)
        accepts = found[1].decode("latin-1").strip() if found else ""
        if not (accepts.isascii() and accepts.isprintable()):
            accepts = ""
        wants_body = not head.startswith(b"HEAD ")
        client.stream.send(client.answer(accepts, wants_body))
        client.stream.shutdown(socket.SHUT_WR)
        client.until = self._clock() + _READ_S

    def _leave(self, client: _Client) -> None:
        self._clients.remove(client)
        self._forget(client.stream)

    def _forget(self, stream: socket.socket) -> None:
        self._selector.unregister(stream)
        stream.close()
