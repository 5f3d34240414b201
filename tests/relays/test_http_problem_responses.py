"""What of a real server's answer comes through the HTTP relay: never its framing, its words or its login."""

from __future__ import annotations

import pytest

from tests.support.canary import CANARY
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import Answer, HttpRelays, RawClient
from tests.support.servers.web_server import WebServer, answering, sending, web_server


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nshort!\r\n",
    ],
)
def test_an_answer_that_is_not_whole_is_not_made_whole(
    client: RawClient, server: WebServer, wire: bytes
) -> None:
    """The client gets what there is, and sees that its end is missing."""
    server.rules["/v1/x"] = sending(wire, close=True)
    head = client.get("/v1/x").head()
    rest = client.rest()
    assert b"short!" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert head.framing == "chunked" or len(rest) < head.length


def test_more_than_was_said_is_dropped(client: RawClient, server: WebServer) -> None:
    """A second answer in the first one's shadow is never the next request's."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    server.rules["/v1/x"] = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil)
    assert client.get("/v1/x").answer().body == b"ok"
    assert b"evil" not in client.get("/v1/y").answer().body
    assert server.opened == 2


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", "upstream_unreachable"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "upstream_refused"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "upstream_refused"),
        (b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "upstream_refused"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\nContent-Length: 2\r\n\r\nab", "upstream_refused"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 20, "upstream_refused"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n", "upstream_refused"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nnogzi", "upstream_refused"),
    ],
)
def test_what_is_no_answer_is_an_error_of_ours(
    client: RawClient, server: WebServer, wire: bytes, code: str
) -> None:
    """With a stable code, and none of the server's words. Another try may find the service, but no better one."""
    server.rules["/v1/x"] = sending(wire, close=True)
    answer = client.get("/v1/x").answer()
    status = 502 if code == "upstream_unreachable" else 424
    assert (answer.status, answer.header("x-connvault-error")) == (status, code)
    assert b"SSH" not in answer.body


def test_heads_without_bodies(client: RawClient, server: WebServer) -> None:
    """HEAD with a length, 204, 304, and an interim answer before the real one; the connection goes on after each."""
    server.rules |= {
        "/v1/head": sending(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        "/v1/204": sending(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "/v1/304": sending(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 500\r\n\r\n"),
        "/v1/103": sending(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    }  # fmt: skip
    assert client.get("/v1/head", method="HEAD").answer(bodyless=True).header("content-length") == "500"
    assert client.get("/v1/204").answer().status == 204
    assert client.get("/v1/304").answer().header("etag") == "x"
    assert client.get("/v1/103").answer().body == b"ok"
    assert server.opened == 1


def test_a_redirect_passes_and_is_not_followed(client: RawClient, server: WebServer) -> None:
    """Where it leads is the client's business, and goes without a credential."""
    with web_server() as elsewhere:
        server.rules["/v1/go"] = answering(b"", f"Location: {elsewhere.origin}/x", status="302 Found")
        answer = client.get("/v1/go").answer()
        assert (answer.status, answer.header("location")) == (302, f"{elsewhere.origin}/x")
        assert elsewhere.requests == []


def test_headers_that_are_nobody_elses_do_not_come_through(client: RawClient, server: WebServer) -> None:
    """A session cookie is a login, `Alt-Svc` leads past the relay, and only the relay says what is wrong with it."""
    server.rules["/v1/x"] = answering(
        b"ok", "Set-Cookie: session=1; HttpOnly", "Alt-Svc: h3", "X-Connvault-Error: vault_locked", f"X-Echo: {CANARY}"
    )  # fmt: skip
    answer = client.get("/v1/x").answer()
    names = {name.lower() for name, _ in answer.head.headers}
    assert names == {"content-length", "x-echo", "x-connvault-masked"}
    assert answer.header("x-echo") == "*" * len(CANARY)


def test_an_open_service_keeps_its_cookies(relays: HttpRelays, server: WebServer) -> None:
    """Nothing logs in there."""
    relays.point(server.origin)
    server.rules["/x"] = answering(b"ok", "Set-Cookie: a=1")
    with RawClient(relays.endpoint()) as client:
        assert client.get("/x", "Cookie: a=1").answer().header("set-cookie") == "a=1"
    assert server.requests[0].header("cookie") == "a=1"


def test_an_old_client_is_served(client: RawClient, server: WebServer) -> None:
    """HTTP/1.0 knows no chunks: the end is told by closing."""
    server.rules["/v1/x"] = sending(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    answer = client.send(b"GET /v1/x HTTP/1.0\r\n\r\n").answer()
    assert (answer.head.framing, answer.body) == ("close", b"ok")


def test_the_answer_of_a_test_is_the_upstreams(client: RawClient, server: WebServer) -> None:
    """The raw client reads what is framed, so that the tests above prove something."""
    server.rules["/v1/x"] = answering(b"ok", "X-A: 1")
    found: Answer = client.get("/v1/x").answer()
    assert (found.status, found.body, found.header("x-a")) == (200, b"ok", "1")
