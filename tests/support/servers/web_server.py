"""A web server on loopback that does what it is told, byte by byte or by rule; real sockets, no framework's opinion."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from connvault_jupyter.relays.http.bodies import Chunked, OfLength
from connvault_jupyter.relays.http.heads import END, RequestHead, request_head


@dataclass
class Seen:
    """A request as it arrived."""

    head: RequestHead
    connection: int
    raw: bytes = field(repr=False)
    body: bytes = field(repr=False, default=b"")

    @property
    def target(self) -> str:
        return self.head.target

    def header(self, name: str) -> str | None:
        values = self.head.values(name.lower())
        return ", ".join(values) if values else None


class Wire:
    """The server's end of one connection."""

    def __init__(self, stream: socket.socket, number: int) -> None:
        self.stream = stream
        self.number = number
        self.read = b""

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def head(self) -> Seen | None:
        while END not in self.read:
            data = self.stream.recv(65536)
            if not data:
                return None
            self.read += data
        head, _, self.read = self.read.partition(END)
        return Seen(request_head(head + END), self.number, head + END)

    def body(self, head: RequestHead) -> bytes:
        body = Chunked() if head.framing == "chunked" else OfLength(head.length)
        found = body.feed(self.read) if self.read else b""
        while not body.over:
            found += body.feed(self.stream.recv(262144))
        self.read = body.rest
        return found

    def answer(
        self, content: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {status}", *headers]
        lines.append(f"Content-Length: {len(content) if length is None else length}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + content)


Handler = Callable[[Wire, Seen], object]


class WebServer:
    """`rules` maps a path (without its query) to what is done with a request there; others are echoed.

    `requests` are those that came, `opened` counts connections. A rule that raises ends its connection.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Seen] = []
        self.rules: dict[str, Handler] = {}
        self.opened = 0
        self._tls = tls
        self._wires: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.port = self._listener.getsockname()[1]
        self.origin = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Ends the server and all its connections, as a restart does."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Ends all connections."""
        with self._lock:
            wires, self._wires = self._wires, set()
        for stream in wires:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(stream, socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError), stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.opened += 1
                number = self.opened
            if self._tls is not None:
                stream = self._tls.wrap_socket(stream, server_side=True)
            with self._lock:
                self._wires.add(stream)
            try:
                wire = Wire(stream, number)
                while (seen := wire.head()) is not None:
                    self.requests.append(seen)
                    rule = self.rules.get(seen.target.partition("?")[0], echo)
                    if rule(wire, seen) is False:
                        return
            finally:
                with self._lock:
                    self._wires.discard(stream)
                stream.close()


def echo(wire: Wire, seen: Seen) -> None:
    """All that was sent, as a debug page shows it."""
    seen.body = wire.body(seen.head)
    shown = {
        "method": seen.head.method,
        "target": seen.target,
        "headers": seen.head.headers,
        "length": len(seen.body),
    }
    wire.answer(json.dumps(shown).encode(), "Content-Type: application/json")


def answering(content: bytes, *headers: str, status: str = "200 OK") -> Handler:
    """Takes a request's body, and answers always the same."""

    def rule(wire: Wire, seen: Seen) -> None:
        seen.body = wire.body(seen.head)
        wire.answer(b"" if seen.head.method == "HEAD" else content, *headers, status=status)

    return rule


def sending(data: bytes, *, close: bool = False) -> Handler:
    """Sends exactly this; `close`: and hangs up."""

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(data)
        return not close

    return rule


@contextmanager
def web_server(*, tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    server = WebServer(tls=tls)
    try:
        yield server
    finally:
        server.close()
