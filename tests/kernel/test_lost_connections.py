"""Which handle an error is about, with real libraries that lose a real connection: its own, or nobody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy

from connvault_jupyter import connection
from connvault_jupyter.errors import ConnvaultError, HandleInvalid
from connvault_jupyter.kernel import api
from connvault_jupyter.kernel.families import PostgresqlHandle
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.relays.relayed_handles import RelayedHandles

REVOKED = HandleInvalid(reason="revoked")


def lost(use: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever this library raises
        use()
    assert not isinstance(caught.value, ConnvaultError), "the library itself does not know why"
    return caught.value


def why(error: BaseException) -> list[str]:
    return [str(one.details["reason"]) for one in api.ended(error)]


def queried(opened: psycopg.Connection[Any]) -> Callable[[], object]:
    return lambda: opened.execute("select 1")


@pytest.mark.parametrize(
    "use",
    [
        lambda opened: opened.execute("select 1"),
        lambda opened: opened.cursor().execute("select 1"),
        lambda opened: opened.commit(),
        lambda opened: opened.execute("select generate_series(1, 9)").fetchall(),
    ],
    ids=["connection", "cursor", "commit", "rows"],
)
def test_a_lost_psycopg_connection_says_why(
    handles: RelayedHandles, handle: PostgresqlHandle, use: Callable[[Any], object]
) -> None:
    """At the first use, and at each one after that, when it only says that the connection is closed."""
    opened = handle.connect()
    opened.execute("select 1")
    handles.revoke(REVOKED)
    assert why(lost(lambda: use(opened))) == ["revoked"]
    assert why(lost(lambda: use(opened))) == ["revoked"]


def test_psycopg_whose_handle_was_dropped(handles: RelayedHandles) -> None:
    """The connection is all that the notebook has."""
    opened = connection("warehouse", kind="postgresql").connect()
    handles.revoke(REVOKED)
    assert why(lost(queried(opened))) == ["revoked"]


def test_a_lost_async_psycopg_connection_says_why(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """In a coroutine."""

    async def use() -> BaseException:
        opened = await handle.async_connect()
        await asyncio.to_thread(handles.revoke, REVOKED)
        with pytest.raises(psycopg.OperationalError) as caught:
            await opened.execute("select 1")
        await opened.close()
        return caught.value

    assert why(asyncio.run(use())) == ["revoked"]


def test_a_lost_connection_of_an_engine_says_why(handles: RelayedHandles, engine: sqlalchemy.Engine) -> None:
    """SQLAlchemy wraps the driver's error."""
    with engine.connect() as opened:
        opened.execute(sqlalchemy.text("select 1"))
        handles.revoke(REVOKED)
        error = lost(lambda: opened.execute(sqlalchemy.text("select 1")))
        assert isinstance(error, sqlalchemy.exc.OperationalError)
        assert why(error) == ["revoked"]


@pytest.mark.parametrize("library", [psycopg, psycopg2])
def test_a_library_that_has_the_address(
    handles: RelayedHandles, handle: PostgresqlHandle, library: Any
) -> None:
    """It says which socket it could not reach."""
    dsn = handle.dsn
    library.connect(dsn).close()
    handles.revoke(REVOKED)
    assert why(lost(lambda: library.connect(dsn))) == ["revoked"]


@pytest.fixture
def direct(postgres: PostgresServer, login: Login) -> Any:
    """A connection of the notebook's own making, which the server has ended."""
    opened = psycopg.connect(
        host=login.host,
        port=login.port,
        user=login.user,
        dbname=login.database,
        password=login.password,
        autocommit=True,
    )
    postgres.execute(f"select pg_terminate_backend({opened.info.backend_pid})")
    return opened


def test_a_connection_without_a_handle_is_nobodys(
    handles: RelayedHandles, handle: PostgresqlHandle, direct: psycopg.Connection[Any]
) -> None:
    """Though a handle has just been revoked, and has lost one of the same kind."""
    opened = handle.connect()
    handles.revoke(REVOKED)
    assert why(lost(queried(direct))) == []
    assert why(lost(queried(opened))) == ["revoked"]
    assert why(lost(queried(direct))) == []


def test_a_connection_that_the_server_ended_is_put_down_to_no_handle(
    postgres: PostgresServer, handle: PostgresqlHandle
) -> None:
    """It is the server's doing."""
    opened = handle.connect(autocommit=True)
    postgres.execute(f"select pg_terminate_backend({opened.info.backend_pid})")
    assert why(lost(queried(opened))) == []


def test_what_is_lost_after_a_release_was_released(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """By the notebook itself."""
    opened = handle.connect()
    handle.release()
    handles.revoke(REVOKED)
    assert why(lost(queried(opened))) == ["released"]
