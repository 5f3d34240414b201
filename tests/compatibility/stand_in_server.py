"""Serves a stand-in on loopback: 401 without its credential, whatever is asked."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .stand_ins import StandIn

# A flaky service is one that answers every third time.
_FLAKY = 3


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        body = self._body()
        stand_in = self.server.stand_in
        key = f"{self.command} {self.path}"
        found = key if key in stand_in.answers else key.partition("?")[0]
        if self.headers.get(stand_in.header) != self.server.wanted:
            self._answer(401, {"message": "not with this key"})
        elif self.path == "/flaky":
            self._answer(503 if next(self.server.asked) % _FLAKY else 200, {})
        elif self.path == "/upload":
            self._answer(200, {"received": len(body)})
        elif found in stand_in.answers:
            self._answer(200, stand_in.answers[found])
        else:
            self._answer(404, {"message": "not here"})

    def do_POST(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, content: Any) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status if body else 204)
        self.send_header("Content-Type", "application/json")
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stand_in: StandIn, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stand_in = stand_in
        self.wanted = stand_in.wants(secret)
        self.asked = itertools.count(1)


@contextmanager
def serving(stand_in: StandIn, secret: str) -> Iterator[str]:
    """Its address."""
    server = _Server(stand_in, secret)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
