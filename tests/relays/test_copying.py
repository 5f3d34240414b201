"""Copying both ways: nothing lost, half-closes passed on, every wait bounded."""

from __future__ import annotations

import dataclasses
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.relays.copying import Stop, copy_both
from connvault_jupyter.relays.limits import LIMITS, Limits
from tests.support.servers.tls import loopback_certificate

_SHORT = dataclasses.replace(LIMITS, block_bytes=4096)


class Line:
    """A client and a server with a relay between them that runs in a thread."""

    def __init__(self, limits: Limits = _SHORT, **options: object) -> None:
        self.client, ours = socket.socketpair()
        self.server, theirs = socket.socketpair()
        self.client.settimeout(10)
        self.server.settimeout(10)
        self._pool = ThreadPoolExecutor(1)
        self.sides = (ours, theirs)
        self.outcome = self._pool.submit(copy_both, ours, theirs, limits=limits, **options)  # type: ignore[arg-type]

    def close(self) -> None:
        for stream in (self.client, self.server):
            stream.close()
        self.outcome.exception(10)
        for stream in self.sides:
            stream.close()
        self._pool.shutdown()


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(limits: Limits = _SHORT, **options: object) -> Line:
        made.append(Line(limits, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _all(stream: socket.socket) -> bytes:
    found = bytearray()
    while data := stream.recv(1 << 16):
        found += data
    return bytes(found)


def test_when_both_send_much_at_once_nothing_is_lost(line: Callable[..., Line]) -> None:
    """Neither side reads before it has sent all: a relay that blocks in one direction would hang here."""
    one = line()
    up, down = os.urandom(3_000_000), os.urandom(3_000_000)

    def send(stream: socket.socket, data: bytes) -> None:
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)

    writers = [
        threading.Thread(target=send, args=(one.client, up)),
        threading.Thread(target=send, args=(one.server, down)),
    ]
    for writer in writers:
        writer.start()
    with ThreadPoolExecutor(2) as pool:
        at_server, at_client = pool.submit(_all, one.server), pool.submit(_all, one.client)
        assert at_server.result(20) == up
        assert at_client.result(20) == down
    for writer in writers:
        writer.join()
    assert one.outcome.result(10) == "ended"


def test_when_one_side_ends_its_half_the_other_goes_on(line: Callable[..., Line]) -> None:
    """A client that has sent its last byte still gets the answer."""
    one = line()
    one.client.sendall(b"question")
    one.client.shutdown(socket.SHUT_WR)
    assert _all(one.server) == b"question"
    one.server.sendall(b"answer")
    one.server.close()
    assert _all(one.client) == b"answer"
    assert one.outcome.result(10) == "ended"


def test_when_the_client_has_left_altogether_nobody_waits(line: Callable[..., Line]) -> None:
    """Its upstream may be one that can't be half-closed, and would stay open until a limit ends it."""
    one = line()
    one.client.sendall(b"the last words")
    one.client.close()
    assert one.server.recv(100) == b"the last words"
    assert one.outcome.result(5) == "ended"


def test_when_the_client_leaves_after_its_half_nobody_waits(line: Callable[..., Line]) -> None:
    """As above, but later."""
    one = line()
    one.client.shutdown(socket.SHUT_WR)
    assert one.server.recv(100) == b""
    one.server.sendall(b"answer")
    assert one.client.recv(100) == b"answer"
    assert not one.outcome.done()
    one.client.close()
    assert one.outcome.result(5) == "ended"


@pytest.mark.parametrize(
    ("limit", "set_up"),
    [
        ("idle_s", lambda one: None),
        ("lifetime_s", lambda one: None),
        ("half_close_s", lambda one: one.client.shutdown(socket.SHUT_WR)),
        ("stalled_s", lambda one: _fill(one.client)),
    ],
)
def test_copying_ends_at_a_limit(
    line: Callable[..., Line], limit: str, set_up: Callable[[Line], None]
) -> None:
    """Each way of doing nothing has its own end."""
    one = line(dataclasses.replace(_SHORT, **{limit: 0.05}))  # type: ignore[arg-type]
    set_up(one)
    assert one.outcome.result(10) == "ended"


def _fill(stream: socket.socket) -> None:
    """Until nobody takes anything any more for a tenth of a second."""
    stream.settimeout(0.1)
    try:
        while True:
            stream.send(b"x" * 65536)
    except (TimeoutError, BrokenPipeError):
        stream.settimeout(10)


def test_when_stopped_at_rest_what_comes_next_is_nobodys(line: Callable[..., Line]) -> None:
    """A hand-over begins where nothing is under way: what the server says from then on is the new owner's."""
    stop = Stop()
    one = line(stop=stop)
    one.client.sendall(b"before")
    assert one.server.recv(100) == b"before"
    assert stop(10)
    one.server.sendall(b"after")
    assert one.outcome.result(10) == "stopped"
    assert one.sides[1].recv(100) == b"after"


def test_copying_that_is_stopped_before_it_begins_touches_nothing(line: Callable[..., Line]) -> None:
    """Whether a socket blocks is one setting for all who have it."""
    stop = Stop(at_rest=True)
    assert stop(10)
    one = line(stop=stop)
    assert one.outcome.result(10) == "stopped"
    assert all(side.getblocking() for side in one.sides)


def test_copying_with_something_under_way_is_not_stopped(line: Callable[..., Line]) -> None:
    """Bytes that wait here would be lost."""
    stop = Stop()
    one = line(stop=stop)
    _fill(one.client)
    assert not stop(0.2)
    while not stop(0.05):
        assert one.server.recv(1 << 20)
    one.client.close()
    assert one.outcome.result(10) == "stopped"


def test_copying_that_is_over_is_not_stopped_any_more(line: Callable[..., Line]) -> None:
    """Nobody is left who could give the sockets away."""
    stop = Stop()
    one = line(stop=stop)
    one.client.close()
    assert one.outcome.result(10) == "ended"
    assert not stop(0)


def test_copying_that_is_said_to_be_over_is_not_stopped() -> None:
    """Also at rest: its sockets are going to be closed, or are another client's."""
    stop = Stop(at_rest=True)
    stop.over()
    assert not stop(10)


def test_when_filtered_what_is_held_back_comes_at_the_end(line: Callable[..., Line]) -> None:
    """A filter is told of the end of the stream, so that it can give back what it kept."""
    kept = bytearray()

    def hold(data: bytes) -> bytes:
        if not data:
            return bytes(kept)
        kept.extend(data)
        return b""

    one = line(to_client=hold)
    one.server.sendall(b"all of it")
    one.server.close()
    assert _all(one.client) == b"all of it"


def test_when_a_filter_refuses_the_error_comes_out(line: Callable[..., Line]) -> None:
    """A protocol can end everything from within."""

    def refuse(_: bytes) -> bytes:
        raise PermissionError("no")

    one = line(to_upstream=refuse)
    one.client.sendall(b"x")
    with pytest.raises(PermissionError):
        one.outcome.result(10)


def test_when_the_upstream_is_encrypted_all_arrives(tmp_path: Path) -> None:
    """More than one record at a time, in both directions, and the end."""
    made = loopback_certificate()
    chain = tmp_path / "server.pem"
    chain.write_text(made.certificate + made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    client, ours = socket.socketpair()
    server, theirs = socket.socketpair()
    for stream in (client, ours, server, theirs):
        stream.settimeout(20)
    trusting = ssl.create_default_context(cadata=made.authority)
    with ThreadPoolExecutor(3) as pool:
        shaken = pool.submit(context.wrap_socket, server, server_side=True)
        upstream = trusting.wrap_socket(theirs, server_hostname="127.0.0.1")
        with shaken.result(10) as encrypted, upstream, client, ours:
            copied = pool.submit(copy_both, ours, upstream, limits=_SHORT)
            data = os.urandom(2_000_000)
            echo = pool.submit(_echo, encrypted, len(data))
            sent = pool.submit(client.sendall, data)
            found = bytearray()
            while len(found) < len(data):
                found += client.recv(1 << 16)
            assert found == data
            sent.result(10)
            echo.result(10)
            client.close()
            encrypted.close()
            assert copied.exception(10) is None or isinstance(copied.exception(10), OSError)


def _echo(stream: ssl.SSLSocket, count: int) -> None:
    seen = 0
    while seen < count:
        data = stream.recv(1 << 14)
        stream.sendall(data)
        seen += len(data)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20_000), max_size=12))
def test_when_cut_anywhere_the_bytes_are_the_same(pieces: list[bytes]) -> None:
    """Blocks are of no meaning: what arrives is what was sent, in its order."""
    one = Line()
    try:
        with ThreadPoolExecutor(1) as pool:
            arrived = pool.submit(_all, one.server)
            for piece in pieces:
                one.client.sendall(piece)
            one.client.shutdown(socket.SHUT_WR)
            assert arrived.result(10) == b"".join(pieces)
    finally:
        one.close()
