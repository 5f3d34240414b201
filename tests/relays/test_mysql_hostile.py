"""Servers and clients that lie, dawdle or talk too much: the MySQL relay ends in time, with words of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymysql import _auth

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.mysql.packets import MAX_BYTES
from tests.support.broker.processes import ends
from tests.support.relays.mysql_relay import relay_here
from tests.support.servers.mysql_server import DENIED, OK, MySql8, Wire, greeting, serving
from tests.support.servers.scripted_upstream import dripping

# All waits of a login end by these.
PATIENCE_S = 5.0
LIMITS = Limits(connect_s=0.5, login_s=0.5, greeting_s=0.5, half_close_s=0.5)
# The limit, and a busy machine.

TIMEOUT = "connvault upstream_timeout"
REFUSED = "connvault upstream_refused"
GONE = "connvault upstream_unreachable"


def say_nothing(wire: Wire) -> None:
    wire.receive()


def drip(wire: Wire) -> None:
    """A byte now and then: each read succeeds."""
    dripping(b"", b"\x4a\x00\x00\x00" + greeting(), every_s=0.05)(wire.stream)


def promise_much(wire: Wire) -> None:
    wire.stream.sendall(b"\xff\xff\xff\x00\x0a")
    wire.receive()


def promise_more_than_comes(wire: Wire) -> None:
    wire.stream.sendall(b"\x50\x00\x00\x00" + greeting())


def speak_http(wire: Wire) -> None:
    wire.stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hang_up(wire: Wire) -> None:
    wire.stream.close()


def greet_in_pieces(count: int) -> Callable[[Wire], None]:
    def serve(wire: Wire) -> None:
        wire.send(greeting()[:count])

    return serve


def greet_and(*payloads: bytes, then: bool = True) -> Callable[[Wire], None]:
    def serve(wire: Wire) -> None:
        wire.send(greeting())
        wire.receive()
        for payload in payloads:
            wire.send(payload)
        if then:
            wire.receive()

    return serve


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (say_nothing, TIMEOUT),
        (drip, TIMEOUT),
        (promise_much, REFUSED),
        (promise_more_than_comes, GONE),
        (speak_http, REFUSED),
        (hang_up, GONE),
        (greet_in_pieces(5), REFUSED),
        (greet_in_pieces(40), REFUSED),
        (lambda wire: wire.send(b""), REFUSED),
        (lambda wire: wire.send(b"\x09" + bytes(80)), REFUSED),
        (lambda wire: wire.send(b"\x0a" + b"x" * 4000), REFUSED),
        (lambda wire: wire.send(greeting(capabilities=0x200)), REFUSED),
        (lambda wire: wire.send(b"\xff"), REFUSED),
        (lambda wire: wire.send(DENIED), "connvault upstream_auth_failed"),
        (lambda wire: wire.send(b"\xff" + struct.pack("<H", 1040) + b"Too many connections"), REFUSED),
        (greet_and(), TIMEOUT),
        (greet_and(b""), REFUSED),
        (greet_and(b"\x77"), REFUSED),
        (greet_and(b"\x01\x03", b"\x01\x03", b"\x01\x03", b"\x01\x03", b"\x01\x03"), REFUSED),
        (greet_and(b"\x01\x05"), REFUSED),
        (greet_and(b"\x02more factors\0"), REFUSED),
        (greet_and(b"\xfe"), "connvault upstream_auth_failed"),
        (greet_and(b"\xfemysql_native_password"), REFUSED),
        (greet_and(b"\xfemysql_native_password\0" + b"x" * 21, b"\xfemysql_native_password\0" + b"y" * 21), REFUSED),
        (greet_and(then=False), GONE),
        (greet_and(OK + b"x" * (MAX_BYTES + 1)), REFUSED),
    ],
)  # fmt: skip
def test_when_a_server_misbehaves_the_client_hears_of_it_in_time(
    serve: Callable[[Wire], None], expected: str
) -> None:
    """A stable code, no word of the server's."""
    with ends(), serving(serve) as port, relay_here(fields(port), "pw", limits=LIMITS) as client:
        with pytest.raises(pymysql.MySQLError) as caught:
            over(client())
        assert str(caught.value.args[1]).startswith(f"{expected}: ")
        assert "secret.host" not in str(caught.value)


def test_when_a_switch_is_asked_for_twice_there_is_one_proof() -> None:
    """A server in the middle learns no more from a second challenge."""
    proofs: list[bytes] = []

    def serve(wire: Wire) -> None:
        wire.send(greeting())
        wire.receive()
        for sign in (b"x", b"y"):
            wire.send(b"\xfemysql_native_password\0" + sign * 20 + b"\0")
            proofs.append(wire.receive())

    with (
        serving(serve) as port,
        relay_here(fields(port), "pw", limits=LIMITS) as client,
        pytest.raises(pymysql.MySQLError),
    ):
        over(client())
    assert len(proofs) == 1


_PACKETS = st.one_of(
    st.sampled_from([OK, DENIED, b"\x01\x03", b"\x01\x04", b"\xfemysql_native_password\0" + b"z" * 21]),
    st.binary(max_size=60),
)


@example(first=greeting(), rest=[b"\0"])
@given(first=st.one_of(st.just(greeting()), st.binary(max_size=120)), rest=st.lists(_PACKETS, max_size=7))
@settings(max_examples=60)
def test_when_a_server_says_anything_the_client_hears_of_it(first: bytes, rest: list[bytes]) -> None:
    """An error of ours, or a session if it said OK; never a crash, never silence."""

    def serve(wire: Wire) -> None:
        wire.send(first)
        wire.receive()
        for payload in rest:
            wire.send(payload)

    with serving(serve) as port, relay_here(fields(port), "pw", limits=LIMITS) as client:
        told = ""
        try:
            over(client()).close()
        except pymysql.MySQLError as exc:
            told = str(exc.args[-1])
        # After an OK the server may have hung up on SET NAMES.
        assert OK in rest or told.startswith("connvault upstream_")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff\xff\xff\x01",
        b"\x01\x00\x00\x01\x00",
        b"\x20\x00\x00\x01" + struct.pack("<IIB", 0x0FA68D | 0x800, 1 << 24, 45) + bytes(23),
        b"\x24\x00\x00\x01" + bytes(36),
        b"\x30\x00\x00\x01" + b"\xff" * 48,
        b"GET / HTTP/1.1\r\n\r\n" + b"x" * 80,
    ],
)
def test_a_client_that_misbehaves_is_let_go_of(said: bytes) -> None:
    """No login is made for it, and nothing is left."""
    seen: list[str] = []
    server = MySql8(b"pw", cached=True, seen=seen)
    with serving(server) as port, relay_here(fields(port), "pw", limits=LIMITS) as client:
        stream = client()
        stream.settimeout(PATIENCE_S)
        assert stream.recv(1000)[4] == 0x0A
        stream.sendall(said)
        rest = b""
        # What the relay has not read of it makes the end a reset.
        with contextlib.suppress(ConnectionResetError):
            while block := stream.recv(1000):
                rest += block
        # Whoever has said nothing is told nothing.
        assert (b"connvault invalid_request: " in rest) == bool(said)
    assert seen == []


def test_a_client_that_names_another_plugin_is_switched() -> None:
    """Clients of MySQL 8 and 9 may begin with caching_sha2_password."""
    with serving(MySql8(b"pw", cached=True)) as port, relay_here(fields(port), "pw", over_tcp=True) as client:
        wire = Wire(client())
        wire.stream.settimeout(PATIENCE_S)
        scramble_of = wire.receive()
        flags = 0x200 | 0x8000 | 1 << 19
        head = struct.pack("<IIB", flags, 1 << 24, 45) + bytes(23)
        wire.send(head + b"any\0\x20" + bytes(32) + b"caching_sha2_password\0")
        asked = wire.receive()
        assert asked.startswith(b"\xfemysql_native_password\0")
        scramble = asked.split(b"\0")[1]
        assert scramble[:8] in scramble_of
        wire.send(_auth.scramble_native_password(b"the-token", scramble))
        assert wire.receive()[:1] == b"\x00"


def test_when_the_broker_refuses_no_server_is_called() -> None:
    """Who is refused can make nobody connect anywhere."""
    called: list[Wire] = []

    def refuse() -> None:
        raise HandleInvalid(reason="foreign")

    with (
        serving(called.append) as port,
        relay_here(fields(port), "pw", ask=refuse) as client,
        pytest.raises(pymysql.OperationalError, match="connvault handle_invalid"),
    ):
        over(client())
    assert called == []


def over(stream: socket.socket) -> pymysql.Connection[Any]:
    """PyMySQL on this stream."""
    stream.settimeout(PATIENCE_S)
    connection: pymysql.Connection[Any] = pymysql.connect(
        user="any", password="any", defer_connect=True, ssl_disabled=True, read_timeout=PATIENCE_S
    )
    connection.connect(stream)
    return connection


def fields(port: int) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "user": "ann", "database": "shop", "sslmode": "disable"}
