"""Servers of PostgreSQL that lie, dawdle or send without end: the login gives them up."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from typing import Any

import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
)
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql.login import log_in
from connvault_jupyter.relays.postgresql.messages import message, parameter_status
from connvault_jupyter.relays.upstream import shut
from tests.support.broker.processes import ends
from tests.support.servers.postgres_upstream import (
    AUTH_OK,
    KEY,
    READY,
    exactly,
    login_to,
    read_message,
    read_packet,
    says,
)
from tests.support.servers.scripted_upstream import Behaviour, dripping, upstream

# A hostile server costs a test no more than this.
LIMITS = Limits(connect_s=0.5, login_s=0.5)


def _silent(stream: socket.socket) -> None:
    exactly(stream, 10**6)


def _slowly(stream: socket.socket) -> None:
    read_packet(stream)
    dripping(b"", AUTH_OK, every_s=0.05)(stream)


def _endless(part: bytes) -> Behaviour:
    def behave(stream: socket.socket) -> None:
        read_packet(stream)
        while True:
            stream.sendall(part * 100)

    return behave


def _scram_server(first: Any, final: bytes) -> Behaviour:
    """A SCRAM server that knows no password: `first` makes its nonce, salt and count; `final` is said at the end."""

    def behave(stream: socket.socket) -> None:
        read_packet(stream)
        stream.sendall(message(b"R", struct.pack(">I", 10) + b"SCRAM-SHA-256\0\0"))
        _, body = read_message(stream)
        nonce = body.split(b"r=")[1]
        stream.sendall(message(b"R", struct.pack(">I", 11) + first(nonce)))
        read_message(stream)
        stream.sendall(final)
        while stream.recv(100):
            pass

    return behave


def _good(nonce: bytes) -> bytes:
    return b"r=" + nonce + b"more,s=" + base64.b64encode(b"s" * 16) + b",i=4096"


FALSE_PROOF = message(b"R", struct.pack(">I", 12) + b"v=" + base64.b64encode(hashlib.sha256(b"").digest()))

GREETING = AUTH_OK + parameter_status("server_version", "15") + KEY + READY

HOSTILE: dict[str, tuple[Behaviour, type[ConnvaultError]]] = {
    "silent": (_silent, UpstreamTimeout),
    "a byte now and then": (_slowly, UpstreamTimeout),
    "closes": (lambda stream: None, UpstreamRefused),
    "http": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), UpstreamRefused),
    "a length of nothing": (says(b"R\0\0\0\0"), UpstreamRefused),
    "a length of everything": (says(b"R\xff\xff\xff\xff" + b"x" * 1000), UpstreamRefused),
    "half a message": (says(AUTH_OK[:-1]), UpstreamTimeout),
    "a login without a method": (says(message(b"R", b"")), UpstreamRefused),
    "kerberos": (says(message(b"R", struct.pack(">I", 7))), UpstreamAuthFailed),
    "a plain password": (says(message(b"R", struct.pack(">I", 3))), UpstreamTlsFailed),
    "an md5 salt of three bytes": (says(message(b"R", struct.pack(">I", 5) + b"abc")), UpstreamAuthFailed),
    "no mechanism": (says(message(b"R", struct.pack(">I", 10) + b"\0")), UpstreamAuthFailed),
    "a foreign mechanism": (says(message(b"R", struct.pack(">I", 10) + b"OAUTHBEARER\0\0")), UpstreamAuthFailed),
    "plus without tls": (
        says(message(b"R", struct.pack(">I", 10) + b"SCRAM-SHA-256-PLUS\0\0")), UpstreamAuthFailed,
    ),
    "asks twice": (says(message(b"R", struct.pack(">I", 5) + b"salt") * 2), UpstreamRefused),
    "an error without a code": (says(message(b"E", b"Mfor canary\0\0")), UpstreamRefused),
    "an error of zeros": (says(message(b"E", b"\0" * 100)), UpstreamRefused),
    "endless notices": (_endless(message(b"N", b"SNOTICE\0\0")), UpstreamRefused),
    "endless settings": (
        _endless(parameter_status("a", "b" * 1000)), UpstreamRefused,
    ),
    "endless settings after the login": (
        says(AUTH_OK + parameter_status("a", "b" * 1000) * 1000), UpstreamRefused,
    ),
    "a setting without an end": (says(AUTH_OK + message(b"S", b"abc") + READY), UpstreamRefused),
    "ready inside a transaction": (says(AUTH_OK + message(b"Z", b"T")), UpstreamRefused),
    "a row before it is ready": (says(AUTH_OK + message(b"D", b"\0\0")), UpstreamRefused),
    "a false proof": (_scram_server(_good, FALSE_PROOF), UpstreamAuthFailed),
    "no proof": (_scram_server(_good, GREETING), UpstreamRefused),
    "an error for a proof": (
        _scram_server(_good, message(b"R", struct.pack(">I", 12) + b"e=other-error")), UpstreamAuthFailed,
    ),
    "another nonce": (
        _scram_server(lambda nonce: _good(b"mine"), FALSE_PROOF), UpstreamAuthFailed,
    ),
    "a billion rounds": (
        _scram_server(lambda nonce: _good(nonce).replace(b"4096", b"1000000000"), FALSE_PROOF),
        UpstreamAuthFailed,
    ),
    "one round": (
        _scram_server(lambda nonce: _good(nonce).replace(b"4096", b"1"), FALSE_PROOF), UpstreamAuthFailed,
    ),
    "one round less than RFC 7677 has": (
        _scram_server(lambda nonce: _good(nonce).replace(b"4096", b"4095"), FALSE_PROOF), UpstreamAuthFailed,
    ),
    "bytes that are no text": (
        _scram_server(lambda nonce: b"\xff\xfe", FALSE_PROOF), UpstreamAuthFailed,
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", HOSTILE)
def test_a_lying_server_is_given_up(which: str) -> None:
    """In time, with a stable code, without the secret or a word of the server's."""
    behaviour, kind = HOSTILE[which]
    with ends(), upstream(behaviour) as port, pytest.raises(ConnvaultError) as caught:
        log_in(login_to(port), (), limits=LIMITS)
    assert type(caught.value) is kind
    assert "canary" not in repr((caught.value.args, caught.value.details))


@pytest.mark.parametrize(
    ("rounds", "kind", "said"),
    [
        (1_000_000, UpstreamAuthFailed, "did not prove"),
        (1_000_001, UpstreamRefused, "too many SCRAM iterations"),
    ],
)
def test_a_server_may_ask_for_a_million_rounds_and_no_more(rounds: int, kind: Any, said: str) -> None:
    """They cost the relay's time: beyond that no proof is made."""
    asks = _scram_server(lambda nonce: _good(nonce).replace(b"4096", b"%d" % rounds), FALSE_PROOF)
    with upstream(asks) as port, pytest.raises(kind, match=said):
        log_in(login_to(port), (), limits=Limits(connect_s=60, login_s=60))


def test_the_positive_control_a_trusting_server_lets_us_in() -> None:
    """The scripted servers speak the protocol where they don't lie."""
    with upstream(says(GREETING)) as port:
        session = log_in(login_to(port), (), limits=LIMITS)
        shut(session.stream)
    assert (session.pid, session.key) == (4711, struct.pack(">I", 815))
    assert session.settings == {"server_version": "15"}


@pytest.mark.parametrize(
    ("answer", "mode", "kind"),
    [
        (b"N", "require", UpstreamTlsFailed),
        (b"E", "require", UpstreamRefused),
        (b"H", "prefer", UpstreamRefused),
        (b"S" + GREETING, "require", UpstreamRefused),
        (b"S", "require", UpstreamTimeout),
        (b"", "prefer", UpstreamTimeout),
    ],
)
def test_no_lie_about_encryption_is_believed(answer: bytes, mode: str, kind: Any) -> None:
    """Nor are bytes taken that came before the handshake (CVE-2021-23222)."""

    def behave(stream: socket.socket) -> None:
        exactly(stream, 8)
        stream.sendall(answer)
        while stream.recv(4096):
            pass

    with upstream(behave) as port, pytest.raises(ConnvaultError) as caught:
        log_in(login_to(port, sslmode=mode), (), limits=LIMITS)
    assert type(caught.value) is kind


def test_what_comes_with_the_greeting_is_not_lost() -> None:
    """A message right after ReadyForQuery is the client's."""
    notice = message(b"N", b"SNOTICE\0\0")
    with upstream(says(GREETING + notice)) as port:
        session = log_in(login_to(port), (), limits=LIMITS)
        session.stream.settimeout(5)
        rest = session.early or session.stream.recv(100)
        shut(session.stream)
    assert rest == notice
