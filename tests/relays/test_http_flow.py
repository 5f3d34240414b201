"""Bodies through the HTTP relay in its real processes: large, early, both ways at once, event by event."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets.sync.client
import websockets.sync.server

from tests.support.broker.processes import wait_until
from tests.support.canary import CANARY
from tests.support.relays.http_handles import TOKEN
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import WAIT_S, HttpRelays, RawClient
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import workers
from tests.support.servers.web_server import Seen, WebServer, Wire, sending

BEARER = f"Bearer {CANARY}"
BIG = os.urandom(1 << 20)


def test_connections_are_kept_and_shared(relays: HttpRelays, server: WebServer) -> None:
    """Of one client from request to request, and from one client to the next."""
    endpoint, (worker,) = relays.endpoint(), workers()
    before = worker.num_fds()
    for _ in range(3):
        with RawClient(endpoint) as client:
            for _ in range(3):
                assert client.get("/v1/x").answer().status == 200
        # One more: the connection that is kept.
        wait_until(lambda: worker.num_fds() <= before + 1, deadline_s=20, what="the end of the client")
    assert server.opened == 1


def test_a_login_is_asked_for_once_a_second_at_most(relays: HttpRelays) -> None:
    """A row a second in the record, not a row a request."""
    ref = new_ref()
    with RawClient(relays.endpoint(ref)) as client:
        for _ in range(20):
            client.get("/v1/x").answer()
    assert 1 <= relays.vault.asked.count(ref) <= 3


def test_fifty_at_once(relays: HttpRelays, server: WebServer) -> None:
    """Each gets its own answer."""
    endpoint = relays.endpoint()

    def one(number: int) -> bool:
        with RawClient(endpoint) as client:
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
    with RawClient(relays.endpoint()) as client:
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
                websockets.sync.client.unix_connect(
                    relays.endpoint().socket, uri="ws://any/v1/ws"
                ) as talking,
            ):
                for word in ("hello", "again"):
                    talking.send(word)
                    assert talking.recv(WAIT_S) == f"{word} Bearer {'*' * len(CANARY)}"
        finally:
            upstream.shutdown()
            thread.join()
    assert seen == {"login": BEARER, "extensions": None}
