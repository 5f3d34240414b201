"""Ports of handles that have ended: who still asks there is told, in the form that its library reads."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from connvault_jupyter.relays.ended_ports import EndedPorts
from connvault_jupyter.relays.http.heads import END
from connvault_jupyter.services.relay_ports import RelayEndpoint
from tests.support.broker.processes import wait_until
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import WAIT_S, HttpRelays, RawClient
from tests.support.relays.relay_handles import new_ref


def is_told(endpoint: RelayEndpoint) -> bool:
    """Whether the handle's port is another one's by now; while it is cut a client may be lost."""
    try:
        with RawClient(endpoint, tcp=True) as client:
            return client.get("/v1/x").answer().status == 403
    except (OSError, AssertionError):
        return False


def ended(relays: HttpRelays) -> RelayEndpoint:
    """A place whose handle is revoked."""
    ref = new_ref()
    endpoint = relays.endpoint(ref, tcp=True)
    relays.revoke(ref)
    wait_until(lambda: is_told(endpoint), deadline_s=WAIT_S, what="the port to be told at")
    return endpoint


@pytest.mark.parametrize("others", [0, 1], ids=["the last handle", "one of two"])
def test_who_asks_after_a_revoke_is_told_and_does_not_try_again(relays: HttpRelays, others: int) -> None:
    """A status that no library tries again, and why; whatever it has for a token."""
    kept = [relays.endpoint(tcp=True) for _ in range(others)]
    endpoint = ended(relays)
    for header in (f"Authorization: Bearer {endpoint.token}", "X-Mine: 1"):
        with RawClient(endpoint, tcp=True) as client:
            answer = client.get("/v1/x", header).answer()
            assert (answer.status, answer.header("x-connvault-error")) == (403, "handle_invalid")
            assert (answer.header("connection"), answer.header("x-should-retry")) == ("close", "false")
            assert "connection()" in json.loads(answer.body)["detail"]
            assert client.rest() == b""
    for other in kept:
        with RawClient(other, tcp=True) as client:
            assert client.get("/v1/x", f"X-Api-Key: {other.token}").answer().status == 200


def test_the_end_of_a_handle_is_told_in_the_type_that_the_client_accepts(relays: HttpRelays) -> None:
    """As the relay does; to HEAD without a body."""
    endpoint = ended(relays)
    with RawClient(endpoint, tcp=True) as client:
        answer = client.get("/v1/x", "Accept: text/xml").answer()
    assert answer.body.startswith(b"<?xml")
    with RawClient(endpoint, tcp=True) as client:
        head = client.get("/v1/x", method="HEAD").answer(bodyless=True)
        assert json.loads(head.header("x-connvault-problem"))["code"] == "handle_invalid"
        assert client.rest() == b""


def test_a_large_upload_finds_the_answer(relays: HttpRelays) -> None:
    """Not a connection that broke."""
    with RawClient(ended(relays), tcp=True) as client:
        client.get("/v1/x", f"Content-Length: {8 << 20}", method="PUT")
        sender = threading.Thread(target=lambda: client.send(bytes(8 << 20)))
        sender.start()
        assert client.answer().status == 403
        sender.join()


class Ports:
    """Sockets as handles leave them, and a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.kept = EndedPorts(clock=lambda: self.now)
        self.asked: list[tuple[str, bool]] = []

    def leave(self) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        self.kept.keep(listening, self._answer)
        return port

    def _answer(self, accepts: str, body: bool) -> bytes:
        self.asked.append((accepts, body))
        return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    try:
        yield made
    finally:
        made.kept.close()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as stream:
        yield stream


def said_at(port: int, data: bytes) -> bytes:
    """What is answered until the end."""
    with connected(port) as stream:
        stream.sendall(data)
        found = b""
        while more := stream.recv(65536):
            found += more
        return found


def is_closed(port: int) -> bool:
    """A connection that the listener's end meets is reset instead of refused."""
    try:
        with connected(port):
            return False
    except (ConnectionRefusedError, ConnectionResetError):
        return True


@pytest.mark.parametrize(
    ("request_bytes", "asked"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nAccept: a/b, c/d;q=0.5\r\nX: 1" + END, ("a/b, c/d;q=0.5", True)),
        (b"GET / HTTP/1.1\r\nACCEPT:a/b" + END, ("a/b", True)),
        (b"HEAD / HTTP/1.1\r\nHost: a" + END, ("", False)),
        (b"GET / HTTP/1.1\r\nAccept: \xff" + END, ("", True)),
        # Looking for it must not take longer than reading it.
        (b"GET / HTTP/1.1\r\nAccept:" + b" " * 15_000 + b"\xff" + END, ("", True)),
        (b"GET / HTTP/1.1\r\nHost: a" + END + b"Accept: a/b\r\n", ("", True)),
        (b"\x16\x03\x01" + bytes(100_000), ("", True)),
    ],
)
def test_whatever_comes_is_answered_once(ports: Ports, request_bytes: bytes, asked: tuple[str, bool]) -> None:
    """Nothing of it is read but the type that is wanted."""
    assert said_at(ports.leave(), request_bytes).startswith(b"HTTP/1.1 403 ")
    assert ports.asked == [asked]


def test_who_says_nothing_holds_up_nobody(ports: Ports) -> None:
    """However many they are."""
    port = ports.leave()
    silent = [socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) for _ in range(80)]
    assert said_at(port, b"GET / HTTP/1.1" + END)
    # Whoever was there longest made room.
    assert silent[0].recv(1) == b""
    for stream in silent:
        stream.close()


def test_the_oldest_of_many_ports_are_closed(ports: Ports) -> None:
    """So many descriptors, and no more."""
    left = [ports.leave() for _ in range(70)]
    wait_until(lambda: is_closed(left[0]), deadline_s=WAIT_S, what="the first one's end")
    assert said_at(left[-1], b"GET / HTTP/1.1" + END)


def _by_time(ports: Ports) -> None:
    ports.now += 601
    ports.leave()


def _with_the_broker(ports: Ports) -> None:
    ports.kept.close()


@pytest.mark.parametrize("end", [_by_time, _with_the_broker])
def test_a_port_is_not_kept_for_ever(ports: Ports, end: Callable[[Ports], None]) -> None:
    """Ten minutes, and not longer than the broker."""
    port = ports.leave()
    assert said_at(port, b"GET / HTTP/1.1" + END)
    end(ports)
    wait_until(lambda: is_closed(port), deadline_s=WAIT_S, what="the port's end")


def test_what_comes_after_the_end_is_closed(ports: Ports) -> None:
    """The broker is leaving."""
    ports.kept.close()
    assert is_closed(ports.leave())
