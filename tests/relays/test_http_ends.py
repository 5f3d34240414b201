"""How clients, servers and permissions of the HTTP relay end, in its real processes, and what is left: nothing."""

from __future__ import annotations

import os
import threading

from tests.support.broker.processes import wait_until
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import WAIT_S, HttpRelays, RawClient
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import workers
from tests.support.servers.web_server import Seen, WebServer, Wire, sending

BIG = os.urandom(1 << 20)


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
    with RawClient(relays.endpoint(ref)) as client:
        client.get("/v1/down").head()
        client.stream.recv(65536)
        relays.revoke(ref)
        client.rest()
        assert ended.wait(WAIT_S)


def test_a_replaced_secret_is_used_by_the_next_connection(relays: HttpRelays, server: WebServer) -> None:
    """And by an old one within a second."""
    with RawClient(relays.endpoint()) as old:
        old.get("/v1/x").answer()
        relays.vault.secrets, relays.vault.rotation = {"token": "fresh-token"}, "r2"
        with RawClient(relays.endpoint()) as new:
            new.get("/v1/x").answer()
        assert server.requests[-1].header("authorization") == "Bearer fresh-token"

        def picked_up() -> bool:
            old.get("/v1/x").answer()
            return server.requests[-1].header("authorization") == "Bearer fresh-token"

        wait_until(picked_up, deadline_s=20, what="the new secret")


def test_a_restarted_server_is_found_again(relays: HttpRelays, server: WebServer) -> None:
    """A kept connection that the server has closed costs nothing, whatever the method."""
    with RawClient(relays.endpoint()) as client:
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


def test_no_descriptor_is_left_behind(relays: HttpRelays, server: WebServer) -> None:
    """After clients that ended well, broke off, were refused, and uploads that were answered early."""
    server.rules["/v1/early"] = sending(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", close=True)
    server.rules["/v1/broken"] = sending(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", close=True)
    endpoint, (worker,) = relays.endpoint(), workers()
    before = worker.num_fds()

    def use() -> None:
        for _ in range(10):
            for target in ("/v1/x", "/v2", "/v1/broken"):
                with RawClient(endpoint) as client:
                    client.get(target).head()
            with RawClient(endpoint) as client:
                client.get("/v1/early", "Content-Length: 1000000", method="POST").head()
            with RawClient(endpoint) as client:
                client.send(b"GET /v1/x HT")

    for _ in range(2):
        use()
        # One more: the connection that is kept.
        wait_until(lambda: worker.num_fds() <= before + 1, deadline_s=10, what="the end of the clients")
