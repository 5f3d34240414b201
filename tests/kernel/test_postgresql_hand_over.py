"""A handed-over socket that is given back: the next connection gets the same session, as fresh as after its login."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.kernel.families import PostgresqlHandle
from setup_hooks.postgresql import PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.relays.relayed_handles import RelayedHandles


def _pid(connection: psycopg.Connection[Any]) -> int:
    return connection.info.backend_pid


def test_when_closed_at_rest_the_session_is_the_next_ones(handle: PostgresqlHandle) -> None:
    """In a loop there is no login after the first two: one was made ready beforehand."""
    pids = set()
    for _ in range(20):
        with handle.connect() as connection:
            assert connection.execute("select 1").fetchone() == (1,)
            pids.add(_pid(connection))
    assert len(pids) < 10


def test_when_given_back_nothing_of_the_session_is_left(handle: PostgresqlHandle) -> None:
    """Settings, temporary tables, prepared statements, locks and subscriptions of the last one are gone."""
    seen: dict[int, Any] = {}
    for _ in range(6):
        with handle.connect(autocommit=True) as connection:
            if _pid(connection) in seen:
                assert connection.execute("show work_mem").fetchone() == seen[_pid(connection)]
                assert connection.execute("select to_regclass('pg_temp.notes')").fetchone() == (None,)
                assert connection.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
                assert connection.execute(
                    "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
                ).fetchone() == (0,)
                assert connection.execute("select count(*) from pg_listening_channels()").fetchone() == (0,)
                return
            seen[_pid(connection)] = connection.execute("show work_mem").fetchone()
            connection.execute("set work_mem = '17MB'")
            connection.execute("create temporary table notes (t text)")
            connection.execute("select pg_advisory_lock(7)")
            connection.execute("listen news")
            connection.execute("select 1", prepare=True)
    pytest.fail("no session was used twice")


@pytest.mark.parametrize(
    "leave",
    [
        lambda connection: connection.execute("select 1"),
        lambda connection: connection.pgconn.enter_pipeline_mode(),
    ],
    ids=["in a transaction", "in a pipeline"],
)
def test_when_something_is_under_way_the_session_ends(
    handle: PostgresqlHandle, postgres: PostgresServer, leave: Callable[[Any], Any]
) -> None:
    """Closed in the middle: the server sees the goodbye, as without connvault."""
    connection = handle.connect()
    pid = _pid(connection)
    leave(connection)
    connection.close()
    statement = f"select 1 from pg_stat_activity where pid = {pid}"
    wait_until(lambda: not postgres.execute(statement), deadline_s=10, what="the end of the session")
    with handle.connect() as other:
        assert _pid(other) != pid


def test_when_closed_the_connection_is_of_no_use_any_more(handle: PostgresqlHandle) -> None:
    """What it says goes nowhere: the session is another one's."""
    connection = handle.connect()
    connection.close()
    connection.close()
    assert connection.closed
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")


def test_when_revoked_a_session_that_was_given_back_is_ended(
    handle: PostgresqlHandle, handles: RelayedHandles, postgres: PostgresServer
) -> None:
    """It waits in a worker that ends with its last handle."""
    connection = handle.connect()
    pid = _pid(connection)
    connection.close()
    handles.revoke(HandleInvalid(reason="revoked"))
    statement = f"select 1 from pg_stat_activity where pid = {pid}"
    wait_until(lambda: not postgres.execute(statement), deadline_s=10, what="the end of the session")


def test_when_a_forked_child_ends_the_sessions_go_on(handle: PostgresqlHandle) -> None:
    """It has copies of the parent's connections, and says goodbye on none of them."""
    with handle.connect(autocommit=True) as connection:
        child = multiprocessing.get_context("fork").Process(target=connection.close)
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert connection.execute("select 2").fetchone() == (2,)
