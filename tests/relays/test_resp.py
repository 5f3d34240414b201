"""Commands of the Redis protocol: cut as redis-py writes them and as the server reads them, however they arrive."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import PythonRespSerializer

from connvault_jupyter.relays.redis import resp
from connvault_jupyter.relays.redis.resp import Commands, ProtocolError, encode, split_inline

WATCHED = frozenset({b"CONFIG", b"AUTH"})

NAMES = st.sampled_from([b"GET", b"SET", b"config", b"CONFIG", b"Auth", b"LONGER-THAN-ANY", b""])
COMMANDS = st.lists(
    st.tuples(NAMES, st.lists(st.binary(max_size=40), max_size=5)).map(lambda pair: [pair[0], *pair[1]]),
    max_size=8,
)


def as_redis_py(commands: Iterable[list[bytes]]) -> bytes:
    """An independent encoder's words."""
    serializer: Any = PythonRespSerializer(6000, lambda value: value)
    return b"".join(b"".join(serializer.pack(*command)) for command in commands)


def fed(
    data: bytes, *, cuts: Iterable[int] = (), watched: frozenset[bytes] | None = WATCHED
) -> list[bytes | list[bytes]]:
    """What comes out, with neighbouring bytes joined."""
    commands = Commands(watched)
    found: list[bytes | list[bytes]] = []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        for piece in commands.feed(data[start:end]):
            last = found[-1] if found else None
            if isinstance(piece, bytes) and isinstance(last, bytes):
                found[-1] = last + piece
            else:
                found.append(piece)
    return found


def as_sent(pieces: list[bytes | list[bytes]]) -> bytes:
    return b"".join(one if isinstance(one, bytes) else encode(one) for one in pieces)


@given(COMMANDS, st.lists(st.integers(0, 4000), max_size=6))
def test_when_cut_anywhere_every_command_arrives_once(commands: list[list[bytes]], cuts: list[int]) -> None:
    """What redis-py encodes goes on byte for byte, and exactly the watched commands are handed out."""
    data = as_redis_py(commands)
    pieces = fed(data, cuts=cuts)
    assert as_sent(pieces) == data
    handed = [one for one in pieces if isinstance(one, list)]
    assert handed == [command for command in commands if command[0].upper() in WATCHED]


@given(COMMANDS)
def test_when_all_are_watched_all_are_handed_out(commands: list[list[bytes]]) -> None:
    """So it is before a login: nothing passes."""
    assert fed(as_redis_py(commands), cuts=range(0, 2000, 7), watched=None) == commands


@given(COMMANDS.filter(bool).map(lambda commands: commands[0]))
def test_our_encoder_writes_what_redis_py_writes(command: list[bytes]) -> None:
    """Two encoders, one result."""
    assert encode(command) == as_redis_py([command])


def test_a_large_value_is_not_kept() -> None:
    """It passes block by block: what is held back is a header at most."""
    commands = Commands(WATCHED)
    head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000000\r\n"
    assert as_sent(commands.feed(head)) == head
    for _ in range(100):
        assert commands.feed(b"v" * 65536) == [b"v" * 65536]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"config get  requirepass\r", [b"config", b"get", b"requirepass"]),
        (b"\"con\\x66ig\" GET 're q'", [b"config", b"GET", b"re q"]),
        (b'a"b c"', [b"ab c"]),
        (b"'it\\'s' \"\\n\\t\\\\\\\"\\q\"", [b"it's", b'\n\t\\"q']),
        (b'""', [b""]),
        (b"'a\\b'", [b"a\\b"]),
        (b'"\\xZZ"', [b"xZZ"]),
        (b"  \t \r", []),
    ],
)
def test_inline_commands_are_split_as_the_server_does(line: bytes, words: list[bytes]) -> None:
    """sdssplitargs(): quotes, escapes, blanks."""
    assert split_inline(line) == words


@pytest.mark.parametrize("line", [b'"abc', b"'abc", b'"a"b', b"'a'b", b'"a\\"', b"'a\\'"])
def test_a_command_with_unbalanced_quotes_is_refused(line: bytes) -> None:
    """The server refuses them too."""
    with pytest.raises(ProtocolError):
        split_inline(line)


def test_inline_commands_go_on_as_arrays() -> None:
    """What was judged is what is sent: nobody splits the line a second time."""
    pieces = fed(b'SET a "b c"\r\n\r\nconfig get x\nGET a\n', cuts=range(50))
    assert pieces == [encode([b"SET", b"a", b"b c"]), [b"config", b"get", b"x"], encode([b"GET", b"a"])]


def test_empty_commands_are_dropped() -> None:
    """The server says nothing to them."""
    assert fed(b"*0\r\n\r\n*1\r\n$4\r\nPING\r\n*0\r\n", cuts=range(40)) == [encode([b"PING"])]


MALFORMED = [
    b"*-1\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"* 1\r\n",
    b"*+1\r\n",
    b"*1\n$4\nPING\n",
    b"*1\r\n4\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxx",
    b"*2\r\n$3\r\nGET\r\n:1\r\n",
    b"*2\r\n$3\r\nGET\r\n$1\r\nabc",
    b"*2\r\n$4\r\nAUTH\r\n$1\r\nabc",
    b"*2\r\n$4\r\nAUTH\r\nx1\r\na",
    b"*1000000000000\r\n",
    b"*2\r\n$3\r\nGET\r\n$9999999999999999999999\r\n",
    b"*300\r\n$4\r\nAUTH\r\n",
    b"*2\r\n$4\r\nAUTH\r\n$20000\r\n",
    b"PING\0\r\nCONFIG GET requirepass\r\n",
    b"x" * resp.MAX_INLINE_BYTES,
    b'PING "\r\n',
]


@pytest.mark.parametrize("data", MALFORMED)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_no_command_is_refused(data: bytes, whole: bool) -> None:
    """Nothing that two readers could understand differently, nothing without a bound, and at once."""
    cuts = () if whole else range(len(data)) if len(data) < 100 else range(0, len(data), 997)
    with pytest.raises(ProtocolError):
        fed(data, cuts=cuts)


def test_when_a_watched_command_trickles_in_little_is_held() -> None:
    """A password of a gigabyte is refused by its length, not after a gigabyte."""
    commands, argument = Commands(WATCHED), b"$1000\r\n" + b"p" * 1000 + b"\r\n"
    commands.feed(b"*100\r\n$4\r\nAUTH\r\n")
    for _ in range(resp.MAX_COMMAND_BYTES // len(argument)):
        assert list(commands.feed(argument)) == []
    with pytest.raises(ProtocolError):
        commands.feed(argument)


def test_a_long_command_that_is_cut_in_its_name_passes() -> None:
    """Bounds are for watched commands: MSET of a thousand keys is none, though its first letters could become one."""
    data = encode([b"AUTHS", *(b"%d" % number for number in range(2000))])
    for cut in range(40):
        assert fed(data, cuts=[cut]) == [data]


def test_ten_thousand_small_commands_cost_little() -> None:
    """One pass over the bytes: a quadratic one would take minutes."""
    data = as_redis_py([[b"SET", b"key:%d" % number, b"v"] for number in range(10_000)])
    started = time.process_time()
    assert fed(data, cuts=range(0, len(data), 4096)) == [data]
    assert time.process_time() - started < 2
