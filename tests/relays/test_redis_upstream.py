"""How a Redis relay logs in: real servers with and without users and TLS, failures by code, hostile servers."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connvault_jupyter.errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
    VaultLocked,
)
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.redis.relay import Relay
from setup_hooks.postgresql import free_port
from tests.support.broker.processes import ends, wait_until
from tests.support.relays.redis_relay import WAIT_S, Raw, RedisRelays, redis_relays
from tests.support.servers.redis_server import RedisServer, redis_server
from tests.support.servers.scripted_upstream import dripping, upstream
from tests.support.servers.tls import loopback_certificate

PASSWORD = "canary-of-logins-3"
USERS = {
    "app": ("app-canary-8", "+@all ~*"),
    "silent": ("silent-canary-9", "-@all +get ~*"),
}
# redis-py tries a failed login ten times.
ONCE = Retry(NoBackoff(), 0)
HASTY = dataclasses.replace(LIMITS, connect_s=2.0, login_s=1.0)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD, users=USERS) as running:
        yield running


@pytest.fixture(scope="module")
def encrypted() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD, users=USERS, tls=loopback_certificate()) as running:
        yield running


@pytest.fixture(scope="module")
def started() -> Iterator[RedisRelays]:
    with redis_relays() as relays:
        yield relays


def login(server: RedisServer, *, password: str | None = PASSWORD, **fields: Any) -> Login:
    given = {"host": server.host, "port": server.port, "database": 0, "sslmode": "disable", **fields}
    return Login(given, {} if password is None else {"password": password}, 1, "r1")


def test_a_login_with_a_password_alone_is_the_default_users(server: RedisServer) -> None:
    """And the server says its version."""
    assert Relay(limits=LIMITS).log_in(login(server)).startswith("Redis ")


@pytest.mark.parametrize("database", [0, 9])
def test_as_a_user_in_a_database(started: RedisRelays, server: RedisServer, database: int) -> None:
    """Both of the connection's own."""
    started.point(server, user="app", password="app-canary-8", database=database)
    with started.client() as client:
        assert client.acl_whoami() == "app"
        assert client.client_info()["db"] == database


def test_a_user_who_may_do_little_is_logged_in_all_the_same(
    started: RedisRelays, server: RedisServer
) -> None:
    """PING is not needed for it, and refusals of ours need no permission."""
    started.point(server, user="silent", password="silent-canary-9")
    with Raw(started.endpoint()) as raw:
        raw.send(b"GET a\r\nPING\r\nCONFIG GET requirepass\r\n")
        assert raw.line() == b"$-1"
        assert raw.line().startswith(b"-NOPERM")
        assert raw.line().startswith(b"-ERR connvault not_allowed: ")
    assert Relay(limits=LIMITS).log_in(login(server, user="silent", password="silent-canary-9"))


def test_a_server_without_a_password_needs_none(started: RedisRelays) -> None:
    """And nothing is masked that is not there."""
    with redis_server() as open_server:
        assert Relay(limits=LIMITS).log_in(login(open_server, password=None))
        with started.point(open_server).client() as client:
            assert client.echo("anything") == b"anything"


@pytest.mark.parametrize(
    ("fields", "password", "kind"),
    [
        ({}, "wrong", UpstreamAuthFailed),
        ({}, None, UpstreamAuthFailed),
        ({"user": "nobody"}, PASSWORD, UpstreamAuthFailed),
        ({"user": "app"}, "", UpstreamAuthFailed),
        ({"database": 99}, PASSWORD, UpstreamRefused),
        ({"user": "silent", "database": 1}, "silent-canary-9", UpstreamRefused),
        ({"host": "nowhere.invalid"}, PASSWORD, UpstreamUnreachable),
        ({"host": "169.254.169.254"}, PASSWORD, UpstreamRefused),
    ],
)
def test_a_failed_login_has_a_code(
    server: RedisServer, fields: dict[str, Any], password: str | None, kind: type[UpstreamError]
) -> None:
    """And none of the server's words, nor ours."""
    with pytest.raises(kind) as caught:
        Relay(limits=HASTY).log_in(login(server, password=password, **fields))
    assert type(caught.value) is kind
    assert not any(word in caught.value.message for word in ("WRONGPASS", "nobody", PASSWORD, "ERR"))


def test_a_redis_where_nobody_listens_is_unreachable(server: RedisServer) -> None:
    """At once."""
    with pytest.raises(UpstreamUnreachable):
        Relay(limits=HASTY).log_in(login(server, port=free_port()))


def test_when_the_login_fails_the_client_is_told_as_its_first_answer(
    started: RedisRelays, server: RedisServer
) -> None:
    """By our code, in a form that its library takes for a failed login; over TCP too."""
    started.point(server, password="wrong")
    endpoint = started.endpoint(tcp=True)
    with Raw(endpoint) as raw:
        raw.send(b"PING\r\nPING\r\n")
        assert raw.rest().startswith(b"-NOAUTH connvault upstream_auth_failed: The service refused")
    for protocol in (2, 3):
        with (
            redis.Redis(
                port=endpoint.port or 0, password=endpoint.token, protocol=protocol, retry=ONCE
            ) as client,
            pytest.raises(redis.AuthenticationError, match="connvault upstream_auth_failed: "),
        ):
            client.ping()


def test_when_the_broker_refuses_the_client_is_told(started: RedisRelays, server: RedisServer) -> None:
    """What the broker says goes through."""
    started.point(server).vault.refusal = VaultLocked()
    with Raw(started.endpoint()) as raw:
        raw.send(b"PING\r\n")
        assert raw.rest() == f"-ERR connvault vault_locked: {VaultLocked().message}\r\n".encode()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_through_tls_all_arrives_and_who_leaves_is_noticed(
    started: RedisRelays, encrypted: RedisServer, mode: str
) -> None:
    """With a value that needs many records; a blocked client that leaves is noticed."""
    assert encrypted.tls
    authority = {} if mode == "require" else {"ca_certificate": encrypted.tls.authority}
    started.point(encrypted, sslmode=mode, **authority)
    value = bytes(range(256)) * 40_000
    with started.client() as client, started.client() as other:
        client.set("large", value)
        assert client.get("large") == value
        with Raw(started.endpoint()) as raw:
            raw.send(b"BLPOP queue 0\r\n")
            wait_until(
                lambda: other.info("clients")["blocked_clients"] == 1,
                deadline_s=WAIT_S,
                what="a blocked client",
            )
        wait_until(lambda: other.info("clients")["blocked_clients"] == 0, deadline_s=WAIT_S, what="its end")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"sslmode": "verify-full"}, UpstreamTlsFailed),
        ({"sslmode": "verify-ca", "ca_certificate": loopback_certificate().authority}, UpstreamTlsFailed),
        ({"sslmode": "verify-full", "host": "localhost", "ca_certificate": "own"}, UpstreamTlsFailed),
        ({"sslmode": "disable"}, UpstreamRefused),
    ],
)
def test_no_password_is_sent_to_another_server_than_the_expected(
    encrypted: RedisServer, fields: dict[str, Any], kind: type[UpstreamError]
) -> None:
    """Another authority, another name, no encryption there."""
    assert encrypted.tls
    if fields.get("ca_certificate") == "own":
        fields = {**fields, "ca_certificate": encrypted.tls.authority}
    with pytest.raises(kind):
        Relay(limits=HASTY).log_in(login(encrypted, **fields))


def test_when_the_password_was_changed_the_next_connection_has_the_new_one(started: RedisRelays) -> None:
    """What is open stays open; between the two changes the code says what is wrong."""
    with (
        redis_server(password="canary-before-1") as server,
        server.client() as admin,
        started.point(server).client() as first,
    ):
        assert first.ping()
        admin.config_set("requirepass", "canary-after-2")
        assert first.ping()
        with started.client() as second, pytest.raises(redis.AuthenticationError, match="upstream_auth"):
            second.ping()
        started.point(server, password="canary-after-2")
        with started.client() as third:
            assert third.ping()
            assert first.echo("one") == third.echo("one")


def test_when_the_server_restarts_the_same_handle_goes_on(started: RedisRelays) -> None:
    """redis-py connects again by itself."""
    with redis_server(password=PASSWORD) as server:
        endpoint = started.point(server).endpoint()
        with redis.Redis(unix_socket_path=endpoint.socket) as client:
            assert client.ping()
            server.stop()
            with Raw(endpoint) as raw:
                raw.send(b"PING\r\n")
                assert raw.rest().startswith(b"-ERR connvault upstream_unreachable: ")
            server.start()
            assert client.ping()


def silent(stream: socket.socket) -> None:
    while stream.recv(4096):
        pass


HOSTILE = {
    "says nothing": (silent, UpstreamTimeout),
    "hangs up": (lambda stream: None, UpstreamRefused),
    "trickles": (dripping(b"", b"+"), UpstreamTimeout),
    "never ends its line": (lambda stream: stream.sendall(b"-" * 10_000_000), UpstreamRefused),
    "speaks HTTP": (lambda stream: stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), UpstreamRefused),
    "says too much": (lambda stream: stream.sendall(b"+OK\r\n+PONG\r\n+MORE\r\n"), UpstreamRefused),
    "lies about a length": (lambda stream: stream.sendall(b"$9999999999\r\nx\r\n"), UpstreamRefused),
    "is full": (lambda stream: stream.sendall(b"-ERR max number of clients reached\r\n" * 2), UpstreamRefused),
    "repeats the password": (
        lambda stream: stream.sendall(b"-WRONGPASS " + stream.recv(4096).replace(b"\r\n", b" ") + b"\r\n-ERR\r\n"),
        UpstreamAuthFailed,
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", HOSTILE)
def test_a_hostile_server_ends_in_a_code_and_in_time(way: str) -> None:
    """One deadline for the whole login, and a bound for what is read."""
    talk, kind = HOSTILE[way]
    with ends(), upstream(talk) as port, pytest.raises(ConnvaultError) as caught:
        Relay(limits=HASTY).log_in(
            Login({"host": "127.0.0.1", "port": port, "sslmode": "disable"}, {"password": PASSWORD}, 1, "r")
        )
    assert type(caught.value) is kind
    assert PASSWORD not in str(caught.value)


def test_when_a_server_lies_about_a_length_only_its_client_waits(
    started: RedisRelays, server: RedisServer
) -> None:
    """The relay keeps no answer together, so it waits for nothing: others go on, and the client may leave."""

    def lie(stream: socket.socket) -> None:
        stream.recv(4096)
        stream.sendall(b"+OK\r\n+PONG\r\n")
        stream.recv(4096)
        stream.sendall(b"$1000000\r\nshort\r\n")
        stream.recv(4096)

    with upstream(lie) as port:
        liar = started.point(server, port=port).endpoint()
        with Raw(liar) as raw:
            raw.send(b"GET a\r\n")
            assert [raw.line(), raw.line()] == [b"$1000000", b"short"]
            with started.point(server).client() as client:
                assert client.ping()


def test_fifty_logins_at_once(started: RedisRelays, server: RedisServer) -> None:
    """Each on its own thread, none waits for another."""
    endpoint = started.point(server).endpoint()

    def work(_number: int) -> bool:
        with started.client(endpoint) as client:
            return bool(client.ping())

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(work, range(50)))
