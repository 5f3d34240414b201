"""PostgreSQL's messages: what is read whole, what is refused, and that nothing is lost where a client is watched."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.downstream import Downstream, Login
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql.messages import (
    TERMINATE,
    Cancel,
    ClientMessages,
    EncryptionRequest,
    Malformed,
    Startup,
    Terminated,
    Wire,
    cancel_request,
    fatal,
    message,
    parse_opening,
    sqlstate_of,
    startup,
)
from connvault_jupyter.relays.postgresql.relay import Relay
from tests.support.servers.postgres_upstream import AUTH_OK, KEY, READY, client_of, login_to, says
from tests.support.servers.scripted_upstream import upstream

CORPUS = Path(__file__).parent / "corpus" / "postgresql"
LIMITS = Limits(connect_s=0.2, login_s=0.2, greeting_s=0.2, warm_logins=0)

names = st.binary(min_size=1, max_size=20).filter(lambda value: b"\0" not in value)
values = st.binary(max_size=20).filter(lambda value: b"\0" not in value)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_a_startup_packet_is_read_as_it_was_written(pairs: list[tuple[bytes, bytes]]) -> None:
    """Every name and value, in order, empty values too."""
    assert parse_opening(startup(pairs)[4:]) == Startup(0, tuple(pairs))


@given(st.integers(0, 2**32 - 1), st.binary(min_size=4, max_size=256))
def test_a_cancel_request_is_read_as_it_was_written(pid: int, key: bytes) -> None:
    """With keys of either protocol version."""
    assert parse_opening(cancel_request(pid, key)[4:]) == Cancel(pid, key)


@pytest.mark.parametrize("code", [80877103, 80877104])
def test_both_requests_for_encryption_are_known(code: int) -> None:
    """SSLRequest and GSSENCRequest."""
    assert parse_opening(struct.pack(">I", code)) == EncryptionRequest(code)


@pytest.mark.parametrize(
    "body",
    [
        struct.pack(">I", 2 << 16),
        struct.pack(">I", 4 << 16) + b"\0",
        struct.pack(">I", 3 << 16),
        struct.pack(">I", 3 << 16) + b"user\0x\0",
        struct.pack(">I", 3 << 16) + b"user\0\0",
        struct.pack(">I", 3 << 16) + b"user\0x\0\0\0",
        struct.pack(">I", 3 << 16) + b"\0x\0\0",
        struct.pack(">I", 80877103) + b"x",
        struct.pack(">II", 80877102, 1) + b"abc",
        struct.pack(">II", 80877102, 1) + b"a" * 257,
        b"GET ",
    ],
)
def test_what_is_no_opening_is_refused(body: bytes) -> None:
    """Other versions, missing ends, odd numbers of strings, names that are empty."""
    with pytest.raises(Malformed):
        parse_opening(body)


def test_a_zero_byte_is_never_written() -> None:
    """It would end a value, and what follows would be another parameter."""
    with pytest.raises(Malformed):
        startup([(b"user", b"a\0database\0b")])


messages = st.lists(
    st.builds(message, st.sampled_from([b"Q", b"S", b"B", b"d", b"X"]), st.binary(max_size=40)), max_size=8
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[one:other] for one, other in itertools.pairwise(edges)]


@given(messages, st.lists(st.integers(0, 400), max_size=8))
def test_a_watched_stream_passes_as_it_is(sent: list[bytes], places: list[int]) -> None:
    """However it is cut; it ends only at a Terminate that stands alone after a Query or a Sync, or at the beginning."""
    stream, passed = ClientMessages(), b""
    boundaries = {
        sum(map(len, sent[:count]))
        for count in range(len(sent) + 1)
        if count == 0 or sent[count - 1][:1] in (b"Q", b"S")
    }
    whole = b"".join(sent)
    for block in cut(whole, places):
        alone = block == TERMINATE and len(passed) in boundaries
        try:
            passed += stream(block)
        except Terminated:
            assert alone
            return
        assert not alone
    assert passed == whole


def test_a_goodbye_is_noticed_after_any_message() -> None:
    """Also after one that came in pieces."""
    stream = ClientMessages()
    for block in (b"Q\0", b"\0\0\x0d", b"sele", b"ct 1\0"):
        assert stream(block) == block
    with pytest.raises(Terminated):
        stream(TERMINATE)


@pytest.mark.parametrize("kind", [b"P", b"B", b"E", b"H", b"d", b"c"])
def test_a_goodbye_without_a_sync_is_the_servers(kind: bytes) -> None:
    """It rolls back what was executed since the last one; to use the session again would commit it."""
    stream = ClientMessages()
    stream(message(kind, b"x"))
    assert stream(TERMINATE) == TERMINATE


def test_after_an_impossible_length_nothing_is_a_goodbye() -> None:
    """Nobody knows where a message ends then."""
    stream = ClientMessages()
    stream(b"Q\0\0\0\x03")
    assert stream(TERMINATE) == TERMINATE


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"SFATAL\0C28P01\0Mx\0\0", "28P01"),
        (b"Mx\0\0", ""),
        (b"C28P0\0\0", ""),
        (b"C2\xff801\0\0", ""),
        (b"C28'01\0\0", ""),
        (b"", ""),
    ],
)
def test_of_an_error_the_sqlstate_alone_is_taken(body: bytes, code: str) -> None:
    """Five letters and digits, or nothing."""
    assert sqlstate_of(body) == code


def test_an_error_of_ours_is_a_servers_error() -> None:
    """With severity, SQLSTATE and message, as drivers expect it."""
    assert fatal("28000", "connvault x: y") == message(b"E", b"SFATAL\0VFATAL\0C28000\0Mconnvault x: y\0\0")


def test_reading_ends_at_its_deadline() -> None:
    """Not at a number of bytes, and not later however they come."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"R\0\0")
        with pytest.raises(TimeoutError):
            Wire(ours, deadline=time.monotonic() + 0.1).message()


def _ask(downstream: Downstream) -> Login:
    raise AssertionError("nobody may be asked for a login here")


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\0\0\x08\x04\xd2\x16\x2f"])
def test_a_client_that_says_too_little_is_let_go(sent: bytes) -> None:
    """After the greeting's time: nothing, a byte, or an SSLRequest and no more."""
    with client_of(Relay(limits=LIMITS), _ask, limits=LIMITS) as (stream, thread):
        stream.sendall(sent)
        thread.join(5)
        assert not thread.is_alive()
        assert stream.recv(100) in (b"", b"N")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\0\0\0\0",
        b"\0\0\0\x08\x04\xd2\x16\x2f" * 4,
    ],
)
def test_a_client_of_another_protocol_is_told_and_let_go(sent: bytes) -> None:
    """HTTP, a TLS handshake, lengths that can't be, endless requests for encryption: nobody is asked for a login."""
    with client_of(Relay(limits=LIMITS), _ask, limits=LIMITS) as (stream, thread):
        stream.sendall(sent)
        thread.join(5)
        assert not thread.is_alive()
        found = b""
        while block := stream.recv(100):
            found += block
        assert b"connvault malformed_frame" in found


def test_over_tcp_nothing_is_asked_before_the_token() -> None:
    """A password message that never ends, or is none."""
    for answer in (b"p\0\0\0\xff", b"Q\0\0\0\x05\0", message(b"p", b"the-token")):
        with client_of(Relay(limits=LIMITS), _ask, limits=LIMITS, over_tcp=True) as (stream, thread):
            stream.sendall(startup([(b"user", b"reader"), (b"database", b"shop")]) + answer)
            thread.join(5)
            assert not thread.is_alive()


def test_what_the_server_sends_at_once_reaches_the_client() -> None:
    """The greeting, with our key instead of the server's, and what followed it."""
    notice = message(b"N", b"SNOTICE\0\0")
    with (
        upstream(says(AUTH_OK + KEY + READY + notice)) as port,
        client_of(Relay(limits=LIMITS), lambda _: login_to(port), limits=LIMITS) as (stream, _),
    ):
        stream.sendall(startup([(b"user", b"reader"), (b"database", b"shop")]))
        found = b""
        while not found.endswith(notice):
            found += stream.recv(4096)
    assert found.startswith(AUTH_OK)
    assert KEY not in found
    assert KEY[:9] in found
    assert b"canary" not in found
