"""The password of a Redis connection comes back in no answer: refused, or masked at its length."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.redis.relay import Session
from connvault_jupyter.relays.redis.resp import Commands, encode
from connvault_jupyter.relays.redis.revealing_commands import could_tell
from tests.support.relays.redis_relay import Raw, RedisRelays, redis_relays
from tests.support.servers.redis_server import RedisServer, redis_server

PASSWORD = "canary-vKq7Rz2m-4711"
HASH = hashlib.sha256(PASSWORD.encode()).hexdigest()
# What every answer is searched for.
TRACES = (PASSWORD.encode(), HASH.encode(), base64.b64encode(PASSWORD.encode())[:20], PASSWORD[::-1].encode())


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD, users={"other": (PASSWORD, "+@all ~*")}) as running:
        yield running


@pytest.fixture(scope="module")
def renamed() -> Iterator[RedisServer]:
    """Where the administrator has given CONFIG another name, which no rule knows."""
    with redis_server(password=PASSWORD, settings={"rename-command CONFIG": "hush"}) as running:
        yield running


@pytest.fixture(scope="module")
def relays(server: RedisServer) -> Iterator[RedisRelays]:
    with redis_relays() as started:
        yield started.point(server)


def said_to(relays: RedisRelays, *commands: bytes) -> bytes:
    """All answers, of a connection that ends with QUIT."""
    with Raw(relays.endpoint()) as raw:
        raw.send(b"".join(commands) + encode([b"QUIT"]))
        said = raw.rest()
    assert said.endswith(b"+OK\r\n")
    assert not any(trace in said for trace in TRACES)
    return said


def test_the_search_can_find_the_password(server: RedisServer) -> None:
    """Asked directly, the server gives all of it away: else the tests below would prove nothing."""
    with server.client() as direct:
        assert direct.config_get("requirepass") == {"requirepass": PASSWORD}
        assert HASH in json.dumps(direct.acl_list())
        assert HASH in json.dumps(direct.acl_getuser("default")["passwords"])


ASKED_BY_NAME = [
    encode([b"CONFIG", b"GET", b"requirepass"]),
    encode([b"config", b"get", b"REQUIREPASS"]),
    encode([b"CONFIG", b"GET", b"*", b"requirepass"]),
    b"CONFIG GET requirepass\r\n",
    b"config get requirepass\n",
    b'"con\\x66ig" "ge\\x74" "require\\x70ass"\r\n',
]
# What has it among other things, and something else that the answer has.
AMONG_OTHERS = [
    (encode([b"CoNfIg", b"gEt", b"*"]), b"$9\r\nmaxmemory\r\n$1\r\n0\r\n"),
    (encode([b"CONFIG", b"GET", b"maxmemory", b"*pass"]), b"$11\r\nrequirepass\r\n$0\r\n\r\n"),
    (b"'config'  'get'\t'r*'\r\n", b"$11\r\nrequirepass\r\n$0\r\n\r\n"),
    (b"CONFIG GET req\\uirepas?\r\n", b"$11\r\nrequirepass\r\n$0\r\n\r\n"),
    (encode([b"ACL", b"LIST"]), b"user other on "),
    (encode([b"acl", b"getuser", b"default"]), b"$9\r\npasswords\r\n*0\r\n"),
    (encode([b"ACL", b"GETUSER", b"other"]), b"$9\r\npasswords\r\n*0\r\n"),
]
SPELLINGS = [*ASKED_BY_NAME, *(command for command, _ in AMONG_OTHERS)]


@pytest.mark.parametrize("command", ASKED_BY_NAME)
def test_a_command_for_the_password_is_refused_in_every_spelling(relays: RedisRelays, command: bytes) -> None:
    """Small or capital letters, inline, quoted, escaped, among other names."""
    assert said_to(relays, command).startswith(b"-ERR connvault not_allowed: ")


@pytest.mark.parametrize(("command", "has"), AMONG_OTHERS)
@pytest.mark.parametrize("hello", [b"", b"HELLO 3\r\n"])
def test_settings_asked_for_beside_the_password_come_without_it(
    relays: RedisRelays, command: bytes, has: bytes, hello: bytes
) -> None:
    """All settings and users, in either version of the protocol, in its place among other answers."""
    said = said_to(relays, hello, b"ECHO before\r\n", command, b"ECHO after\r\n")
    _, before, rest = said.partition(b"$6\r\nbefore\r\n")
    answer, after, _ = rest.partition(b"$5\r\nafter\r\n")
    assert before
    assert after
    assert has in answer
    assert b"-ERR" not in said


def test_all_settings_come_but_for_the_secret_ones(relays: RedisRelays, server: RedisServer) -> None:
    """As redis-py reads them: nothing is missing, nothing else is changed."""
    with server.client() as direct, relays.client() as client:
        expected = direct.config_get("*") | {"requirepass": ""}
        assert client.config_get("*") == expected
        assert client.config_get("*auth") == {"masterauth": ""}


def test_users_come_without_their_hashes(relays: RedisRelays, server: RedisServer) -> None:
    """Their names and what they may do, as redis-py reads it."""
    with server.client() as direct, relays.client() as client:
        for line, shown in zip(direct.acl_list(), client.acl_list(), strict=True):
            assert shown.split() == [word for word in line.split() if not word.startswith("#")]
        user = direct.acl_getuser("other")
        assert client.acl_getuser("other") == {**user, "passwords": []}
        assert client.acl_getuser("nobody") is None


@pytest.mark.parametrize("command", SPELLINGS)
def test_a_command_for_the_password_is_refused_in_a_transaction(relays: RedisRelays, command: bytes) -> None:
    """And the transaction with it."""
    said = said_to(relays, b"MULTI\r\n", command, b"EXEC\r\n")
    assert said.startswith(b"+OK\r\n-ERR connvault not_allowed: ")
    assert b"-EXECABORT" in said


@pytest.mark.parametrize(
    "told",
    [
        b"CLIENT REPLY SKIP\r\n",
        b"client reply skip\r\n",
        b'CLIENT "reply\\x00x" SKIP\r\n',
        encode([b"CLIENT", b"REPLY\0x", b"SKIP"]),
        b"CLIENT REPLY OFF\r\nCLIENT REPLY ON\r\n",
    ],
)
@pytest.mark.parametrize("command", [command for command, _ in AMONG_OTHERS])
def test_a_command_for_the_password_is_refused_where_answers_may_be_left_out(
    relays: RedisRelays, told: bytes, command: bytes
) -> None:
    """Nobody could tell where the one with the secrets begins."""
    with Raw(relays.endpoint()) as raw:
        raw.send(told + command + command + encode([b"QUIT"]))
        said = raw.rest()
    assert b"-ERR connvault not_allowed: " in said
    assert not any(trace in said for trace in TRACES)
    assert b"maxmemory" not in said


@pytest.mark.parametrize(("command", "has"), AMONG_OTHERS)
def test_many_at_once_are_shown_or_refused(relays: RedisRelays, command: bytes, has: bytes) -> None:
    """More than are told apart: none comes as it is."""
    said = said_to(relays, command * 200)
    assert said.count(has) + said.count(b"-ERR connvault not_allowed: ") >= 200


def test_the_answer_to_a_renamed_command_is_masked(
    server: RedisServer, relays: RedisRelays, renamed: RedisServer
) -> None:
    """At its length, and whatever asks for it."""
    try:
        said = said_to(relays.point(renamed), b"hush get requirepass\r\n", b"hush get *pass*\r\n")
    finally:
        relays.point(server)
    stars = b"$%d\r\n%b\r\n" % (len(PASSWORD), b"*" * len(PASSWORD))
    assert said.count(stars) == 2


@pytest.mark.parametrize("command", SPELLINGS)
def test_a_password_that_comes_byte_by_byte_is_kept_back(relays: RedisRelays, command: bytes) -> None:
    """However slowly it comes."""
    with Raw(relays.endpoint()) as raw:
        for at in range(len(command)):
            raw.send(command[at : at + 1])
        raw.send(b"QUIT\r\n")
        said = raw.rest()
    assert said.endswith(b"+OK\r\n")
    assert len(said) > 30
    assert not any(trace in said for trace in TRACES)


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('CONFIG', 'GET', 'requirepass')",
        "return redis.pcall('config', 'get', '*')",
        "return redis.call('ACL', 'LIST')",
        "return redis.call('ACL', 'GETUSER', 'default')",
        "return redis.call('CONFIG', 'GET', 'requirepass')[2]:reverse()",
        "return redis.call('REPLICAOF', 'evil', '1')",
        "return redis.call('MODULE', 'LOAD', '/tmp/x')",
    ],
)
def test_a_script_can_not_ask_for_the_password(relays: RedisRelays, script: str) -> None:
    """The server's own flag: the rules rely on it."""
    said = said_to(relays, encode([b"EVAL", script.encode(), b"0"]))
    assert b"not allowed from script" in said


def test_the_logs_of_the_server_have_the_password_redacted(relays: RedisRelays, server: RedisServer) -> None:
    """MONITOR and SLOWLOG while others log in: these pass, because the server keeps it back."""
    with Raw(relays.endpoint()) as raw:
        raw.send(b"CONFIG SET slowlog-log-slower-than 0\r\nMONITOR\r\n")
        assert [raw.line(), raw.line()] == [b"+OK", b"+OK"]
        for protocol in (2, 3):
            with server.client(protocol=protocol) as other:
                other.ping()
        lines = [raw.line() for _ in range(4)]
        assert any(b"PING" in line for line in lines)
        assert not any(trace in line for line in lines for trace in TRACES)
    assert b"(redacted)" in said_to(relays, b"SLOWLOG GET 100\r\n")


def forms() -> list[bytes]:
    raw = PASSWORD.encode()
    return [
        raw,
        HASH.encode(),
        base64.b64encode(raw),
        base64.b64encode(b"x" + raw + b"yz"),
        json.dumps(PASSWORD).encode(),
        quote(PASSWORD).encode(),
    ]


@pytest.mark.parametrize("form", forms())
def test_what_someone_has_stored_comes_back_as_it_is(
    relays: RedisRelays, server: RedisServer, form: bytes
) -> None:
    """In a value, a list, a script's answer and an error: stars would be stored when it is written back."""
    with server.client() as other:
        other.set("stored", b"<" + form + b">")
    with Raw(relays.endpoint()) as raw:
        raw.send(
            encode([b"GET", b"stored"])
            + encode([b"MGET", b"stored", b"nothing", b"stored"])
            + encode([b"EVAL", b"return {redis.call('GET', 'stored')}", b"0"])
            + encode([b"EVAL", b"return redis.error_reply(redis.call('GET', 'stored'))", b"0"])
            + encode([b"QUIT"])
        )
        said = raw.rest()
    assert said.count(b"<" + form + b">") == 5


def test_the_answer_to_a_renamed_command_in_a_transaction_is_masked(
    server: RedisServer, relays: RedisRelays, renamed: RedisServer
) -> None:
    """The answer of EXEC has it; the transaction is none the worse for it."""
    try:
        with Raw(relays.point(renamed).endpoint()) as raw:
            raw.send(b"MULTI\r\nSET a 1\r\nhush get requirepass\r\nEXEC\r\nPING\r\n")
            assert [raw.line() for _ in range(4)] == [b"+OK", b"+QUEUED", b"+QUEUED", b"*2"]
            assert [raw.line() for _ in range(6)] == [
                b"+OK", b"*2", b"$11", b"requirepass", b"$%d" % len(PASSWORD), b"*" * len(PASSWORD),
            ]  # fmt: skip
            assert raw.line() == b"+PONG"
            raw.send(b"MULTI\r\nhush get requirepass\r\nDISCARD\r\nhush get requirepass\r\nQUIT\r\n")
            assert raw.rest() == (
                b"+OK\r\n+QUEUED\r\n+OK\r\n*2\r\n$11\r\nrequirepass\r\n"
                b"$%d\r\n%b\r\n+OK\r\n" % (len(PASSWORD), b"*" * len(PASSWORD))
            )
    finally:
        relays.point(server)


def test_a_client_that_wants_no_answers_gets_none_for_a_marker(
    server: RedisServer, relays: RedisRelays, renamed: RedisServer
) -> None:
    """However many such commands it sends; afterwards all is as before."""
    try:
        with Raw(relays.point(renamed).endpoint()) as raw:
            raw.send(b"CLIENT REPLY OFF\r\n" + b"hush get maxmemory\r\n" * 500 + b"CLIENT REPLY ON\r\n")
            assert raw.line() == b"+OK"
            raw.send(b"GET nothing\r\nCLIENT REPLY SKIP\r\nhush get maxmemory\r\nPING\r\nQUIT\r\n")
            assert raw.rest().endswith(b"+PONG\r\n+OK\r\n")
    finally:
        relays.point(server)


def test_a_large_command_that_nobody_knows_passes(relays: RedisRelays) -> None:
    """A module's, whose name has no dot: as it is, in whatever pieces."""
    with Raw(relays.endpoint()) as raw:
        raw.send(encode([b"WHATEVER", b"x" * 100_000]) + encode([b"PING"]) + encode([b"QUIT"]))
        assert raw.line().startswith(b"-ERR unknown command")
        assert raw.rest() == b"+PONG\r\n+OK\r\n"


def test_no_command_on_data_is_taken_for_one_that_could_tell(server: RedisServer) -> None:
    """Of all that this server has, only those for its settings, users and log."""
    with server.client() as direct:
        names = {name.decode() for name in direct.command_list()}
    telling = {name for name in names if "|" not in name and could_tell(name.upper().encode())}
    assert telling == {
        "acl",
        "config",
        "debug",
        "failover",
        "module",
        "replicaof",
        "reset",
        "slaveof",
        "slowlog",
    }


def filtered(pieces: list[bytes], password: str = PASSWORD) -> bytes:
    """What a client gets of these pieces, which are the answer to a command that nobody knows."""
    downstream: Any = SimpleNamespace(sighted=lambda: None)
    session = Session(downstream, Commands(None), Login({}, {"password": password}, 1, "r"))
    first, *_ = session.passed([[b"HUSH"]]).split(encode([b"HUSH"]))
    marker = first.split(b"\r\n")[2]
    answers = [b"-ERR unknown command '%b'\r\n" % marker, *pieces, b""]
    return b"".join(session.answers(piece) for piece in answers)


ECHO = encode(
    [b"GET", PASSWORD.encode() + b"\n" + PASSWORD.encode(), HASH.encode(), b"tail", PASSWORD.encode()[:9]]
)


@pytest.mark.parametrize("cut", range(len(ECHO)))
def test_a_password_is_masked_at_every_split(cut: int) -> None:
    """No piece of it gets out before the rest is known."""
    shown = filtered([piece for piece in (ECHO[:cut], ECHO[cut:]) if piece])
    assert shown == filtered([ECHO])
    assert len(shown) == len(ECHO)
    assert not any(trace in shown for trace in TRACES)


@given(cuts=st.lists(st.integers(0, 300), max_size=8), pad=st.text(alphabet="ab\r\n-+$*", max_size=40))
def test_wherever_answers_are_cut_they_are_masked(cuts: list[int], pad: str) -> None:
    """Several times, and with anything around it."""
    answers = encode([(pad + PASSWORD + pad).encode()]) + ECHO
    endpoints = [0, *sorted(cut % len(answers) for cut in cuts), len(answers)]
    shown = filtered([answers[start:end] for start, end in itertools.pairwise(endpoints) if end > start])
    assert len(shown) == len(answers)
    assert not any(trace in shown for trace in TRACES)


@pytest.mark.parametrize(
    "attempt",
    [
        b"CONFIG SET requirepass mine\r\n",
        b"config set maxmemory 0 masterauth mine\r\n",
        b"ACL SETUSER default on >mine\r\n",
        b"REPLICAOF 127.0.0.1 1\r\n",
        b"SLAVEOF 127.0.0.1 1\r\n",
        b"MODULE LOAD /tmp/x.so\r\n",
        b"RESET\r\n",
    ],
)
def test_the_login_itself_can_not_be_changed(
    relays: RedisRelays, server: RedisServer, attempt: bytes
) -> None:
    """Nor can the server be sent elsewhere with it. The connection goes on."""
    said = said_to(relays, attempt, b"PING\r\n")
    assert said.startswith(b"-ERR connvault not_allowed: ")
    assert said.endswith(b"+PONG\r\n+OK\r\n")
    with server.client() as direct:
        assert direct.role()[0] == b"master"
        assert direct.config_get("requirepass", "masterauth") == {"requirepass": PASSWORD, "masterauth": ""}
