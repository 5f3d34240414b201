"""MySQL for the fuzzer: packets, a client on either door of the relay, a server that lies, with and without TLS."""

from __future__ import annotations

from collections.abc import Callable

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.mysql import login as mysql_login
from connvault_jupyter.relays.mysql import packets, proofs, relay
from connvault_jupyter.relays.mysql.packets import Can, Malformed
from connvault_jupyter.relays.mysql.relay import Relay

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
from ..servers.mysql_server import OK, greeting
from .fuzz_oracles import LOGIN_BYTES, SAID, keeps_quiet, log_in, serve
from .guided import Target

LIMITS = Limits(login_s=20, greeting_s=20)
ALL = (1 << 32) - 1
SCRAMBLE = b"ABCDEFGHIJKLMNOPQRST"
# MySQL 8 as an honest server, which takes the first proof.
_HONEST = greeting(plugin=proofs.NATIVE), OK


def framed(*payloads: bytes, first: int = 0) -> bytes:
    """As packets with the numbers that belong to them."""
    return b"".join(
        len(one).to_bytes(3, "little") + bytes([(first + number) & 0xFF]) + one
        for number, one in enumerate(payloads)
    )


def login(sslmode: str = "disable") -> Login:
    fields = {"host": "db.test", "port": 3306, "user": "reader", "database": "shop", "sslmode": sslmode}
    return Login(fields, {"password": CANARY}, 1, "r1")


def _parsed(parse: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        try:
            parse(data)
        except Malformed:
            return

    return check


def _greeting(data: bytes) -> None:
    found = packets.parse_greeting(data)
    known = Can.PLUGIN_AUTH | Can.SECURE_CONNECTION
    if found.capabilities & known == known and len(found.scramble) == 20 and found.scramble[-1]:
        assert packets.parse_greeting(packets.greeting_packet(found)) == found


def _answer(data: bytes) -> None:
    found = packets.parse_answer(data, ALL)
    can = found.capabilities
    if can & (Can.PLUGIN_AUTH_LENENC | Can.SECURE_CONNECTION):
        # What it says, not what there happens to be.
        said = data[32 + len(found.user) + 1]
        assert len(found.proof) == said or said >= 0xFB
        assert packets.parse_answer(packets.answer_packet(found), can) == found


def _switch(data: bytes) -> None:
    plugin, scramble = packets.parse_switch(data)
    assert packets.parse_switch(packets.switch_packet(plugin, scramble)) == (plugin, scramble)


def _served(blocks: list[bytes], server: bytes, *, over_tcp: bool = False) -> tuple[bytes, bytes]:
    """What a client and a server are sent."""
    with (
        Scripted(*blocks) as client,
        Scripted(*cut(server)) as upstream,
        replaced(relay, copy_both=copy_scripted, _scramble=lambda: SCRAMBLE),
        replaced(mysql_login, connect=reached(upstream)),
    ):
        serve(Relay(limits=LIMITS), client, login(), limits=LIMITS, over_tcp=over_tcp)
    keeps_quiet(client.sent, upstream.sent)
    return bytes(client.sent), bytes(upstream.sent)


def _client(data: bytes, *, over_tcp: bool = False) -> None:
    server = framed(_HONEST[0]) + framed(_HONEST[1], first=2) + framed(OK, first=1)
    told, passed = _served([data], server, over_tcp=over_tcp)
    assert _served(cut(data), server, over_tcp=over_tcp) == (told, passed)
    assert sum(map(len, _payloads(told))) <= LOGIN_BYTES
    if passed:
        # Whoever the client says it is.
        assert passed[36:].startswith(b"reader\0")
        assert not over_tcp or proofs.native(TOKEN.encode(), SCRAMBLE) in data


def _server(data: bytes) -> None:
    outcome = _logged_in([data], "disable")
    assert _logged_in(cut(data), "disable") == outcome
    # Never in the clear without TLS, whatever the server wants.
    keeps_quiet(outcome[1])
    told, _ = _served([framed(_sample_answer(), first=1)], data)
    # Its version is passed on, and after a login everything; in an error of ours there is nothing of it.
    assert SAID not in told.partition(b"connvault upstream_")[2]


def _tls(data: bytes) -> None:
    for mode in ("require", "verify-full"):
        name, sent = _logged_in([data], mode)
        assert _logged_in(cut(data), mode) == (name, sent)
        if mode == "require":
            # Whoever is on the way could be the one who asks for the password.
            keeps_quiet(sent)


def _logged_in(blocks: list[bytes], mode: str) -> tuple[str, bytes]:
    """The server's name or the code of the failure, and what it was sent."""
    names = r"|(MySQL|MariaDB) [0-9]{1,4}(\.[0-9]{1,4}){0,3}"
    with (
        Scripted(*blocks) as upstream,
        replaced(mysql_login, connect=reached(upstream), encrypt=encrypted),
    ):
        name = log_in(Relay(limits=LIMITS), login(mode), names)
    assert len(upstream.sent) <= LOGIN_BYTES
    return name, bytes(upstream.sent)


def _payloads(data: bytes) -> list[bytes]:
    """Of whole packets; nothing else may be there."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "little")
        assert len(data) >= 4 + length
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


def _sample_answer() -> bytes:
    """A client that wants all there is."""
    return packets.answer_packet(
        packets.Answer(ALL & ~int(Can.SSL), 0, 1 << 24, 45, b"ann", b"x" * 20, b"shop", proofs.NATIVE, b"")
    )


TARGET = Target(
    "mysql",
    {
        "greeting": _parsed(_greeting),
        "answer": _parsed(_answer),
        "switch": _parsed(_switch),
        "error": _parsed(packets.parse_error),
        "client": _client,
        "tcp": lambda data: _client(data, over_tcp=True),
        "server": _server,
        "tls": _tls,
    },
    (packets, proofs, mysql_login, relay),
    (
        b"\0", b"\xfb", b"\xfc", b"\xfd", b"\xfe", b"\xff", b"\x01\x03", b"\x01\x04", SCRAMBLE, SAID,
        proofs.NATIVE + b"\0", proofs.CACHING_SHA2 + b"\0", proofs.ED25519 + b"\0", proofs.CLEAR + b"\0",
        proofs.native(TOKEN.encode(), SCRAMBLE), framed(OK, first=2), framed(_HONEST[0]),
    ),
)  # fmt: skip
