"""Redis for the fuzzer: commands, a client on either door of the relay, answers with secrets, a server that lies."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.masking import holding, masker
from connvault_jupyter.relays.redis import answers, markers, relay, resp, revealing_commands, rules
from connvault_jupyter.relays.redis import login as redis_login
from connvault_jupyter.relays.redis.relay import Relay
from connvault_jupyter.relays.redis.resp import Commands, ProtocolError, encode

from ..canary import CANARY
from ..relays.scripted_streams import (
    TOKEN,
    Scripted,
    copy_scripted,
    cut,
    downstream_of,
    reached,
    replaced,
)
from .fuzz_oracles import SAID, SPELLINGS, is_masked, keeps_quiet, log_in, serve
from .guided import Target

LIMITS = Limits(login_s=20, greeting_s=20)
WATCHED = frozenset({b"CONFIG", b"AUTH"})
_OF_THE_RELAY = rules.WATCHED | {b"AUTH", b"HELLO", b"CLIENT"}
_LOGIN = encode([b"AUTH", CANARY.encode()]) + encode([b"PING"])

Pieces = list[bytes | list[bytes]]


def login() -> Login:
    fields = {"host": "cache.test", "port": 6379, "sslmode": "disable"}
    return Login(fields, {"password": CANARY}, 1, "r1")


def marker(number: int) -> bytes:
    """The one that is made as so-manieth here."""
    return b"%039d" % number


def reread(data: bytes) -> list[list[bytes]]:
    """The server's reading (processMultibulkBuffer), which skips two bytes after an argument unseen.

    It ends where the server would end the connection. Inline commands have no quotes here, and no number that gets here
    may be one that a server reads otherwise (string2ll).
    """
    found: list[list[bytes]] = []
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return found
        if data[at : at + 1] != b"*":
            found.append(data[at:end].split())
            at = end + 2
            continue
        count, at = _number(data[at + 1 : end]), end + 2
        command = []
        for _ in range(count):
            end = data.find(b"\r\n", at)
            if end < 0:
                return found
            if data[at : at + 1] != b"$":
                return found
            length, at = _number(data[at + 1 : end]), end + 2
            if at + length + 2 > len(data):
                return found
            command.append(data[at : at + length])
            at += length + 2
        found.append(command)


def _number(digits: bytes) -> int:
    assert re.fullmatch(rb"0|[1-9][0-9]*", digits)
    return int(digits)


def _commands(data: bytes) -> None:
    """What passes is framed as an independent reader frames it; where it is cut changes nothing."""
    whole, pieces = _fed([data]), _fed(cut(data))
    assert (whole is None) == (pieces is None)
    if pieces is None:
        return
    assert pieces == whole
    for command in reread(b"".join(one if isinstance(one, bytes) else encode(one) for one in pieces)):
        assert not command or command[0].upper() not in WATCHED or command in pieces


def _fed(blocks: Iterable[bytes], watched: frozenset[bytes] | None = WATCHED) -> Pieces | None:
    """With neighbouring bytes joined. `None`: that is not the protocol."""
    commands, found = Commands(watched), Pieces()
    try:
        for block in blocks:
            for piece in commands.feed(block):
                if isinstance(piece, bytes) and found and isinstance(found[-1], bytes):
                    found[-1] += piece
                else:
                    found.append(piece)
            assert len(commands._held) <= resp.MAX_COMMAND_BYTES + len(block)
    except ProtocolError:
        return None
    return found


def _client(data: bytes, *, over_tcp: bool = False) -> None:
    outcomes = [_served(blocks, over_tcp=over_tcp) for blocks in ([data], cut(data))]
    # Of a command that is not whole, or turns out to be none, the beginning may have passed already.
    ran = [(told, reread(passed)) for told, passed in outcomes]
    assert ran[0] == ran[1] or None in (_fed([data], None), _fed([data], _OF_THE_RELAY))
    for told, passed in outcomes:
        keeps_quiet(told, told=data)
        assert not passed or not over_tcp or TOKEN.encode() in data
        assert not passed or passed.startswith(_LOGIN)
        rest = passed.removeprefix(_LOGIN)
        keeps_quiet(rest, told=data)
        commands = reread(rest)
        for before, command, after in zip([[], *commands], commands, [*commands[1:], []], strict=False):
            _harmless(command, between_markers=_is_marker(before) and _is_marker(after))


def _is_marker(command: list[bytes]) -> bool:
    return len(command) == 1 and re.fullmatch(rb"[0-9]{39}", command[0]) is not None


def _harmless(command: list[bytes], *, between_markers: bool) -> None:
    """An oracle of its own: as a server compares names, without the case and up to a zero byte. What has secrets among
    other things is sent where its answer can be told from others."""
    name, *arguments = (one.partition(b"\0")[0].lower() for one in command or [b""])
    assert name not in (b"auth", b"replicaof", b"slaveof", b"failover", b"reset")
    # With less after it, it is a mistake that the server may tell of.
    assert name != b"hello" or b"auth" not in arguments[1:2] or len(arguments) < 4
    begun = name, *arguments[:1]
    assert begun not in ((b"module", b"load"), (b"cluster", b"meet"))
    assert between_markers or begun not in ((b"acl", b"list"), (b"acl", b"getuser"))
    if begun == (b"config", b"get"):
        assert b"requirepass" not in arguments[1:]
    if begun == (b"config", b"get") and not between_markers:
        for pattern in arguments[1:]:
            assert not fnmatch.fnmatchcase("requirepass", pattern.decode("latin-1"))
    assert begun != (b"config", b"set") or b"requirepass" not in arguments[1::2]


def _served(blocks: list[bytes], *, over_tcp: bool) -> tuple[bytes, bytes]:
    """What a client and a server are sent."""
    answers = b"+OK\r\n+PONG\r\n", b"+OK\r\n$1\r\nx\r\n"
    with Scripted(*blocks) as client, Scripted(*answers) as upstream, _here(upstream):
        serve(Relay(limits=LIMITS), client, login(), limits=LIMITS, over_tcp=over_tcp)
    return bytes(client.sent), bytes(upstream.sent)


@contextmanager
def _here(upstream: Scripted) -> Iterator[None]:
    numbers = itertools.count()
    counted = SimpleNamespace(randbits=lambda _bits: next(numbers))
    with (
        replaced(relay, copy_both=copy_scripted),
        replaced(redis_login, connect=reached(upstream)),
        replaced(markers, secrets=counted),
    ):
        yield


def _reply(data: bytes) -> None:
    """Answers while three markers are waited for. The same however they come, and nothing is held back for good."""
    outcomes = [_answered(blocks) for blocks in ([data], cut(data))]
    assert outcomes[0] == outcomes[1] or not _usual(data)
    for shown in outcomes:
        assert len(shown) <= len(data) + 1000
    if b"0" * 38 not in data:
        # As data, and as the answer to a command that could tell the password.
        assert outcomes[0] == data
        assert len(_told(cut(data))) == len(data)
        is_masked(_told(cut(data)))


def _usual(data: bytes) -> bool:
    """Whether a server would say it so: markers in errors only, each once and in order, in lines of some length."""
    named = re.findall(rb"0{38}[012]", data)
    in_errors = re.findall(rb"^-[^\n]*?(0{38}[012])", data, re.MULTILINE)
    lines = data.split(b"\n")
    return (
        named == in_errors == sorted(set(named))
        and max(map(len, lines)) < 8000
        and data.count(b"\n") == data.count(b"\r\n")
    )


def _answered(blocks: list[bytes]) -> bytes:
    with Scripted() as client, Scripted() as upstream, _here(upstream):
        downstream = downstream_of(client, login(), limits=LIMITS)
        session = relay.Session(downstream, Commands(rules.WATCHED), login())
        session.passed([[b"AUTH", b"x"], [b"CONFIG", b"GET", b"*"], [b"RESET"]])
        shown = b""
        for block in blocks:
            shown += session.answers(block)
            assert len(session.answers._markers._held) <= 8192
        downstream.close()
        return shown + session.answers(b"")


def _told(blocks: list[bytes]) -> bytes:
    """After the first of the two markers around a command that nobody knows."""
    with Scripted() as client, Scripted() as upstream, _here(upstream):
        downstream = downstream_of(client, login(), limits=LIMITS)
        session = relay.Session(downstream, Commands(rules.WATCHED), login())
        session.passed([[b"HUSH", b"GET", b"requirepass"]])
        shown = session.answers(b"-ERR unknown command '" + marker(0) + b"'\r\n")
        for block in blocks:
            shown += session.answers(block)
        downstream.close()
        return shown + session.answers(b"")


def _server(data: bytes) -> None:
    # Where it is cut does count here: what comes before it was asked for is refused, if it is seen.
    for blocks in ([data], cut(data)):
        with Scripted(*blocks) as upstream, replaced(redis_login, connect=reached(upstream)):
            log_in(Relay(limits=LIMITS), login(), r"|(Redis|Valkey|KeyDB|Dragonfly) [0-9.]{1,19}")
        assert upstream.sent in (_LOGIN, _LOGIN + encode([b"HELLO", b"2"]))


TARGET = Target(
    "redis",
    {
        "commands": _commands,
        "client": _client,
        "tcp": lambda data: _client(data, over_tcp=True),
        "reply": _reply,
        "server": _server,
    },
    (resp, markers, rules, relay, redis_login, answers, revealing_commands, masker, holding),
    (
        b"\r\n", b"*1\r\n", b"*2\r\n", b"*3\r\n", b"$0\r\n\r\n", b"$4\r\n", b"$6\r\n", b"*0\r\n", b"-ERR ",
        b"\0", b"\\x", b"CONFIG", b"GET", b"SET", b"requirepass", b"AUTH", b"HELLO", b"ACL", b"RESET",
        b"QUIT", b"MULTI", SAID, encode([b"AUTH", TOKEN.encode()]), encode([b"CONFIG", b"GET", b"req*"]),
        encode([b"HELLO", b"3", b"AUTH", b"a", b"b"]), b"-ERR unknown command '" + marker(0) + b"'\r\n",
        marker(1), marker(2), *SPELLINGS,
    ),
)  # fmt: skip
