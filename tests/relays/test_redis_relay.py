"""Redis through real relay processes and a real server: what clients do, and what ends them."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import redis
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connvault_jupyter.relays.resp import encode
from tests.support.processes import wait_until
from tests.support.redis_relay import WAIT_S, Raw, RedisRelays, new_ref, redis_relays
from tests.support.redis_server import RedisServer, redis_server

PASSWORD = "canary-of-relay-7"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD, users={"app": ("app-canary-8", "+@all ~*")}) as running:
        yield running


@pytest.fixture(scope="module")
def started() -> Iterator[RedisRelays]:
    with redis_relays() as relays:
        yield relays


@pytest.fixture
def relays(started: RedisRelays, server: RedisServer) -> RedisRelays:
    return started.point(server)


@pytest.fixture(params=[2, 3])
def client(relays: RedisRelays, request: pytest.FixtureRequest) -> Iterator[Any]:
    """In both versions of the protocol."""
    with relays.client(protocol=request.param) as made:
        made.flushall()
        yield made


def children(started: RedisRelays) -> list[psutil.Process]:
    found = [one for one in psutil.Process().children() if "relay_process" in " ".join(one.cmdline())]
    return [child for zygote in found for child in zygote.children()]


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


def test_a_value_of_64_mib_passes_in_little_memory(relays: RedisRelays, started: RedisRelays) -> None:
    """Both ways; the worker holds a block or two of it."""
    value = bytes(range(256)) * (64 * 4096)
    with relays.client() as client:
        client.ping()
        (worker,) = children(started)
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
    relays: RedisRelays, place: Any, plan: list[str], cuts: list[int]
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
    with Raw(place) as raw:
        at = 0
        for cut in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
            raw.send(data[at:cut])
            at = cut
        for lines in expected:
            for line in lines:
                got = raw.line()
                assert got == line or (line.endswith(b" ") and got.startswith(line))


@pytest.fixture(scope="module")
def place(started: RedisRelays, server: RedisServer) -> Any:
    return started.point(server).place()


def test_a_refusal_spoils_a_transaction(relays: RedisRelays) -> None:
    """As any error does: EXEC runs nothing, and nothing is counted wrong."""
    with Raw(relays.place()) as raw:
        raw.send(b"SET n 1\r\nMULTI\r\nINCR n\r\nCONFIG GET requirepass\r\nEXEC\r\nGET n\r\n")
        assert [raw.line() for _ in range(3)] == [b"+OK", b"+OK", b"+QUEUED"]
        assert raw.line().startswith(b"-ERR connvault not_allowed: ")
        assert raw.line().startswith(b"-EXECABORT")
        assert [raw.line(), raw.line()] == [b"$1", b"1"]


def test_answers_that_are_switched_off_are_not_waited_for(relays: RedisRelays) -> None:
    """CLIENT REPLY OFF and SKIP count for what is answered here too."""
    with Raw(relays.place()) as raw:
        raw.send(b"CLIENT REPLY SKIP\r\nAUTH x\r\nPING one\r\n")
        assert [raw.line(), raw.line()] == [b"$3", b"one"]
        raw.send(b"CLIENT REPLY OFF\r\nAUTH x\r\nCONFIG GET *\r\nCLIENT REPLY ON\r\nAUTH x\r\nPING two\r\n")
        assert [raw.line() for _ in range(4)] == [b"+OK", b"+OK", b"$3", b"two"]


def test_hello_without_its_login(relays: RedisRelays) -> None:
    """The version and the name count, the password is nobody's business."""
    with Raw(relays.place()) as raw:
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
    with Raw(relays.place()) as raw, relays.client() as other:
        other.set("cached", 1)
        raw.send(encode([b"HELLO", b"3"]) + b"CLIENT TRACKING ON\r\nGET cached\r\nPING done\r\n")
        while raw.line() != b"done":
            pass
        other.set("cached", 2)
        assert [raw.line() for _ in range(3)] == [b">2", b"$10", b"invalidate"]


def test_a_blocked_client_is_answered_when_there_is_something(relays: RedisRelays) -> None:
    """BLPOP waits upstream, not in the relay."""
    with relays.client() as waiting, relays.client() as other, ThreadPoolExecutor(1) as pool:
        found = pool.submit(waiting.blpop, ["queue"], 0)
        wait_until(lambda: blocked(other) == 1, deadline_s=WAIT_S, what="a blocked client")
        other.rpush("queue", "job")
        assert found.result(WAIT_S) == (b"queue", b"job")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_when_a_blocked_client_leaves_the_server_is_told(relays: RedisRelays, how: str) -> None:
    """Else the next job would be given to nobody."""
    with relays.client() as other:
        with Raw(relays.place()) as raw:
            raw.send(b"BLPOP queue 0\r\n")
            wait_until(lambda: blocked(other) == 1, deadline_s=WAIT_S, what="a blocked client")
            if how == "reset":
                raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: blocked(other) == 0, deadline_s=WAIT_S, what="its end")
        assert other.rpush("queue", "job") == 1
        other.delete("queue")


def blocked(client: Any) -> int:
    return int(client.info("clients")["blocked_clients"])


def test_what_was_sent_before_a_half_close_is_answered(relays: RedisRelays) -> None:
    """`printf ... | nc` is a client too."""
    with Raw(relays.place()) as raw:
        raw.send(b"PING a\r\nPING b\r\n")
        raw.stream.shutdown(socket.SHUT_WR)
        assert raw.rest() == b"$1\r\na\r\n$1\r\nb\r\n"


def test_a_client_that_speaks_nonsense_is_told_and_ended(relays: RedisRelays) -> None:
    """After the answers that it had waited for."""
    with Raw(relays.place()) as raw:
        raw.send(b"PING a\r\n*1\r\n$-5\r\nCONFIG GET requirepass\r\n")
        said = raw.rest()
    assert said.startswith(b"$1\r\na\r\n-ERR Protocol error: connvault: ")
    assert PASSWORD.encode() not in said


def test_redis_cli_over_the_socket(relays: RedisRelays, tmp_path: Path) -> None:
    """As it is installed; with a password given or without."""
    place = relays.place()
    for extra in ([], ["-a", "anything", "--no-auth-warning"], ["-3"]):
        done = subprocess.run(
            ["redis-cli", "-s", place.socket, *extra, "set", "from", "cli"],
            capture_output=True,
            timeout=WAIT_S,
            check=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        assert done.stdout == b"OK\n"
        assert done.stderr == b""


async def test_redis_asyncio(relays: RedisRelays) -> None:
    """A hundred at once on one client."""
    async with redis.asyncio.Redis(unix_socket_path=relays.place().socket) as client:
        await client.set("a", "b")
        assert await asyncio.gather(*(client.get("a") for _ in range(100))) == [b"b"] * 100


def test_over_tcp_the_token_is_the_password(relays: RedisRelays) -> None:
    """In each way in which a client gives one, and pipelined with what follows."""
    place = relays.place(tcp=True)
    token = place.token.encode()
    assert place.port
    ways: list[dict[str, Any]] = [{"protocol": 2}, {"protocol": 3}, {"username": "any"}]
    for arguments in ways:
        with redis.Redis(port=place.port, password=place.token, **arguments) as client:
            assert client.ping()
    for login in (b"AUTH " + token, b"AUTH any " + token, b'auth "' + token + b'"'):
        with tcp(place.port) as stream:
            stream.sendall(
                b"PING\r\n" + login + b"\r\nPING x\r\nAUTH wrong\r\nAUTH " + token + b"\r\nQUIT\r\n"
            )
            said = b"".join(iter(lambda: stream.recv(65536), b""))
        assert said == (
            b"-NOAUTH connvault: give the handle's token as the password.\r\n+OK\r\n$1\r\nx\r\n"
            b"-WRONGPASS connvault: this is not the handle's token.\r\n+OK\r\n+OK\r\n"
        )


def test_over_tcp_a_token_may_come_byte_by_byte(relays: RedisRelays) -> None:
    """Slow is not wrong."""
    place = relays.place(tcp=True)
    with tcp(place.port) as stream:
        for one in b"AUTH " + place.token.encode() + b"\r\n":
            stream.sendall(bytes([one]))
        assert stream.recv(100) == b"+OK\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET a\r\n" * 10,
        b"AUTH \r\n" * 10,
        b"AUTH " + b"t" * 43 + b"\r\n",
        encode([b"HELLO", b"3", b"AUTH", b"default", b"x"]) * 3,
        encode([b"SET", b"k", b"v" * 20_000]),
        b"QUIT\r\n",
        b"\x16\x03\x01",
        b"*1\r\n$-1\r\n",
    ],
)
def test_over_tcp_nothing_works_without_the_token(relays: RedisRelays, sent: bytes) -> None:
    """No login is even asked for."""
    place = relays.place(ref := new_ref(), tcp=True)
    with tcp(place.port) as stream:
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: stream.recv(65536), b""))
    assert not said or said.startswith((b"-", b"+OK"))
    assert ref not in relays.store.asked


def tcp(port: int | None) -> socket.socket:
    assert port
    stream = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    stream.settimeout(WAIT_S)
    return stream


def test_when_revoked_a_waiting_client_is_ended(relays: RedisRelays) -> None:
    """Upstream too, and at once; the socket is gone."""
    ref = new_ref()
    place = relays.place(ref)
    with Raw(place) as raw, relays.client() as other:
        raw.send(b"BLPOP queue 0\r\n")
        wait_until(lambda: blocked(other) == 1, deadline_s=WAIT_S, what="a blocked client")
        relays.revoke(ref)
        assert raw.rest() == b""
        wait_until(lambda: blocked(other) == 0, deadline_s=WAIT_S, what="its end")
        assert other.ping()
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        Raw(place)


def test_fifty_clients_at_once_are_not_mixed_up(relays: RedisRelays) -> None:
    """Each gets its own answers."""
    place = relays.place()
    start = threading.Barrier(50)

    def work(number: int) -> bool:
        with relays.client(place) as client:
            start.wait(WAIT_S)
            return all(client.echo(f"{number}:{turn}") == b"%d:%d" % (number, turn) for turn in range(20))

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(work, range(50)))


def test_when_clients_come_and_go_no_descriptor_stays(relays: RedisRelays, started: RedisRelays) -> None:
    """Whatever way they end."""
    place = relays.place()

    def come_and_go() -> None:
        for _ in range(15):
            with relays.client(place) as client:
                client.ping()
            with Raw(place) as raw:
                raw.send(b"*1\r\n$-1\r\n").rest()
            with Raw(place):
                pass

    with relays.client(place) as client:
        client.ping()
        (worker,) = children(started)
        come_and_go()
        before = settled(client, worker)
        come_and_go()
        assert settled(client, worker) <= before


def settled(client: Any, worker: psutil.Process) -> int:
    """The worker's descriptors, when the server knows of this client alone."""
    wait_until(
        lambda: client.info("clients")["connected_clients"] == 1, deadline_s=WAIT_S, what="the others' ends"
    )
    return wait_until(
        lambda: int(worker.num_fds()) if worker.num_threads() == 2 else None,
        deadline_s=WAIT_S,
        what="their threads",
    )
