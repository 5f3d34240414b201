"""A real HTTP server on the loopback interface that notes what it was sent. Two of them are two origins."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class EchoApi:
    """`requests` holds (path, headers) in the order of arrival. `redirects` maps a path to a Location.

    Paths in `failing` answer 500 with all that was sent, as debug pages do; those in `silent` hang up.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.redirects: dict[str, str] = {}
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                if self.path in outer.silent:
                    self.close_connection = True
                    return
                location = outer.redirects.get(self.path)
                fails = self.path in outer.failing
                body = json.dumps({"path": self.path, **(dict(self.headers) if fails else {})}).encode()
                self.send_response(500 if fails else 302 if location else 200)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"

    def headers_of(self, path: str) -> dict[str, str]:
        """Of the last request for `path`."""
        return next(headers for found, headers in reversed(self.requests) if found == path)


@contextmanager
def echo_api() -> Iterator[EchoApi]:
    api = EchoApi()
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.server.shutdown()
        api.server.server_close()
