"""A Redis handle in a process of its own, with the real broker, the real relay and a real server."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.kernel.clients.redis import ALLOWED, Client
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess, requester_process
from tests.support.canary import CANARY
from tests.support.relays.relay_process import relays_below
from tests.support.servers.redis_server import RedisServer, redis_server

OTHER_PASSWORD = "another-canary-51"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(password=CANARY) as running:
        yield running


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Operator, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
    ):
        yield operator, path


def fields_of(server: RedisServer, **changed: Any) -> dict[str, Any]:
    return {"host": server.host, "port": server.port, "sslmode": "disable", **changed}


@pytest.fixture
def world(
    broker: tuple[Operator, str], server: RedisServer, tmp_path: Path
) -> Iterator[tuple[Operator, RequesterProcess]]:
    """With a fresh connection `cache`, and a process that has a handle `h` of it."""
    operator, path = broker
    made = operator.create("cache", "redis", fields_of(server, database=3), {"password": CANARY})
    with requester_process(tmp_path, path) as process:
        process.run("import asyncio, redis, redis.asyncio; h = connection('cache')")
        yield operator, process
    connection = made["connection"]["id"]
    found = operator.call("connections.get", {"id": connection})["connection"]
    operator.call("connections.delete", {"id": connection, "revision": found["revision"]})


def set_password(operator: Operator, value: str) -> None:
    views: list[dict[str, Any]] = operator.call("connections.list")["connections"]
    found = next(view["connection"] for view in views if view["connection"]["name"] == "cache")
    operator.call("secrets.set", {"id": found["id"], "field": "password", "value": value})


def test_a_client_through_the_broker(world: tuple[Operator, RequesterProcess]) -> None:
    """In its database, the same client each time; every connection is on record."""
    operator, process = world

    def counts() -> Counter[str]:
        return Counter(event["type"] for event in operator.call("audit.list", {"limit": 500})["events"])

    before = counts()
    assert {"access:asked", "access:granted"} <= before.keys()
    assert process.run("h.client() is h.client()") is True
    assert process.run("h.client().set('a', 1)") is True
    assert process.run("h.client().get('a').decode()") == "1"
    assert process.run("h.client().client_info()['db']") == 3
    assert process.run("h.client(decode_responses=True, protocol=2).get('a')") == "1"
    assert (
        process.run("h.client(decode_responses=True, protocol=3, client_name='me').client_getname()") == "me"
    )
    new = counts() - before
    # One a client.
    assert new["access:used"] == 3
    assert new["access:checked"] > 0


def test_an_async_client_through_the_broker(world: tuple[Operator, RequesterProcess]) -> None:
    """With its pool, and gone with it."""
    _, process = world
    process.run(
        "async def work():\n"
        "    async with h.async_client(decode_responses=True) as client:\n"
        "        await client.set('b', 2)\n"
        "        return await asyncio.gather(*(client.get('b') for _ in range(20)))\n"
    )
    assert process.run("asyncio.run(work())") == ["2"] * 20


def test_a_url_for_other_libraries(world: tuple[Operator, RequesterProcess]) -> None:
    """Without any password."""
    _, process = world
    process.run("u = h.url")
    assert process.run("u").startswith("unix:///")
    assert "@" not in process.run("u")
    assert process.run("redis.Redis.from_url(u).ping()") is True


def test_another_library_that_reads_the_pool_comes_here(world: tuple[Operator, RequesterProcess]) -> None:
    """As rq and django-redis make connections of their own out of it."""
    _, process = world
    process.run("k = dict(h.client().connection_pool.connection_kwargs)")
    process.run("p = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, **k)")
    process.run("h.client().set('by the pool', 'x') and None")
    assert process.run("redis.Redis(connection_pool=p).get('by the pool').decode()") == "x"
    process.run("a = h.async_client().connection_pool.connection_kwargs['path']")
    assert process.run("a == k['path'] and 'unix://' + a == h.url") is True


def test_the_handle_says_how(world: tuple[Operator, RequesterProcess]) -> None:
    """Brokered; no password anywhere in it or in the client."""
    _, process = world
    assert "brokered" in process.run("repr(h)")
    assert CANARY not in process.run(
        "repr(h) + repr(h.client()) + repr(h.client().connection_pool.connection_kwargs)"
    )
    assert {"client", "async_client", "url"} <= set(process.run("dir(h)"))
    assert Client.delivery == "relay"


@pytest.mark.parametrize(
    "argument", ["host", "port", "db", "password", "username", "unix_socket_path", "credential_provider",
                 "redis_connect_func", "connection_pool", "ssl", "path", "connection_class"]
)  # fmt: skip
@pytest.mark.parametrize("opener", ["client", "async_client"])
def test_no_argument_says_where_or_as_whom(argument: str, opener: str) -> None:
    """Refused before anything is asked."""
    assert argument not in ALLOWED
    with pytest.raises(TypeError, match=f"'{argument}' is not accepted"):
        getattr(Client(handle_ref=None), opener)(**{argument: "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize("opener", ["client().ping()", "client(protocol=2).ping()", "asyncio"])
def test_a_failed_login_is_our_typed_error(world: tuple[Operator, RequesterProcess], opener: str) -> None:
    """At once, with the connection's name, and without redis-py's ten attempts."""
    operator, process = world
    set_password(operator, "wrong-one")
    process.run(
        "async def ping():\n    async with h.async_client() as client:\n        await client.ping()\n"
    )
    with pytest.raises(Refused) as caught:
        process.run("asyncio.run(ping())" if opener == "asyncio" else f"h.{opener}")
    assert caught.value.kind == "UpstreamAuthFailed"
    assert caught.value.details["connection"] == "'cache'"
    assert process.run("h.client().connection_pool._in_use_connections") == "set()"


def test_when_released_the_next_use_is_refused(world: tuple[Operator, RequesterProcess]) -> None:
    """A client that had a connection open too."""
    _, process = world
    process.run("c = h.client(); c.ping(); h.release()")
    with pytest.raises(Refused) as caught:
        process.run("c.ping()")
    assert caught.value.kind == "HandleInvalid"


def test_when_revoked_a_waiting_call_ends(world: tuple[Operator, RequesterProcess]) -> None:
    """With our error: redis-py connects again, and is told."""
    operator, process = world
    process.run("c = h.client(socket_timeout=None); c.delete('queue')")
    process.begin("c.blpop('queue', 0)")
    operator.revoke_all("cache")
    with pytest.raises(Refused) as caught:
        process.finish()
    assert caught.value.kind == "HandleInvalid"


def test_when_the_relay_was_killed_the_same_client_goes_on(world: tuple[Operator, RequesterProcess]) -> None:
    """Its place is opened again."""
    operator, process = world
    process.run("c = h.client(); c.ping()")
    kill_workers(operator)
    assert process.run("c.ping()") is True
    process.run(
        "async def ping():\n    async with h.async_client() as client:\n        return await client.ping()\n"
    )
    kill_workers(operator)
    assert process.run("asyncio.run(ping())") is True


def kill_workers(operator: Operator) -> None:
    _, found = relays_below(operator.broker.pid)
    assert found
    for worker in found:
        worker.kill()
        worker.wait(10)


def test_when_the_password_was_replaced_the_pool_logs_in_anew(
    world: tuple[Operator, RequesterProcess], server: RedisServer
) -> None:
    """Within a second of use, without a new handle."""
    operator, process = world
    with server.client() as admin:
        before = process.run("h.client().client_id()")
        assert process.run("h.client().client_id()") == before
        admin.config_set("requirepass", OTHER_PASSWORD)
        try:
            set_password(operator, OTHER_PASSWORD)
            wait_until(
                lambda: process.run("h.client().client_id()") != before, deadline_s=10, what="a new login"
            )
        finally:
            admin.config_set("requirepass", CANARY)


def test_a_server_without_a_password(broker: tuple[Operator, str], tmp_path: Path) -> None:
    """No secret is stored and none is missed."""
    operator, path = broker
    with redis_server() as open_server:
        made = operator.create("open", "redis", fields_of(open_server), {})
        assert made["connection"]["status"] == "ready"
        with requester_process(tmp_path, path) as process:
            assert process.run("connection('open').client().ping()") is True


def test_a_trial_says_the_version(broker: tuple[Operator, str], server: RedisServer) -> None:
    """The form's button."""
    operator, _ = broker
    made = operator.create("tried", "redis", fields_of(server), {"password": CANARY})
    found = operator.call("connections.test", {"id": made["connection"]["id"]})
    assert (found["ok"], found["server"].split(".")[0]) == (True, "Redis 7")
