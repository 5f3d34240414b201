"""The HTTP relay in its real processes: what of a request arrives at a real server, and what is refused."""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connvault_jupyter.errors import HandleInvalid, VaultLocked
from connvault_jupyter.relays.http.heads import END
from tests.support.canary import CANARY
from tests.support.relays.http_handles import TOKEN
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import WAIT_S, HttpRelays, RawClient
from tests.support.servers.tls import loopback_certificate
from tests.support.servers.web_server import Seen, WebServer, Wire, web_server

BEARER = f"Bearer {CANARY}"
BASIC = {"auth": "basic", "username": "j\u00fcrgen"}
PAIR = base64.b64encode(f"j\u00fcrgen:{CANARY}".encode()).decode()
API_KEY = {"auth": "header", "header": "Authorization", "scheme": "ApiKey"}
BIG = os.urandom(1 << 20)


def test_when_asked_the_credential_is_added(client: RawClient, server: WebServer) -> None:
    """For the pinned host, whatever the client called it; the answer is the server's."""
    answer = client.get("/v1/users?n=1").answer()
    assert (answer.status, json.loads(answer.body)["target"]) == (200, "/v1/users?n=1")
    (seen,) = server.requests
    assert seen.header("authorization") == BEARER
    assert seen.header("host") == server.origin.removeprefix("http://")


@pytest.mark.parametrize(
    ("fields", "secrets", "target", "header"),
    [
        ({"auth": "none"}, {}, "/v1/x?a=1", None),
        (BASIC, {"password": CANARY}, "/v1/x?a=1", ("authorization", f"Basic {PAIR}")),
        ({"auth": "header", "header": "X-Api-Key"}, TOKEN, "/v1/x?a=1", ("x-api-key", CANARY)),
        (API_KEY, TOKEN, "/v1/x?a=1", ("authorization", f"ApiKey {CANARY}")),
        ({"auth": "query", "query": "key"}, TOKEN, f"/v1/x?a=1&key={quote(CANARY, safe='')}", None),
    ],
)  # fmt: skip
def test_each_way_to_log_in(
    relays: HttpRelays,
    server: WebServer,
    fields: dict[str, Any],
    secrets: dict[str, str],
    target: str,
    header: tuple[str, str] | None,
) -> None:
    """What the client has in the login's place is replaced, what it has elsewhere passes."""
    relays.point(f"{server.origin}/v1", secrets=secrets, **fields)
    own = ["Authorization: Bearer mine", "X-Api-Key: mine"]
    with RawClient(relays.endpoint()) as client:
        assert client.get("/v1/x?a=1", *own, "Proxy-Authorization: Basic bWluZQ==").answer().status == 200
        client.get("/v1/x?a=1&key=mine&%6bey=mine", *own).answer()
    first, second = server.requests
    assert first.target == target
    # The parameter is the login's own only where the login is one.
    assert second.target == (target if "query" in fields else f"{target}&key=mine&%6bey=mine")
    for seen in server.requests:
        assert seen.header("proxy-authorization") is None
        for name, mine in (("authorization", "Bearer mine"), ("x-api-key", "mine")):
            assert seen.header(name) == (header[1] if header is not None and header[0] == name else mine)


def test_what_would_say_another_address_stays_here(client: RawClient, server: WebServer) -> None:
    """Hop-by-hop headers, those that a client names as such, forwarding; in any spelling."""
    dropped = [
        "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: close",
        "X-Original-URL: /admin", "X_Rewrite_URL: /admin", "X-Forwarded-Host: evil.test", "Forwarded: host=evil.test",
        "Upgrade: h2c", "Accept-Encoding: br",
    ]  # fmt: skip
    client.get("/v1/x", *dropped, "X-Mine: 1").answer()
    (seen,) = server.requests
    names = [name.lower() for name, _ in seen.head.headers]
    assert sorted(names) == ["accept-encoding", "authorization", "host", "x-mine"]
    assert seen.header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    "target",
    [
        "/", "/v2", "/v10/x", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%252e%252e/admin", "/v1/..%2fadmin",
        "/v1/..\\admin", "/v1/%5c..%5cadmin", "/v1/x/..;/../admin", "/v1/..;x=1/admin", "/v1%2fx", "//evil.test/v1/x",
        "/v1/%" + "25" * 12 + "2e%2e/",
    ],
)  # fmt: skip
def test_what_is_not_below_the_base_url_is_refused(client: RawClient, server: WebServer, target: str) -> None:
    """However it is dressed. The connection goes on."""
    answer = client.get(target).answer()
    assert (answer.status, answer.header("x-connvault-error")) == (403, "not_allowed")
    assert client.get("/v1/ok").answer().status == 200
    assert [seen.target for seen in server.requests] == ["/v1/ok"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET http://evil.test/v1/x HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 600 + END,
        b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + END,
    ],
)
def test_what_is_no_request_of_one_reading_is_refused(
    client: RawClient, server: WebServer, request_bytes: bytes
) -> None:
    """400, and the connection ends: nobody knows where the next one would begin."""
    answer = client.send(request_bytes).answer()
    assert (answer.status, answer.header("x-connvault-error")) == (400, "invalid_request")
    assert client.rest() == b""
    assert server.requests == []


def test_malformed_chunks_are_refused_and_never_passed_on(client: RawClient, server: WebServer) -> None:
    """What came before them may have been sent; the upstream request is not completed."""
    heard, ended = bytearray(), threading.Event()

    def rule(wire: Wire, _seen: Seen) -> bool:
        heard.extend(wire.read)
        while data := wire.stream.recv(65536):
            heard.extend(data)
        ended.set()
        return False

    server.rules["/v1/up"] = rule
    client.send(
        b"POST /v1/up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"
    )
    assert client.answer().status == 400
    assert ended.wait(WAIT_S)
    assert not heard.endswith(b"0\r\n\r\n")


def _ways(token: str) -> list[str]:
    pair = base64.b64encode(f"any:{token}".encode()).decode()
    signed = (
        f"AWS4-HMAC-SHA256 Credential={token}/20260101/r/s3/aws4_request, SignedHeaders=host, Signature=0"
    )
    return [
        f"Authorization: Bearer {token}",
        f"authorization: bearer {token}",
        f"Authorization: Basic {pair}",
        f"Authorization: ApiKey {token}",
        f"Authorization: {signed}",
        f"X-Api-Key: {token}",
        f"api-key: {token}",
        f"x-goog-api-key: {token}",
    ]


def test_on_tcp_the_token_opens_in_each_sdks_way(relays: HttpRelays, server: WebServer) -> None:
    """And goes no further."""
    endpoint = relays.endpoint(tcp=True)
    for way in _ways(endpoint.token):
        with RawClient(endpoint, tcp=True) as client:
            assert client.get("/v1/x", way).answer().status == 200
    assert len(server.requests) == len(_ways(""))
    assert all(endpoint.token not in seen.raw.decode() for seen in server.requests)


def test_on_tcp_nobody_gets_in_without_the_token(relays: HttpRelays, server: WebServer) -> None:
    """401, before the broker is asked."""
    endpoint = relays.endpoint(tcp=True)
    other = relays.endpoint(tcp=True)
    for way in [*_ways("guessed"), *_ways(""), *_ways(other.token), "X-Mine: 1", "Authorization: Basic %%%"]:
        with RawClient(endpoint, tcp=True) as client:
            answer = client.get("/v1/x", way).answer()
            assert (answer.status, answer.header("x-connvault-error")) == (401, "handle_invalid")
    assert server.requests == []
    assert relays.vault.asked == []


@pytest.mark.parametrize(
    ("refusal", "status"), [(HandleInvalid(reason="foreign"), 403), (VaultLocked(), 423)]
)
def test_what_the_broker_refuses_is_said(
    relays: HttpRelays, server: WebServer, refusal: Any, status: int
) -> None:
    """As a Problem with the broker's own code; another process on the socket is one of these. Nothing is sent."""
    endpoint = relays.endpoint()
    relays.vault.refusal = refusal
    with RawClient(endpoint) as client:
        answer = client.get("/v1/x").answer()
    assert (answer.status, answer.header("x-connvault-error")) == (status, refusal.code)
    assert json.loads(answer.body)["detail"] == refusal.message
    assert server.requests == []


def test_an_encrypted_upstream_is_verified(running: HttpRelays, tmp_path: Path) -> None:
    """By the connection's own CA; without it nothing is sent. Kept connections, large bodies both ways."""
    certificate = loopback_certificate()
    (tmp_path / "pair.pem").write_text(certificate.certificate + certificate.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with web_server(tls=context) as server:
        running.point(server.origin, auth="bearer", secrets=TOKEN)
        with RawClient(running.endpoint()) as client:
            answer = client.get("/x").answer()
        assert (answer.status, answer.header("x-connvault-error")) == (424, "upstream_tls_failed")
        assert server.requests == []
        running.point(server.origin, auth="bearer", secrets=TOKEN, ca_certificate=certificate.authority)
        server.rules["/up"] = lambda wire, seen: wire.answer(wire.body(seen.head))
        with RawClient(running.endpoint()) as client:
            assert client.get("/x").answer().status == 200
            sender = threading.Thread(
                target=lambda: client.get("/up", f"Content-Length: {8 * len(BIG)}", method="PUT").send(
                    BIG * 8
                )
            )
            sender.start()
            assert client.answer().body == BIG * 8
            sender.join()
            assert client.get("/x").answer().status == 200
        assert server.requests[-1].connection == server.requests[-3].connection
