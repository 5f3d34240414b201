"""The HTTP relay in its real processes, between raw clients and real servers: what arrives and what comes back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import pytest
import websockets.sync.client
import websockets.sync.server

from connvault_jupyter.errors import HandleInvalid, VaultLocked
from connvault_jupyter.relays.http.heads import END
from tests.support.canary import CANARY
from tests.support.http_relay import WAIT_S, Answer, HttpRelays, RawClient, http_relays
from tests.support.processes import wait_until
from tests.support.relay_handles import new_ref
from tests.support.relay_process import workers
from tests.support.tls import loopback_certificate
from tests.support.web_server import Seen, WebServer, Wire, answering, sending, web_server

TOKEN = {"token": CANARY}
BEARER = f"Bearer {CANARY}"
BASIC = {"auth": "basic", "username": "j\u00fcrgen"}
API_KEY = {"auth": "header", "header": "Authorization", "scheme": "ApiKey"}
BIG = os.urandom(1 << 20)


@pytest.fixture(scope="module")
def running() -> Iterator[HttpRelays]:
    """One zygote and one worker for all tests of this file."""
    with http_relays() as made:
        yield made


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


@pytest.fixture
def relays(running: HttpRelays, server: WebServer) -> HttpRelays:
    """A token for everything below /v1."""
    running.vault.asked.clear()
    return running.point(f"{server.origin}/v1", auth="bearer", secrets=TOKEN)


@pytest.fixture
def client(relays: HttpRelays) -> Iterator[RawClient]:
    with RawClient(relays.place()) as made:
        yield made


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
        ({"auth": "none"}, {}, "/v1/x?a=1", (None, None)),
        (BASIC, {"password": CANARY}, "/v1/x?a=1", ("authorization", "Basic {pair}")),
        ({"auth": "header", "header": "X-Api-Key"}, TOKEN, "/v1/x?a=1", ("x-api-key", CANARY)),
        (API_KEY, TOKEN, "/v1/x?a=1", ("authorization", f"ApiKey {CANARY}")),
        ({"auth": "query", "query": "key"}, TOKEN, f"/v1/x?a=1&key={quote(CANARY, safe='')}", (None, None)),
    ],
)  # fmt: skip
def test_each_way_to_log_in(
    relays: HttpRelays,
    server: WebServer,
    fields: dict[str, Any],
    secrets: dict[str, str],
    target: str,
    header: tuple[str | None, str | None],
) -> None:
    """The client's own login, under any name, is replaced or dropped."""
    relays.point(f"{server.origin}/v1", secrets=secrets, **fields)
    own = ["Authorization: Bearer mine", "X-Api-Key: mine", "Proxy-Authorization: Basic bWluZQ=="]
    with RawClient(relays.place()) as client:
        assert client.get("/v1/x?a=1", *own).answer().status == 200
        client.get("/v1/x?a=1&key=mine&%6bey=mine", *own).answer()
    first, second = server.requests
    assert first.target == target
    name, value = header
    pair = base64.b64encode(f"j\u00fcrgen:{CANARY}".encode()).decode()
    if name is not None and value is not None:
        assert first.header(name) == value.format(pair=pair)
    for seen in server.requests:
        assert "mine" not in seen.raw.decode() or (fields["auth"] != "query" and "key=mine" in seen.target)
    if fields["auth"] == "query":
        assert second.target == target


def test_what_would_say_another_address_or_log_in_by_itself_stays_here(
    client: RawClient, server: WebServer
) -> None:
    """Hop-by-hop headers, those that a client names as such, forwarding, cookies; in any spelling."""
    dropped = [
        "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: close",
        "X-Original-URL: /admin", "X_Rewrite_URL: /admin", "X-Forwarded-Host: evil.test", "Forwarded: host=evil.test",
        "Cookie: session=1", "Upgrade: h2c", "Accept-Encoding: br",
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
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nExpect: something\r\nContent-Length: 3\r\n\r\nabc",
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
    ended = threading.Event()

    def rule(wire: Wire, seen: Seen) -> bool:
        while wire.stream.recv(65536):
            pass
        ended.set()
        return False

    server.rules["/v1/up"] = rule
    client.send(
        b"POST /v1/up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"
    )
    assert client.answer().status == 400
    assert ended.wait(WAIT_S)


def test_connections_are_kept_and_shared(relays: HttpRelays, server: WebServer) -> None:
    """Of one client from request to request, and from one client to the next."""
    place = relays.place()
    for _ in range(3):
        with RawClient(place) as client:
            for _ in range(3):
                assert client.get("/v1/x").answer().status == 200
        wait_until(lambda: _threads() == 1, deadline_s=5, what="the end of the client")
    assert server.opened == 1


def test_a_login_is_asked_for_once_a_second_at_most(relays: HttpRelays) -> None:
    """A row a second in the record, not a row a request."""
    ref = new_ref()
    with RawClient(relays.place(ref)) as client:
        for _ in range(20):
            client.get("/v1/x").answer()
    assert 1 <= relays.vault.asked.count(ref) <= 3


def test_fifty_at_once(relays: HttpRelays, server: WebServer) -> None:
    """Each gets its own answer."""
    place = relays.place()

    def one(number: int) -> bool:
        with RawClient(place) as client:
            answers = [client.get(f"/v1/{number}-{turn}").answer() for turn in range(4)]
        return all(json.loads(a.body)["target"] == f"/v1/{number}-{t}" for t, a in enumerate(answers))

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(50)))
    assert server.opened <= 50


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_upload_arrives_as_it_is(client: RawClient, server: WebServer, chunked: bool) -> None:
    """Twenty MiB, without being kept."""
    server.rules["/v1/up"] = lambda wire, seen: wire.answer(
        hashlib.sha256(wire.body(seen.head)).hexdigest().encode()
    )
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {20 * len(BIG)}"
    client.get("/v1/up", framing, method="PUT")
    for _ in range(20):
        client.send(b"%x\r\n%b\r\n" % (len(BIG), BIG) if chunked else BIG)
    if chunked:
        client.send(b"0\r\n\r\n")
    assert client.answer().body.decode() == hashlib.sha256(BIG * 20).hexdigest()
    assert client.get("/v1/x").answer().status == 200
    assert server.opened == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_large_download_arrives_as_it_is(client: RawClient, server: WebServer, framing: str) -> None:
    """But for the credential in it, and in whatever way its end is told."""
    content = BIG * 8 + CANARY.encode() + BIG * 8
    heads = {
        "length": b"Content-Length: %d\r\n" % len(content),
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }
    body = content
    if framing == "chunked":
        body = b"".join(
            b"%x\r\n%b\r\n" % (len(content[at : at + 70_001]), content[at : at + 70_001])
            for at in range(0, len(content), 70_001)
        )
        body += b"0\r\n\r\n"
    server.rules["/v1/down"] = sending(
        b"HTTP/1.1 200 OK\r\n" + heads[framing] + b"\r\n" + body, close=framing == "close"
    )
    answer = client.get("/v1/down").answer()
    masked = BIG * 8 + b"*" * len(CANARY) + BIG * 8
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(masked).digest()
    assert client.get("/v1/x").answer().status == 200


def test_an_upload_that_is_answered_early(relays: HttpRelays, server: WebServer) -> None:
    """The server says no and closes; the client, which is still sending, hears it."""

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        wire.stream.shutdown(socket.SHUT_WR)
        # Its system would reset the connection if it closed with bytes unread.
        while wire.stream.recv(1 << 20):
            pass
        return False

    server.rules["/v1/up"] = rule
    with RawClient(relays.place()) as client:
        client.get("/v1/up", f"Content-Length: {200 * len(BIG)}", method="POST")

        def send() -> None:
            try:
                for _ in range(200):
                    client.send(BIG)
            except OSError:
                pass

        sender = threading.Thread(target=send)
        sender.start()
        answer = client.answer()
        client.stream.shutdown(socket.SHUT_RDWR)
        sender.join(WAIT_S)
    assert (answer.status, answer.body, answer.header("connection")) == (413, b"no", "close")


def test_both_directions_at_once(client: RawClient, server: WebServer) -> None:
    """The server answers each piece as it comes, before the whole request is there."""

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            while b"\r\n" not in wire.read or wire.read.count(b"\r\n") < 2:
                wire.read += wire.stream.recv(100)
            piece, wire.read = wire.read, b""
            wire.send(piece)
        wire.send(b"0\r\n\r\n")
        return False

    server.rules["/v1/talk"] = rule
    client.get("/v1/talk", "Transfer-Encoding: chunked", method="POST")
    client.send(b"4\r\none!\r\n")
    client.head()
    for piece in (b"4\r\none!\r\n", b"4\r\ntwo!\r\n", b"6\r\nthree!\r\n"):
        if piece != b"4\r\none!\r\n":
            client.send(piece)
        while piece not in client.read:
            client.read += client.stream.recv(100)
    client.send(b"0\r\n\r\n")
    assert client.rest().endswith(b"0\r\n\r\n")


def test_a_client_that_waits_for_100_gets_it(client: RawClient, server: WebServer) -> None:
    """And sends only then."""

    def rule(wire: Wire, seen: Seen) -> None:
        assert seen.header("expect") == "100-continue"
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.answer(wire.body(seen.head))

    server.rules["/v1/up"] = rule
    client.get("/v1/up", "Expect: 100-continue", "Content-Length: 5", method="POST")
    assert client.head().status == 100
    assert client.send(b"hello").answer().body == b"hello"


def test_events_come_one_by_one(client: RawClient, server: WebServer) -> None:
    """Server-sent events are not collected: each is here before the next is made."""
    go_on = threading.Event()

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert go_on.wait(WAIT_S)
        wire.send(b"data: 2\n\n")
        return False

    server.rules["/v1/events"] = rule
    client.get("/v1/events")
    assert client.head().framing == "chunked"
    while b"data: 1\n\n" not in client.read:
        client.read += client.stream.recv(65536)
    assert b"data: 2" not in client.read
    go_on.set()
    while b"0\r\n\r\n" not in client.read:
        client.read += client.stream.recv(65536)
    assert b"data: 2\n\n" in client.read


def test_a_websocket_goes_through_and_is_masked(relays: HttpRelays) -> None:
    """Both ways, after the login that its first request had; with an extension that could hide the credential off."""
    seen: dict[str, str | None] = {}

    def talk(socket_: websockets.sync.server.ServerConnection) -> None:
        assert socket_.request is not None
        seen["login"] = socket_.request.headers.get("Authorization")
        seen["extensions"] = socket_.request.headers.get("Sec-WebSocket-Extensions")
        for message in map(str, socket_):
            socket_.send(f"{message} {seen['login']}")

    with websockets.sync.server.serve(talk, "127.0.0.1", 0) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        try:
            port = upstream.socket.getsockname()[1]
            relays.point(f"http://127.0.0.1:{port}/v1", auth="bearer", secrets=TOKEN)
            with (
                websockets.sync.client.unix_connect(relays.place().socket, uri="ws://any/v1/ws") as talking,
            ):
                for word in ("hello", "again"):
                    talking.send(word)
                    assert talking.recv(WAIT_S) == f"{word} Bearer {'*' * len(CANARY)}"
        finally:
            upstream.shutdown()
            thread.join()
    assert seen == {"login": BEARER, "extensions": None}


def test_revoking_ends_a_download(relays: HttpRelays, server: WebServer) -> None:
    """At both ends, at once: within 100 ms on a machine that is not busy."""
    ended = threading.Event()

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        try:
            while True:
                wire.send(BIG)
        finally:
            ended.set()

    server.rules["/v1/down"] = rule
    ref = new_ref()
    with RawClient(relays.place(ref)) as client:
        client.get("/v1/down").head()
        client.stream.recv(65536)
        started = time.monotonic()
        relays.revoke(ref)
        client.rest()
        assert ended.wait(WAIT_S)
        assert time.monotonic() - started < 2


def test_a_replaced_secret_is_used_by_the_next_connection(relays: HttpRelays, server: WebServer) -> None:
    """And by an old one within a second."""
    with RawClient(relays.place()) as old:
        old.get("/v1/x").answer()
        relays.vault.secrets, relays.vault.rotation = {"token": "fresh-token"}, "r2"
        with RawClient(relays.place()) as new:
            new.get("/v1/x").answer()
        assert server.requests[-1].header("authorization") == "Bearer fresh-token"

        def picked_up() -> bool:
            old.get("/v1/x").answer()
            return server.requests[-1].header("authorization") == "Bearer fresh-token"

        wait_until(picked_up, deadline_s=5, what="the new secret")


def test_a_restarted_server_is_found_again(relays: HttpRelays, server: WebServer) -> None:
    """A kept connection that the server has closed costs nothing, whatever the method."""
    with RawClient(relays.place()) as client:
        client.get("/v1/x").answer()
        server.close()
        again = WebServer(port=server.port)
        try:
            for method in ("GET", "POST"):
                assert client.get("/v1/x", method=method, body=b"abc").answer().status == 200
                again.drop()
        finally:
            again.close()


def test_what_may_not_be_repeated_is_not(client: RawClient, server: WebServer) -> None:
    """The server closes a kept connection just as a request arrives: GET is sent again, POST is not."""
    hung_up: list[str] = []

    def rule(wire: Wire, seen: Seen) -> bool | None:
        if wire.number == server.opened and seen.head.method not in hung_up and len(server.requests) > 1:
            hung_up.append(seen.head.method)
            return False
        wire.answer(b"ok")
        return None

    server.rules["/v1/x"] = rule
    assert client.get("/v1/x").answer().status == 200
    assert client.get("/v1/x").answer().status == 200
    assert hung_up == ["GET"]
    assert client.get("/v1/x", method="POST").answer().status == 502
    assert hung_up == ["GET", "POST"]
    assert sum(seen.head.method == "POST" for seen in server.requests) == 1


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
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nab", "upstream_refused"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 20, "upstream_refused"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n", "upstream_refused"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nnogzi", "upstream_refused"),
    ],
)
def test_what_is_no_answer_is_an_error_of_ours(
    client: RawClient, server: WebServer, wire: bytes, code: str
) -> None:
    """With a stable code, and none of the server's words."""
    server.rules["/v1/x"] = sending(wire, close=True)
    answer = client.get("/v1/x").answer()
    assert (answer.status, answer.header("x-connvault-error")) == (502, code)
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
        b"ok", "Set-Cookie: session=1", "Alt-Svc: h3", "X-Connvault-Error: vault_locked", f"X-Echo: {CANARY}"
    )  # fmt: skip
    answer = client.get("/v1/x").answer()
    names = {name.lower() for name, _ in answer.head.headers}
    assert names == {"content-length", "x-echo"}
    assert answer.header("x-echo") == "*" * len(CANARY)


def test_an_open_service_keeps_its_cookies(relays: HttpRelays, server: WebServer) -> None:
    """Nothing logs in there."""
    relays.point(server.origin)
    server.rules["/x"] = answering(b"ok", "Set-Cookie: a=1")
    with RawClient(relays.place()) as client:
        assert client.get("/x", "Cookie: a=1").answer().header("set-cookie") == "a=1"
    assert server.requests[0].header("cookie") == "a=1"


def test_an_old_client_is_served(client: RawClient, server: WebServer) -> None:
    """HTTP/1.0 knows no chunks: the end is told by closing."""
    server.rules["/v1/x"] = sending(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    answer = client.send(b"GET /v1/x HTTP/1.0\r\n\r\n").answer()
    assert (answer.head.framing, answer.body) == ("close", b"ok")


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
    place = relays.place(tcp=True)
    for way in _ways(place.token):
        with RawClient(place, tcp=True) as client:
            assert client.get("/v1/x", way).answer().status == 200
    assert len(server.requests) == len(_ways(""))
    assert all(place.token not in seen.raw.decode() for seen in server.requests)


def test_on_tcp_nobody_gets_in_without_it(relays: HttpRelays, server: WebServer) -> None:
    """401, before the broker is asked."""
    place = relays.place(tcp=True)
    other = relays.place(tcp=True)
    for way in [*_ways("guessed"), *_ways(""), *_ways(other.token), "X-Mine: 1", "Authorization: Basic %%%"]:
        with RawClient(place, tcp=True) as client:
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
    place = relays.place()
    relays.vault.refusal = refusal
    with RawClient(place) as client:
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
        with RawClient(running.place()) as client:
            answer = client.get("/x").answer()
        assert (answer.status, answer.header("x-connvault-error")) == (502, "upstream_tls_failed")
        assert server.requests == []
        running.point(server.origin, auth="bearer", secrets=TOKEN, ca_certificate=certificate.authority)
        server.rules["/up"] = lambda wire, seen: wire.answer(wire.body(seen.head))
        with RawClient(running.place()) as client:
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


def test_no_descriptor_is_left_behind(relays: HttpRelays, server: WebServer) -> None:
    """After clients that ended well, broke off, were refused, and uploads that were answered early."""
    server.rules["/v1/early"] = sending(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", close=True)
    server.rules["/v1/broken"] = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", close=True)
    place = relays.place()

    def use() -> None:
        for _ in range(10):
            for target in ("/v1/x", "/v2", "/v1/broken"):
                with RawClient(place) as client:
                    client.get(target).head()
            with RawClient(place) as client:
                client.get("/v1/early", "Content-Length: 1000000", method="POST").head()
            with RawClient(place) as client:
                client.send(b"GET /v1/x HT")
        wait_until(lambda: _threads() == 1, deadline_s=10, what="the end of the clients")

    use()
    before = _worker().num_fds()
    use()
    assert _worker().num_fds() <= before + 1


def _worker() -> psutil.Process:
    (worker,) = workers()
    return worker


def _threads() -> int:
    return int(_worker().num_threads())


def test_the_answer_of_a_test_is_the_upstreams(client: RawClient, server: WebServer) -> None:
    """The raw client reads what is framed, so that the tests above prove something."""
    server.rules["/v1/x"] = answering(b"ok", "X-A: 1")
    found: Answer = client.get("/v1/x").answer()
    assert (found.status, found.body, found.header("x-a")) == (200, b"ok", "1")
