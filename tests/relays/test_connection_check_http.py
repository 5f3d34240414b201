"""The connection test at a real web server: what it sends, where, and what each answer means."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import TestOutcome
from connvault_jupyter.providers.registry import ProviderCatalogue
from setup_hooks.postgresql import free_port
from tests.support.relays.relay_process import tried
from tests.support.servers.echo_api import echo_api
from tests.support.servers.tls import loopback_certificate

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=timezone.utc)
CATALOGUE = ProviderCatalogue(packages=False)
TOKEN = "canary-token-5b1e"


def attempt(url: str, secrets: dict[str, str] | None = None, **fields: Any) -> TestOutcome:
    provider = CATALOGUE.get("http")
    assert provider is not None
    given = {"base_url": url, "allow_http": True, "auth": "bearer", **fields}
    return tried(provider, given, {"token": TOKEN} if secrets is None else secrets, at=NOW)


@contextmanager
def answering(status: int, tls: Path | None = None) -> Iterator[str]:
    """A server that answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status, "canary-words")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        # The handshake belongs into the request's own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_when_all_is_right_it_says_so() -> None:
    """The token arrives in its header, at the base URL as it was entered."""
    with echo_api() as api:
        outcome = attempt(f"{api.origin}/v1/caf\u00e9/%20x")
        assert (outcome.ok, outcome.code, outcome.detail, outcome.server) == (
            True,
            None,
            "Connected.",
            "HTTP 200",
        )
        ((path, headers),) = api.requests
    assert path == "/v1/caf%C3%A9/%20x"
    assert headers["Authorization"] == f"Bearer {TOKEN}"


def test_basic_sends_user_and_password() -> None:
    """UTF-8 in base64 (RFC 7617)."""
    with echo_api() as api:
        assert attempt(api.origin, {"password": "p\u00e4ss:word"}, auth="basic", username="app").ok
        header = api.headers_of("/")["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "app:p\u00e4ss:word"


def test_none_sends_nothing() -> None:
    """Not even a secret that is still stored."""
    with echo_api() as api:
        assert attempt(api.origin, auth="none").ok
        assert "Authorization" not in api.headers_of("/")


def test_a_redirect_is_never_followed() -> None:
    """The token stays with the origin that it is for, and with the base URL."""
    with echo_api() as api, echo_api() as elsewhere:
        api.redirects = {"/": f"{elsewhere.origin}/stolen", "/here": "/there"}
        for path in ("/", "/here"):
            outcome = attempt(api.origin + path)
            assert outcome.code == "upstream_refused"
            assert "redirect" in outcome.detail
            assert elsewhere.origin not in outcome.model_dump_json()
        assert elsewhere.requests == []
        assert [path for path, _ in api.requests] == ["/", "/here"]


@pytest.mark.parametrize(
    ("status", "auth", "code", "words"),
    [
        (200, "bearer", None, "Connected."),
        (204, "bearer", None, "Connected."),
        (401, "bearer", "upstream_auth_failed", "refused the login"),
        (403, "bearer", "upstream_auth_failed", "refused the login"),
        (401, "none", "upstream_auth_failed", "requires a login"),
        (404, "bearer", "upstream_refused", "nothing at the base URL"),
        (405, "bearer", "upstream_refused", "nothing at the base URL"),
        (400, "bearer", "upstream_refused", "answered, but refused"),
        (429, "bearer", "upstream_refused", "busy or failing"),
        (500, "bearer", "upstream_refused", "busy or failing"),
        (503, "bearer", "upstream_refused", "busy or failing"),
        (304, "bearer", "upstream_refused", "redirect"),
    ],
)
def test_each_status_has_its_meaning(status: int, auth: str, code: str | None, words: str) -> None:
    """A stable code and words that say what to do; none of the server's."""
    with answering(status) as url:
        outcome = attempt(url, auth=auth)
    assert (outcome.ok, outcome.code) == (code is None, code)
    assert words in outcome.detail
    assert "canary" not in outcome.model_dump_json()


def test_when_nobody_listens_it_is_unreachable() -> None:
    """A wrong port, and a host without an address."""
    assert attempt(f"http://127.0.0.1:{free_port()}").code == "upstream_unreachable"
    assert attempt("http://api.invalid").code == "upstream_unreachable"


def test_when_a_proxy_is_set_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would see the token."""
    with echo_api() as api, echo_api() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        monkeypatch.setenv("no_proxy", "")
        assert attempt(api.origin).ok
        assert proxy.requests == []


@pytest.mark.parametrize("token", ["two\nlines", "two\r\nX-Injected: 1", "\u20ac", "", "\x7f"])
def test_when_the_token_cannot_be_sent_it_says_so(token: str) -> None:
    """A line break would be another header. It is not sent, and not quoted."""
    with echo_api() as api:
        outcome = attempt(api.origin, {"token": token})
        assert api.requests == []
    assert not outcome.ok
    assert "Enter it again" in outcome.detail


def test_when_the_certificate_is_unknown_tls_failed(tmp_path: Path) -> None:
    """No token is sent to whom nobody vouches for."""
    certificate = loopback_certificate()
    pair = tmp_path / "pair.pem"
    pair.write_text(certificate.certificate + certificate.key)
    with answering(200, tls=pair) as url:
        assert attempt(url).code == "upstream_tls_failed"


def test_when_the_authority_is_given_it_counts(tmp_path: Path) -> None:
    """A company's own CA is a field of the connection: what the environment says is not looked at."""
    certificate = loopback_certificate()
    pair = tmp_path / "pair.pem"
    pair.write_text(certificate.certificate + certificate.key)
    with answering(200, tls=pair) as url:
        assert attempt(url, ca_certificate=certificate.authority).ok


def test_when_it_speaks_another_protocol_it_says_so(tmp_path: Path) -> None:
    """http to a TLS port is refused in words about http and https; https to an http port is a failure of TLS."""
    certificate = loopback_certificate()
    pair = tmp_path / "pair.pem"
    pair.write_text(certificate.certificate + certificate.key)
    with answering(200, tls=pair) as url:
        assert not attempt(url.replace("https", "http")).ok
    with echo_api() as api:
        assert attempt(api.origin.replace("http", "https")).code == "upstream_tls_failed"
