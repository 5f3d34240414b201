"""A strict OAuth2 token endpoint (RFC 6749 4.4) and an API that takes its tokens, two origins on loopback.

Whatever the RFC does not allow is refused, so that a client that is accepted here is right.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

CLIENT_ID = "report:client/1"
CLIENT_SECRET = "s3cr3t %+/:&=ü geheim"
SCOPES = frozenset({"read", "write"})


@dataclass
class TokenServer:
    """`fetches` counts the tokens given; `answer`, if set, is sent instead: (status, headers, body).

    `gate` holds every fetch until it is set. `said` are the parameters of the last fetch without its secret.
    """

    secret: str = CLIENT_SECRET
    lifetime_s: Any = 3600
    fetches: int = 0
    asked: int = 0
    said: dict[str, str] = field(default_factory=dict)
    method: str = ""
    answer: tuple[int, dict[str, str], bytes] | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    good: dict[str, float] = field(default_factory=dict)
    api_requests: list[tuple[int, str]] = field(default_factory=list)
    token_url: str = ""
    api_url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def revoke_all(self) -> None:
        """What was given is no longer taken by the API."""
        with self._lock:
            self.good.clear()

    def fields(self, **more: Any) -> dict[str, Any]:
        """Of a connection for it."""
        return {
            "auth": "oauth2",
            "base_url": self.api_url,
            "token_url": self.token_url,
            "client_id": CLIENT_ID,
            "allow_http": True,
            **more,
        }

    def grant(self, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if headers.get("Content-Type") != "application/x-www-form-urlencoded":
            return 400, {"error": "invalid_request"}
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        found = dict(pairs)
        if len(found) != len(pairs):
            # RFC 6749 3.2: no parameter more than once.
            return 400, {"error": "invalid_request"}
        basic = headers.get("Authorization")
        if basic is not None and "client_secret" in found:
            # RFC 6749 2.3: one way a request.
            return 400, {"error": "invalid_request"}
        if basic is not None:
            self.method = "client_secret_basic"
            scheme, _, pair = basic.partition(" ")
            name, _, password = base64.b64decode(pair, validate=True).decode().partition(":")
            client = (unquote_plus(name), unquote_plus(password)) if scheme == "Basic" else ("", "")
        else:
            self.method = "client_secret_post"
            client = (found.pop("client_id", ""), found.pop("client_secret", ""))
        self.said = found
        if client != (CLIENT_ID, self.secret):
            return 401, {"error": "invalid_client", "error_description": f"no such client {client}"}
        if found.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if not set(found.get("scope", "read").split(" ")) <= SCOPES:
            return 400, {"error": "invalid_scope"}
        token = secrets.token_urlsafe(24)
        with self._lock:
            self.fetches += 1
            life_s = self.lifetime_s if isinstance(self.lifetime_s, int) else 3600
            self.good[token] = time.monotonic() + life_s
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s}

    def takes(self, header: str | None) -> bool:
        scheme, _, token = (header or "").partition(" ")
        with self._lock:
            return scheme == "Bearer" and self.good.get(token, 0.0) > time.monotonic()


@contextmanager
def token_server(pair: Path | None = None) -> Iterator[TokenServer]:
    """`pair`: a PEM file with certificate and key; the endpoint speaks TLS then."""
    state = TokenServer()
    state.gate.set()

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in _handlers(state)]
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        # The handshake in the thread of its request: one that fails must not end the loop.
        servers[0].socket = context.wrap_socket(
            servers[0].socket, server_side=True, do_handshake_on_connect=False
        )
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    scheme = "http" if pair is None else "https"
    state.token_url = f"{scheme}://127.0.0.1:{servers[0].server_address[1]}/oauth/token?tenant=7"
    state.api_url = f"http://127.0.0.1:{servers[1].server_address[1]}"
    try:
        yield state
    finally:
        state.gate.set()
        for server in servers:
            server.shutdown()
            server.server_close()


def _handlers(state: TokenServer) -> tuple[type[BaseHTTPRequestHandler], type[BaseHTTPRequestHandler]]:
    """Of the endpoint and of the API."""

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            # Whoever does not trust the certificate, or has no more patience, hangs up.
            with contextlib.suppress(OSError):
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError):
                super().finish()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    class Endpoint(Answering):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked += 1
            state.gate.wait(20)
            if state.answer is not None:
                self.answer(*state.answer)
                return
            status, said = state.grant(self.headers, body)
            self.answer(status, {"Content-Type": "application/json"}, json.dumps(said).encode())

    class Api(Answering):
        def do_GET(self) -> None:
            header = self.headers.get("Authorization")
            status = 200 if state.takes(header) else 401
            state.api_requests.append((status, self.path))
            shown = (
                {"path": self.path, "echo": header} if "echo" in parse_qs(urlsplit(self.path).query) else {}
            )
            self.answer(status, {"Content-Type": "application/json"}, json.dumps(shown).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 200 if state.takes(self.headers.get("Authorization")) else 401
            state.api_requests.append((status, self.path))
            self.answer(status, {}, body)

    return Endpoint, Api
