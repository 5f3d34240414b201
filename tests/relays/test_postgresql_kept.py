"""PostgreSQL: a session that was kept for the next client is as a new one would be, and is in nobody's way."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from connvault_jupyter.services.relay_ports import RelayEndpoint
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.relays.postgres_handles import handed
from tests.support.relays.postgres_handles import own as own
from tests.support.relays.postgres_relay import conninfo, vault_of
from tests.support.relays.relay_handles import Relays, relays


def opened(endpoint: RelayEndpoint, way: str = "relay", **more: Any) -> psycopg.Connection[Any]:
    found = psycopg.connect(**conninfo(endpoint, **more), autocommit=True)
    if way == "hand_over":
        assert handed(endpoint, found)
    return found


def asked(endpoint: RelayEndpoint, statement: str) -> Any:
    with opened(endpoint) as found:
        row = found.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


def pid_of(endpoint: RelayEndpoint) -> int:
    with opened(endpoint) as found:
        return found.info.backend_pid


def test_without_a_change_a_session_is_used_again(own: Relays) -> None:
    """The control of all that follows."""
    endpoint = own.endpoint()
    pids = [pid_of(endpoint) for _ in range(8)]
    assert len(set(pids)) < len(pids)


def test_a_database_can_be_copied_once_all_clients_have_gone(
    own: Relays, postgres: PostgresServer, postgres_login: Login
) -> None:
    """The server waits some seconds for the others to leave; whoever was kept has left by then."""
    endpoint = own.endpoint()
    for _ in range(3):
        pid_of(endpoint)
    copy = f"copy_of_{postgres_login.database}"
    postgres.execute(f'create database "{copy}" template "{postgres_login.database}"')
    postgres.execute(f'drop database "{copy}"')


def test_a_database_can_be_dropped_once_all_clients_have_gone(
    own: Relays, postgres: PostgresServer, postgres_login: Login
) -> None:
    """Without force."""
    endpoint = own.endpoint()
    for _ in range(3):
        pid_of(endpoint)
    postgres.execute(f'drop database "{postgres_login.database}"')


def test_a_client_that_stays_keeps_no_second_session_for_long(
    own: Relays, postgres: PostgresServer, postgres_login: Login
) -> None:
    """It may copy its own database: the session that was logged in beforehand is no client's."""
    postgres.execute(f'alter role "{postgres_login.user}" createdb')
    copy = f"copy_of_{postgres_login.database}"
    there = f"select pid from pg_stat_activity where usename = '{postgres_login.user}'"
    with opened(own.endpoint()) as found:
        wait_until(lambda: len(postgres.execute(there)) == 2, deadline_s=10, what="a second session")
        found.execute(f'create database "{copy}" template "{postgres_login.database}"')
        found.execute(f'drop database "{copy}"')


@pytest.mark.parametrize("way", ["relay", "hand_over"])
@pytest.mark.parametrize("by", ["the client", "somebody else"])
@pytest.mark.parametrize("whose", ["role", "database", "role in database"])
def test_changed_settings_are_there_at_the_next_login(
    own: Relays, postgres: PostgresServer, postgres_login: Login, way: str, by: str, whose: str
) -> None:
    """Each of several in a row, and taken back again."""
    endpoint = own.endpoint()
    role, database = f'role "{postgres_login.user}"', f'database "{postgres_login.database}"'
    what = {"role": role, "database": database, "role in database": f"{role} in {database}"}[whose]

    def change(how: str) -> None:
        statement = f"alter {what} {how}"
        if by == "the client":
            with opened(endpoint, way) as found:
                found.execute(statement.encode())
        else:
            postgres.execute(statement)

    before = asked(endpoint, "show work_mem")
    for size in ("7MB", "9MB"):
        for _ in range(3):
            pid_of(endpoint)
        change(f"set work_mem = '{size}'")
        assert asked(endpoint, "show work_mem") == size
    change("reset work_mem")
    assert asked(endpoint, "show work_mem") == before


def test_a_configuration_that_was_read_anew_is_there_at_the_next_login(
    own: Relays, postgres: PostgresServer
) -> None:
    """Some of its settings count for new sessions only."""
    endpoint = own.endpoint()
    pids = {pid_of(endpoint) for _ in range(3)}
    before = postgres.execute("select pg_conf_load_time()")
    postgres.execute("select pg_reload_conf()")
    wait_until(
        lambda: postgres.execute("select pg_conf_load_time()") != before, deadline_s=10, what="the reload"
    )
    assert pid_of(endpoint) not in pids


@pytest.mark.parametrize(
    ("leave", "look", "fresh"),
    [
        ("set work_mem = '7MB'", "show work_mem", "4MB"),
        ("set session characteristics as transaction read only", "show transaction_read_only", "off"),
        ("create temp table left_behind (n int)", "select to_regclass('left_behind')::text", None),
        ("prepare left_behind as select 1", "select count(*) from pg_prepared_statements", 0),
        ("listen left_behind", "select count(*) from pg_listening_channels()", 0),
        ("select pg_advisory_lock(1)", "select count(*) from pg_locks where locktype = 'advisory'", 0),
        ("declare left_behind cursor with hold for select 1", "select count(*) from pg_cursors", 0),
        ("set my.left_behind = 'value'", "select coalesce(current_setting('my.left_behind', true), '')", ""),
    ],
)
def test_nothing_of_the_client_before_is_left(own: Relays, leave: str, look: str, fresh: object) -> None:
    """Seen in the very session."""
    endpoint = own.endpoint()

    def left() -> int:
        with opened(endpoint) as found:
            found.execute(leave.encode())
            return found.info.backend_pid

    def again(pid: int) -> bool:
        with opened(endpoint) as found:
            row = found.execute(look.encode()).fetchone()
            assert row == (fresh,)
            return found.info.backend_pid == pid

    wait_until(lambda: again(left()), deadline_s=20, what="the same session")


def test_random_numbers_do_not_go_on_from_where_a_client_has_begun(own: Relays) -> None:
    """`DISCARD ALL` knows nothing of them."""
    endpoint = own.endpoint()
    with opened(endpoint) as found:
        row = found.execute("select setseed(0.5)::text || random()").fetchone()
        assert row is not None
        known = {row[0]}
        for _ in range(20):
            known |= {value for (value,) in found.execute("select random()::text").fetchall()}

    def seeded() -> int:
        with opened(endpoint) as one:
            one.execute("select setseed(0.5)")
            return one.info.backend_pid

    def again(pid: int) -> bool:
        with opened(endpoint) as one:
            (value,) = one.execute("select random()::text").fetchall()[0]
            assert value not in known
            return one.info.backend_pid == pid

    wait_until(lambda: again(seeded()), deadline_s=20, what="the same session")


def test_with_kept_sessions_switched_off_each_client_has_its_own(
    postgres: PostgresServer, postgres_login: Login
) -> None:
    """And none is left when it has gone."""
    there = f"select pid from pg_stat_activity where usename = '{postgres_login.user}'"
    with relays(vault_of(postgres_login, keep_sessions=False)) as found:
        endpoint = found.endpoint()
        pids = [pid_of(endpoint) for _ in range(6)]
        assert len(set(pids)) == len(pids)
        wait_until(lambda: not postgres.execute(there), deadline_s=10, what="the last session's end")


def test_a_server_that_does_not_tell_its_settings_has_none_kept(
    postgres: PostgresServer, postgres_login: Login
) -> None:
    """Of another make, or with a right taken away: it can't be seen whether a session is as a new one."""
    postgres.execute(
        "revoke select on pg_catalog.pg_db_role_setting from public", database=postgres_login.database
    )
    with relays(vault_of(postgres_login)) as found:
        endpoint = found.endpoint()
        pids = [pid_of(endpoint) for _ in range(6)]
    assert len(set(pids)) == len(pids)
