"""Redis through real relay processes and a real server: what clients do. How they begin and end is another file."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connvault_jupyter.relays.redis.resp import encode
from tests.support.relays.redis_handles import relays as relays
from tests.support.relays.redis_handles import server as server
from tests.support.relays.redis_handles import started as started
from tests.support.relays.redis_relay import WAIT_S, Raw, RedisRelays
from tests.support.relays.relay_process import workers
from tests.support.servers.redis_server import RedisServer


@pytest.fixture(params=[2, 3])
def client(relays: RedisRelays, request: pytest.FixtureRequest) -> Iterator[Any]:
    """In both versions of the protocol."""
    with relays.client(protocol=request.param) as made:
        made.flushall()
        yield made


def test_commands_and_values_of_all_kinds(client: Any) -> None:
    """As without a relay."""
    client.set("text", "grün")
    client.hset("hash", mapping={"a": "1"})
    client.rpush("list", *range(1000))
    client.zadd("scores", {"x": 1.5})
    assert client.get("text") == "grün".encode()
    assert client.hgetall("hash") == {b"a": b"1"}
    assert client.lrange("list", 0, -1) == [b"%d" % number for number in range(1000)]
    assert client.zscore("scores", "x") == 1.5
    assert client.get("nothing") is None
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.incr("list")


def test_a_transaction_with_watch(client: Any) -> None:
    """MULTI, EXEC, and a change in between."""
    client.set("n", 1)
    with client.pipeline() as pipe:
        pipe.watch("n")
        pipe.multi()
        pipe.incr("n").incr("n")
        assert pipe.execute() == [2, 3]
        pipe.watch("n")
        client.set("n", 10)
        pipe.multi()
        pipe.incr("n")
        with pytest.raises(redis.WatchError):
            pipe.execute()


def test_a_pipeline_of_ten_thousand(client: Any) -> None:
    """All at once, answered in their order."""
    pipe = client.pipeline(transaction=False)
    for number in range(10_000):
        pipe.set(f"k{number}", number)
    for number in range(0, 10_000, 100):
        pipe.get(f"k{number}")
    answers = pipe.execute()
    assert answers[10_000:] == [b"%d" % number for number in range(0, 10_000, 100)]


def test_a_value_of_64_mib_passes_in_little_memory(relays: RedisRelays) -> None:
    """Both ways; the worker holds a block or two of it."""
    value = bytes(range(256)) * (64 * 4096)
    with relays.client() as client:
        client.ping()
        (worker,) = workers()
        before = worker.memory_info().rss
        client.set("large", value)
        assert client.get("large") == value
        assert worker.memory_info().rss - before < 16 * 2**20
        client.delete("large")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.sampled_from(["set", "get", "auth", "hello", "refused", "multi"]), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=5),
)
def test_answers_given_here_keep_their_place(
    relays: RedisRelays, endpoint: Any, plan: list[str], cuts: list[int]
) -> None:
    """Whatever is mixed in a pipeline, and however it arrives: one answer a command, in order."""
    sent, expected = [], []
    for number, step in enumerate([*plan, "get"]):
        echo = b"%d" % number
        match step:
            case "set":
                sent.append(encode([b"SET", b"k", echo]))
                expected.append([b"+OK"])
            case "get":
                sent.append(encode([b"ECHO", echo]))
                expected.append([b"$%d" % len(echo), echo])
            case "auth":
                sent.append(encode([b"AUTH", b"any", b"thing"]))
                expected.append([b"+OK"])
            case "hello":
                sent.append(encode([b"HELLO", b"9", b"AUTH", b"a", b"b"]))
                expected.append([b"-NOPROTO unsupported protocol version"])
            case "refused":
                sent.append(b"config get requirepass\r\n")
                expected.append([b"-ERR connvault not_allowed: "])
            case _:
                sent.append(encode([b"MULTI"]) + encode([b"ECHO", echo]) + encode([b"EXEC"]))
                expected.append([b"+OK", b"+QUEUED", b"*1", b"$%d" % len(echo), echo])
    data = b"".join(sent)
    with Raw(endpoint) as raw:
        at = 0
        for cut in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
            raw.send(data[at:cut])
            at = cut
        for lines in expected:
            for line in lines:
                got = raw.line()
                assert got == line or (line.endswith(b" ") and got.startswith(line))


@pytest.fixture(scope="module")
def endpoint(started: RedisRelays, server: RedisServer) -> Any:
    return started.point(server).endpoint()


def test_a_refusal_spoils_a_transaction(relays: RedisRelays) -> None:
    """As any error does: EXEC runs nothing, and nothing is counted wrong."""
    with Raw(relays.endpoint()) as raw:
        raw.send(b"SET n 1\r\nMULTI\r\nINCR n\r\nCONFIG GET requirepass\r\nEXEC\r\nGET n\r\n")
        assert [raw.line() for _ in range(3)] == [b"+OK", b"+OK", b"+QUEUED"]
        assert raw.line().startswith(b"-ERR connvault not_allowed: ")
        assert raw.line().startswith(b"-EXECABORT")
        assert [raw.line(), raw.line()] == [b"$1", b"1"]


def test_answers_that_are_switched_off_are_not_waited_for(relays: RedisRelays) -> None:
    """CLIENT REPLY OFF and SKIP count for what is answered here too."""
    with Raw(relays.endpoint()) as raw:
        raw.send(b"CLIENT REPLY SKIP\r\nAUTH x\r\nPING one\r\n")
        assert [raw.line(), raw.line()] == [b"$3", b"one"]
        raw.send(b"CLIENT REPLY OFF\r\nAUTH x\r\nCONFIG GET *\r\nCLIENT REPLY ON\r\nAUTH x\r\nPING two\r\n")
        assert [raw.line() for _ in range(4)] == [b"+OK", b"+OK", b"$3", b"two"]


def test_hello_without_its_login(relays: RedisRelays) -> None:
    """The version and the name count, the password is nobody's business."""
    with Raw(relays.endpoint()) as raw:
        raw.send(encode([b"HELLO", b"3", b"AUTH", b"default", b"whatever", b"SETNAME", b"joe"]))
        assert raw.line() == b"%7"
        raw.send(b"CLIENT GETNAME\r\n")
        while raw.line() != b"joe":
            pass
        raw.send(b"ACL WHOAMI\r\n")
        assert [raw.line(), raw.line()] == [b"$7", b"default"]


def test_messages_arrive_while_nothing_is_asked(client: Any) -> None:
    """Publish and subscribe."""
    listener = client.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n*")
    for _ in range(2):
        assert listener.get_message(timeout=WAIT_S)
    assert client.publish("news", "hello") == 2
    found = [listener.get_message(timeout=WAIT_S) for _ in range(2)]
    assert {(one or {})["data"] for one in found} == {b"hello"}
    listener.close()


def test_invalidations_are_pushed(relays: RedisRelays) -> None:
    """Client side caching of RESP3."""
    with Raw(relays.endpoint()) as raw, relays.client() as other:
        other.set("cached", 1)
        raw.send(encode([b"HELLO", b"3"]) + b"CLIENT TRACKING ON\r\nGET cached\r\nPING done\r\n")
        while raw.line() != b"done":
            pass
        other.set("cached", 2)
        assert [raw.line() for _ in range(3)] == [b">2", b"$10", b"invalidate"]


def test_redis_cli_over_the_socket(relays: RedisRelays, tmp_path: Path) -> None:
    """As it is installed; with a password given or without."""
    endpoint = relays.endpoint()
    for extra in ([], ["-a", "anything", "--no-auth-warning"], ["-3"]):
        done = subprocess.run(
            ["redis-cli", "-s", endpoint.socket, *extra, "set", "from", "cli"],
            capture_output=True,
            timeout=WAIT_S,
            check=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert done.stdout == b"OK\n"
        assert done.stderr == b""


async def test_a_hundred_at_once_on_one_asyncio_client(relays: RedisRelays) -> None:
    """Each gets its own answer."""
    async with redis.asyncio.Redis(unix_socket_path=relays.endpoint().socket) as client:
        await client.set("a", "b")
        assert await asyncio.gather(*(client.get("a") for _ in range(100))) == [b"b"] * 100
