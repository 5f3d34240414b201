"""How a client's connection to a Redis relay begins and ends: tokens, leaving, cuts, many at once; nothing stays."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from connvault_jupyter.relays.downstream import no_token
from connvault_jupyter.relays.redis.resp import encode
from tests.support.broker.processes import wait_until
from tests.support.relays.redis_handles import PASSWORD
from tests.support.relays.redis_handles import relays as relays
from tests.support.relays.redis_handles import server as server
from tests.support.relays.redis_handles import started as started
from tests.support.relays.redis_relay import WAIT_S, Raw, RedisRelays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import workers


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
        with Raw(relays.endpoint()) as raw:
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
    with Raw(relays.endpoint()) as raw:
        raw.send(b"PING a\r\nPING b\r\n")
        raw.stream.shutdown(socket.SHUT_WR)
        assert raw.rest() == b"$1\r\na\r\n$1\r\nb\r\n"


def test_a_client_that_speaks_nonsense_is_told_and_ended(relays: RedisRelays) -> None:
    """After the answers that it had waited for."""
    with Raw(relays.endpoint()) as raw:
        raw.send(b"PING a\r\n*1\r\n$-5\r\nCONFIG GET requirepass\r\n")
        said = raw.rest()
    assert said.startswith(b"$1\r\na\r\n-ERR Protocol error: connvault: ")
    assert PASSWORD.encode() not in said


def test_over_tcp_the_token_is_the_password(relays: RedisRelays) -> None:
    """In each way in which a client gives one, and pipelined with what follows."""
    endpoint = relays.endpoint(tcp=True)
    token = endpoint.token.encode()
    assert endpoint.port
    ways: list[dict[str, Any]] = [{"protocol": 2}, {"protocol": 3}, {"username": "any"}]
    for arguments in ways:
        with redis.Redis(port=endpoint.port, password=endpoint.token, **arguments) as client:
            assert client.ping()
    for login in (b"AUTH " + token, b"AUTH any " + token, b'auth "' + token + b'"'):
        with tcp(endpoint.port) as stream:
            stream.sendall(
                b"PING\r\n" + login + b"\r\nPING x\r\nAUTH wrong\r\nAUTH " + token + b"\r\nQUIT\r\n"
            )
            said = b"".join(iter(lambda: stream.recv(65536), b""))
        why = b" connvault handle_invalid: " + no_token().message.encode() + b"\r\n"
        assert said == (b"-NOAUTH" + why + b"+OK\r\n$1\r\nx\r\n" + b"-WRONGPASS" + why + b"+OK\r\n+OK\r\n")


def test_over_tcp_a_token_may_come_byte_by_byte(relays: RedisRelays) -> None:
    """Slow is not wrong."""
    endpoint = relays.endpoint(tcp=True)
    with tcp(endpoint.port) as stream:
        for one in b"AUTH " + endpoint.token.encode() + b"\r\n":
            stream.sendall(bytes([one]))
        assert stream.recv(100) == b"+OK\r\n"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"GET a\r\n" * 10, b"-NOAUTH connvault handle_invalid: "),
        (b"AUTH \r\n" * 10, b"-NOAUTH connvault handle_invalid: "),
        (b"AUTH " + b"t" * 43 + b"\r\n", b"-WRONGPASS connvault handle_invalid: "),
        (encode([b"HELLO", b"3", b"AUTH", b"default", b"x"]) * 3, b"-WRONGPASS connvault handle_invalid: "),
        # What is not read any more makes its end a reset, and that can overtake what it is told.
        (encode([b"SET", b"k", b"v" * 20_000]), b""),
        (b"QUIT\r\n", b"+OK\r\n"),
        (b"\x16\x03\x01", b""),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: connvault: "),
    ],
)
def test_over_tcp_nothing_works_without_the_token(relays: RedisRelays, sent: bytes, told: bytes) -> None:
    """No login is even asked for."""
    endpoint = relays.endpoint(ref := new_ref(), tcp=True)
    with tcp(endpoint.port) as stream:
        stream.sendall(sent)
        said = b""
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: stream.recv(65536), b""))
    assert said.startswith(told)
    assert ref not in relays.vault.asked


def test_over_tcp_few_wrong_tokens_are_too_many(relays: RedisRelays) -> None:
    """Also if all of them come at once, and the right one after them."""
    endpoint = relays.endpoint(ref := new_ref(), tcp=True)
    wrong, right = encode([b"AUTH", b"guessed"]), encode([b"AUTH", endpoint.token.encode()])
    with tcp(endpoint.port) as stream:
        stream.sendall(wrong * 20 + right + encode([b"PING"]))
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while data := stream.recv(65536):
                said += data
    assert said.count(b"-WRONGPASS") <= 8
    assert b"PONG" not in said
    assert ref not in relays.vault.asked


def tcp(port: int | None) -> socket.socket:
    assert port
    stream = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    stream.settimeout(WAIT_S)
    return stream


def test_when_revoked_a_waiting_client_is_ended(relays: RedisRelays) -> None:
    """Upstream too, and at once; the socket is gone."""
    ref = new_ref()
    endpoint = relays.endpoint(ref)
    with Raw(endpoint) as raw, relays.client() as other:
        raw.send(b"BLPOP queue 0\r\n")
        wait_until(lambda: blocked(other) == 1, deadline_s=WAIT_S, what="a blocked client")
        relays.revoke(ref)
        assert raw.rest() == b""
        wait_until(lambda: blocked(other) == 0, deadline_s=WAIT_S, what="its end")
        assert other.ping()
    wait_until(lambda: not Path(endpoint.socket).exists(), deadline_s=WAIT_S, what="the end of the socket")
    with pytest.raises(FileNotFoundError):
        Raw(endpoint)


def test_fifty_clients_at_once_are_not_mixed_up(relays: RedisRelays) -> None:
    """Each gets its own answers."""
    endpoint = relays.endpoint()
    start = threading.Barrier(50)

    def work(number: int) -> bool:
        with relays.client(endpoint) as client:
            start.wait(WAIT_S)
            return all(client.echo(f"{number}:{turn}") == b"%d:%d" % (number, turn) for turn in range(20))

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(work, range(50)))


def test_when_clients_come_and_go_no_descriptor_stays(relays: RedisRelays) -> None:
    """Whatever way they end."""
    endpoint = relays.endpoint()

    def come_and_go() -> None:
        for _ in range(15):
            with relays.client(endpoint) as client:
                client.ping()
            with Raw(endpoint) as raw:
                raw.send(b"*1\r\n$-1\r\n").rest()
            with Raw(endpoint):
                pass

    with relays.client(endpoint) as client:
        client.ping()
        (worker,) = workers()
        before = worker.num_fds()
        for _ in range(2):
            come_and_go()
            wait_until(lambda: worker.num_fds() <= before, deadline_s=WAIT_S, what="the others' ends")
        assert client.info("clients")["connected_clients"] == 1
