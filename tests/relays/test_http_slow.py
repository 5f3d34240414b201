"""Clients and servers that are slow on purpose: each wait of the HTTP relay ends. In this process, short limits."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import socket
import threading
import weakref
from collections.abc import Iterator

import pytest

from connvault_jupyter.errors import ConnvaultError, UpstreamTimeout
from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.http.relay import Relay
from connvault_jupyter.relays.limits import LIMITS
from tests.support.broker.processes import wait_until
from tests.support.servers.scripted_upstream import dripping
from tests.support.servers.web_server import Seen, WebServer, Wire, web_server

SHORT = dataclasses.replace(
    LIMITS, greeting_s=0.4, login_s=0.4, stalled_s=0.4, half_close_s=0.4, connect_s=2.0
)
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


class Secrets(dict[str, str]):
    """A dictionary that can be watched."""


class Served:
    """A client's end, and the relay that serves the other one in a thread. `given` are the secrets that it got."""

    def __init__(self, base_url: str) -> None:
        self.stream, theirs = socket.socketpair()
        self.stream.settimeout(10)
        self.fields = {"base_url": base_url, "auth": "bearer"}
        self.given: list[weakref.ref[Secrets]] = []
        self.relay = Relay(limits=SHORT)
        self.downstream = Downstream(
            stream=theirs,
            handle=Handle("h", "", "t" * 43, self.fields),
            over_tcp=False,
            limits=SHORT,
            ask=self._login,
            hand=lambda *_: lambda _given: None,
        )
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _login(self, _downstream: Downstream) -> Login:
        secrets = Secrets(token="canary-token")
        self.given.append(weakref.ref(secrets))
        return Login(self.fields, secrets, 1, "r1")

    def _serve(self) -> None:
        with contextlib.suppress(OSError, ConnvaultError):
            self.relay.serve(self.downstream)
        self.downstream.close()

    def ended(self, timeout_s: float = 10) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        self.stream.close()
        self.relay.close()
        assert self.ended()


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


@pytest.fixture
def served(server: WebServer) -> Iterator[Served]:
    made = Served(server.origin)
    yield made
    made.close()


def drip(stream: socket.socket, data: bytes) -> None:
    """Until the other end has had enough."""
    with contextlib.suppress(OSError):
        dripping(b"", data, every_s=0.05)(stream)


@pytest.mark.parametrize(
    "head", [REQUEST[:-2], b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n"]
)
def test_a_client_that_sends_byte_by_byte_is_let_go_of(
    served: Served, server: WebServer, head: bytes
) -> None:
    """In its head as in a small body; nothing of it reaches the server."""
    sent_at_once = head if head.endswith(b"\r\n\r\n") else b""
    served.stream.sendall(sent_at_once)
    dripping = threading.Thread(target=drip, args=(served.stream, b"X: " + b"a" * 190))
    dripping.start()
    assert served.ended(6)
    dripping.join()
    assert server.requests == []


def test_a_server_that_sends_its_head_byte_by_byte_is_let_go_of(served: Served, server: WebServer) -> None:
    """The client gets an error of ours."""
    server.rules["/x"] = lambda wire, _seen: drip(wire.stream, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 190)
    served.stream.sendall(REQUEST)
    assert served.stream.recv(65536).startswith(b"HTTP/1.1 504 ")


def test_a_client_that_takes_nothing_is_let_go_of(served: Served, server: WebServer) -> None:
    """What it does not take waits in the server, not here; then everything ends."""
    ended = threading.Event()

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        try:
            while True:
                wire.send(bytes(1 << 20))
        finally:
            ended.set()

    server.rules["/x"] = rule
    served.stream.sendall(REQUEST)
    assert ended.wait(10)
    assert served.ended()


def test_a_client_that_has_gone_ends_its_request(served: Served, server: WebServer) -> None:
    """Although the server has not answered: nobody waits for it any more."""
    ended = threading.Event()

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.stream.recv(1)
        ended.set()
        return False

    server.rules["/x"] = rule
    served.stream.sendall(REQUEST)
    wait_until(lambda: server.requests, deadline_s=20, what="the request")
    served.stream.close()
    assert ended.wait(10)


def test_a_client_that_ends_its_half_still_gets_its_answer(served: Served, server: WebServer) -> None:
    """As `nc` does."""
    served.stream.sendall(REQUEST)
    served.stream.shutdown(socket.SHUT_WR)
    assert served.stream.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert served.ended()


def test_a_cut_ends_a_request_that_waits(served: Served, server: WebServer) -> None:
    """Both ends, at once."""
    server.rules["/x"] = lambda wire, _seen: wire.stream.recv(1)
    served.stream.sendall(REQUEST)
    wait_until(lambda: server.requests, deadline_s=20, what="the request")
    served.downstream.cut()
    assert served.stream.recv(100) == b""
    assert served.ended()


def test_the_secret_of_an_idle_connection_is_let_go_of(served: Served) -> None:
    """It is here a second longer than it is used, and no longer: nothing refers to it."""
    served.stream.sendall(REQUEST)
    served.stream.recv(65536)
    (secrets,) = served.given
    assert secrets() is not None
    wait_until(lambda: gc.collect() >= 0 and secrets() is None, deadline_s=20, what="the secret to go")
    served.stream.sendall(REQUEST)
    assert served.stream.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(served.given) == 2


def test_a_trial_of_a_slow_server_ends(server: WebServer) -> None:
    """The connection test too."""
    server.rules["/"] = lambda wire, _seen: drip(wire.stream, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 190)
    relay = Relay(limits=SHORT)
    with pytest.raises(UpstreamTimeout):
        relay.log_in(Login({"base_url": server.origin, "auth": "bearer"}, {"token": "canary-token"}, 1, "r1"))
    relay.close()
