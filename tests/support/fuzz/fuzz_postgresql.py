"""PostgreSQL for the fuzzer: openings, watched streams, a client on either door of the relay, a server that lies."""

from __future__ import annotations

import contextlib
import re
from types import SimpleNamespace

from scramp import core as scram  # type: ignore[import-untyped]

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql import login as postgresql_login
from connvault_jupyter.relays.postgresql import messages, pool, relay
from connvault_jupyter.relays.postgresql.login import Session
from connvault_jupyter.relays.postgresql.messages import (
    TERMINATE,
    ClientMessages,
    Malformed,
    Startup,
    Terminated,
    message,
    parse_opening,
    sqlstate_of,
    startup,
    status_of,
)
from connvault_jupyter.relays.postgresql.relay import Relay

from ..canary import CANARY
from ..relays.scripted_streams import (
    TOKEN,
    Scripted,
    copy_scripted,
    cut,
    encrypted,
    reached,
    replaced,
)
from ..servers.postgres_upstream import AUTH_OK, KEY, READY
from .fuzz_oracles import LOGIN_BYTES, SAID, keeps_quiet, log_in, serve
from .guided import Target

LIMITS = Limits(login_s=20, greeting_s=20, warm_logins=0)
# The client's part of each SCRAM dialogue, so that a whole one can lie in the corpus.
NONCE = "n0nce"
_GREETED = AUTH_OK + message(b"S", b"server_version\x0016.1\0") + KEY + READY

# After these a server is ready again, so a goodbye can be held back.
_READY_AFTER = (b"Q", b"S", b"F")


def login(sslmode: str = "disable") -> Login:
    fields = {"host": "db.test", "port": 5432, "user": "reader", "database": "shop", "sslmode": sslmode}
    return Login(fields, {"password": CANARY}, 1, "r1")


def _opening(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        # `Wire.packet` gives no shorter one.
        found = parse_opening(data.ljust(4, b"\0"))
        if isinstance(found, Startup):
            assert parse_opening(startup(found.parameters)[4:]) == Startup(0, found.parameters)
    with contextlib.suppress(Malformed):
        status_of(data)
    code = sqlstate_of(data)
    assert re.fullmatch(r"([0-9A-Za-z]{5})?", code)


def _watched(data: bytes) -> None:
    """A stream passes as it is, however it is cut, and ends only at a goodbye of its own."""
    # A goodbye counts in a block of its own only.
    goodbye = data.rfind(TERMINATE)
    alone = [data[: max(0, goodbye)], *(data[at : at + 5] for at in range(max(0, goodbye), len(data), 5))]
    for blocks in ([data], cut(data), alone):
        stream, passed = ClientMessages(), b""
        try:
            for block in blocks:
                passed += stream(block)
                assert len(stream._head) < 5
        except Terminated:
            assert data[len(passed) :].startswith(TERMINATE)
            assert _ready_at(data, len(passed))
        else:
            assert passed == data


def _ready_at(data: bytes, end: int) -> bool:
    """Whether a message ends there after which nothing is under way; read without any of the package's code."""
    at, kind = 0, b"S"
    while at < end:
        kind, length = data[at : at + 1], int.from_bytes(data[at + 1 : at + 5], "big")
        assert length >= 4
        at += 1 + length
    return at == end and kind in _READY_AFTER


def _client(data: bytes, *, over_tcp: bool = False) -> None:
    told, passed = _served([data], _GREETED, over_tcp=over_tcp)
    assert _served(cut(data), _GREETED, over_tcp=over_tcp) == (told, passed)
    if passed:
        opening = passed[4 : int.from_bytes(passed[:4], "big")]
        assert opening.startswith(b"\0\3\0\0user\0reader\0database\0shop\0")
        names = opening[4:].split(b"\0")[:-2:2]
        assert len(names) == len({*names})
        assert b"replication" not in names
        # What comes after it is the client's, to the last byte.
        assert data.endswith(passed[4 + len(opening) :])
        assert not over_tcp or TOKEN.encode() in data
    # As often as it asked for encryption: no.
    _messages(told.lstrip(b"N"))


def _served(blocks: list[bytes], server: bytes, *, over_tcp: bool = False) -> tuple[bytes, bytes]:
    """What a client and a server are sent."""
    with (
        Scripted(*blocks) as client,
        Scripted(server) as upstream,
        replaced(relay, copy_both=copy_scripted, os=SimpleNamespace(urandom=bytes)),
        replaced(postgresql_login, connect=reached(upstream)),
    ):
        serve(Relay(limits=LIMITS), client, login(), limits=LIMITS, over_tcp=over_tcp)
    keeps_quiet(client.sent, upstream.sent)
    return bytes(client.sent), bytes(upstream.sent)


def _server(data: bytes) -> None:
    outcome = _logged_in([data], "disable")
    assert _logged_in(cut(data), "disable") == outcome
    # Without TLS the password itself is sent to nobody.
    keeps_quiet(outcome[1])
    told, _ = _served([startup([(b"user", b"reader"), (b"database", b"shop")])], data)
    if not told.startswith(AUTH_OK):
        assert SAID not in told


def _tls(data: bytes) -> None:
    """The server agrees to TLS, or what else it may say to the question; then the login."""
    for mode in ("prefer", "verify-full"):
        for blocks in ([data[:1], data[1:]], cut(data)):
            _, sent = _logged_in(blocks, mode)
            if mode == "prefer":
                # Whoever is on the way could be the one who asks for the password.
                keeps_quiet(sent)


def _logged_in(blocks: list[bytes], mode: str) -> tuple[str, bytes]:
    """The server's name or the code of the failure, and what it was sent."""
    with (
        Scripted(*blocks) as upstream,
        replaced(postgresql_login, connect=reached(upstream), encrypt=encrypted),
        replaced(scram, token_hex=lambda: NONCE),
    ):
        name = log_in(Relay(limits=LIMITS), login(mode), r"|PostgreSQL [0-9.]+")
    assert len(upstream.sent) <= LOGIN_BYTES
    return name, bytes(upstream.sent)


def _reset(data: bytes) -> None:
    """A session is clean only if the server has said exactly what it says to the two queries."""
    for blocks in ([data], cut(data)):
        with Scripted(*blocks) as upstream, replaced(pool, os=SimpleNamespace(urandom=bytes)):
            session = Session(upstream, ("db.test", 5432), {}, b"", {}, 1, b"")
            if pool.reset(session):
                assert not session.early
                _clean(data.removesuffix(upstream.left()))


def _clean(said: bytes) -> None:
    """The answers to the two queries, and settings."""
    answers = [(kind, body) for kind, body in _messages(said) if kind != b"S"]
    assert answers.pop(2)[0] == b"T"
    assert answers == [
        (b"C", b"DISCARD ALL\0"),
        (b"Z", b"I"),
        (b"D", b"\0\1\0\0\0\0010"),
        (b"C", b"SELECT 1\0"),
        (b"Z", b"I"),
    ]


def _messages(told: bytes) -> list[tuple[bytes, bytes]]:
    """Whole messages of a server; nothing else may be there."""
    found = []
    while told:
        length = int.from_bytes(told[1:5], "big")
        assert length >= 4
        assert len(told) > length
        found.append((told[:1], told[5 : length + 1]))
        told = told[length + 1 :]
    return found


TARGET = Target(
    "postgresql",
    {
        "opening": _opening,
        "watched": _watched,
        "client": _client,
        "tcp": lambda data: _client(data, over_tcp=True),
        "server": _server,
        "tls": _tls,
        "reset": _reset,
    },
    (messages, postgresql_login, relay, pool),
    (
        AUTH_OK, READY, KEY, TERMINATE, SAID, b"\0\0\0\x08", b"\0\0\0\x04", b"\0\3\0\0", b"\x04\xd2\x16\x2f",
        b"\x04\xd2\x16\x2e", b"user\0a\0", b"replication\0true\0", b"_pq_.x\0y\0", b"database\0b\0",
        b"options\0-c x=y\0", message(b"p", TOKEN.encode() + b"\0"), message(b"R", b"\0\0\0\x05salt"),
        message(b"R", b"\0\0\0\x03"), message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        message(b"N", b"SNOTICE\0\0"), message(b"Q", b"select 1\0"), message(b"S", b""),
        message(b"E", b"SFATAL\0C28P01\0M" + SAID + b"\0\0"), b"C28000\0", b"i=4096", b",m=x", b"v=",
    ),
)  # fmt: skip
