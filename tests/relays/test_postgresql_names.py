"""PostgreSQL: which database and user a client may name, and that none is taken for another one."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from connvault_jupyter.services.relay_ports import RelayEndpoint
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.relays.postgres_handles import endpoint as endpoint
from tests.support.relays.postgres_handles import login as login
from tests.support.relays.postgres_handles import shared as shared
from tests.support.relays.postgres_relay import conninfo, os_user, startup_packet, vault_of
from tests.support.relays.relay_handles import Relays, relays
from tests.support.servers.postgres_upstream import read_message

WHO = b"select current_user, current_database()"


@pytest.fixture(scope="module")
def other(postgres: PostgresServer, login: Login) -> Iterator[str]:
    """Another database of the same server, of the same user."""
    name = f"test_{login.database}"
    postgres.execute(f'create database "{name}" owner "{login.user}"')
    yield name
    postgres.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture(scope="module")
def wide(login: Login) -> Iterator[Relays]:
    """A connection that may lead to any database of its server."""
    with relays(vault_of(login, any_database=True)) as found:
        yield found


def refusal(endpoint: RelayEndpoint, **named: Any) -> psycopg.OperationalError:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(**conninfo(endpoint, **named))
    return caught.value


def error_fields(endpoint: RelayEndpoint, parameters: dict[str, str]) -> dict[str, str]:
    """Of the error that a startup packet is answered with."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(10)
        stream.connect(endpoint.socket)
        stream.sendall(startup_packet(parameters))
        kind, body = read_message(stream)
        assert kind == b"E", kind
        return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def test_a_client_that_names_nothing_gets_the_connections_own(endpoint: RelayEndpoint, login: Login) -> None:
    """libpq then says the name at the operating system, for both; a driver may leave the database out."""
    with psycopg.connect(**conninfo(endpoint)) as found:
        assert found.execute(WHO).fetchone() == (login.user, login.database)
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(endpoint.socket)
        stream.sendall(startup_packet({"user": os_user()}))
        assert read_message(stream)[0] == b"R"


def test_a_client_may_name_what_is_the_connections(endpoint: RelayEndpoint, login: Login) -> None:
    """As the handle's own address and variables do."""
    with psycopg.connect(**conninfo(endpoint, user=login.user, dbname=login.database)) as found:
        assert found.execute(WHO).fetchone() == (login.user, login.database)


@pytest.mark.parametrize("database", ["postgres", "template1", "no_such_database", "x" * 70, "été"])
def test_another_database_is_refused_as_a_server_does_it(
    endpoint: RelayEndpoint, login: Login, database: str
) -> None:
    """Whether there is one or not: the class of the error, its severity, and what to do."""
    said = error_fields(endpoint, {"user": login.user, "database": database})
    assert (said["S"], said["C"]) == ("FATAL", "3D000")
    assert login.database in said["M"]
    assert "Any database of the server" in said["M"]
    assert database not in said["M"]


@pytest.mark.parametrize(
    "named",
    [
        {"user": "postgres"},
        {"user": "postgres", "database": "own"},
        {"user": "nobody_here", "database": "own"},
        # One of the pair alone says something: it is not what libpq says when nobody has told it anything.
        {"user": "the system's", "database": "own"},
        {"user": "the system's", "database": "postgres"},
    ],
)
def test_another_user_is_refused_as_a_server_does_it(
    endpoint: RelayEndpoint, login: Login, named: dict[str, str]
) -> None:
    """Whatever the database is."""
    words = {"own": login.database, "the system's": os_user()}
    said = error_fields(endpoint, {name: words.get(value, value) for name, value in named.items()})
    assert (said["S"], said["C"]) == ("FATAL", "28000")
    assert login.user in said["M"]


@pytest.mark.parametrize("named", [{}, {"database": ""}])
def test_a_database_that_is_left_out_is_the_one_of_the_users_name(
    endpoint: RelayEndpoint, login: Login, named: dict[str, str]
) -> None:
    """So says the protocol, and a direct login would lead there."""
    assert error_fields(endpoint, {"user": login.user, **named})["C"] == "3D000"


def test_a_framework_does_not_drop_the_tables_of_the_connections_database(
    endpoint: RelayEndpoint, login: Login, other: str
) -> None:
    """It creates a database for its tests, connects to it, and clears what it finds there."""
    own = conninfo(endpoint, user=login.user, dbname=login.database)
    with psycopg.connect(**own, autocommit=True) as found:
        found.execute("create table kept (n int)")
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(**{**own, "dbname": other}).execute("drop table kept")
    assert "connvault not_allowed" in str(caught.value)
    with psycopg.connect(**own, autocommit=True) as found:
        found.execute("drop table kept")


@pytest.mark.parametrize(
    "command",
    [
        ["psql", "-X", "-c", "select 1", "-d"],
        ["pg_dump", "-d"],
        ["psql", "-X", "-c", r"\c postgres", "-d", "own"],
    ],
    ids=["psql", "pg_dump", "another one by psql"],
)
def test_programs_fail_where_they_would_work_elsewhere(
    endpoint: RelayEndpoint, login: Login, command: list[str]
) -> None:
    """They end with an error, and say why."""
    arguments = [login.database if part == "own" else part for part in command]
    arguments += [] if "own" in command else ["postgres"]
    done = subprocess.run(
        [*arguments, "-h", endpoint.directory, "-U", login.user],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert f"is for the database {login.database}" in done.stderr
    assert "PostgreSQL database dump" not in done.stdout


def test_over_tcp_nobody_without_the_token_hears_of_names(shared: Relays, login: Login) -> None:
    """What the connection's database is called is told to its owner only."""
    endpoint = shared.endpoint(tcp=True)
    where: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": endpoint.port,
        "sslmode": "disable",
        "user": login.user,
    }
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(**where, dbname="postgres", password="wrong")
    assert login.database not in str(caught.value)
    with pytest.raises(psycopg.OperationalError, match=login.database):
        psycopg.connect(**where, dbname="postgres", password=endpoint.token)


def test_where_any_database_is_allowed_the_named_one_is_logged_in_to(
    wide: Relays, login: Login, other: str
) -> None:
    """In turns, so that a session that was kept for one would show up in the other."""
    endpoint = wide.endpoint()
    for database in (login.database, other) * 3:
        with psycopg.connect(**conninfo(endpoint, user=login.user, dbname=database)) as found:
            assert found.execute(WHO).fetchone() == (login.user, database)
    with psycopg.connect(**conninfo(endpoint)) as found:
        assert found.execute(WHO).fetchone() == (login.user, login.database)


def test_where_any_database_is_allowed_a_session_is_kept_in_the_connections_own_alone(
    wide: Relays, login: Login, other: str
) -> None:
    """In another one it would be in the way of who drops it or makes a copy of it."""
    endpoint, times = wide.endpoint(), 8

    def sessions(database: str) -> int:
        found = set()
        for _ in range(times):
            with psycopg.connect(**conninfo(endpoint, user=login.user, dbname=database)) as client:
                found.add(client.info.backend_pid)
        return len(found)

    assert sessions(login.database) < times
    assert sessions(other) == times


def test_where_any_database_is_allowed_one_for_tests_comes_and_goes(
    postgres: PostgresServer, postgres_login: Login
) -> None:
    """Created, used, and dropped again by the same code: no session that was kept holds it."""
    postgres.execute(f'alter role "{postgres_login.user}" createdb')
    name = f"test_{postgres_login.database}"
    with relays(vault_of(postgres_login, any_database=True)) as found:
        own = conninfo(found.endpoint(), user=postgres_login.user, dbname=postgres_login.database)
        with psycopg.connect(**own, autocommit=True) as keeper:
            keeper.execute(f'create database "{name}"')
            for _ in range(2):
                psycopg.connect(**{**own, "dbname": name}).close()
            keeper.execute(f'drop database "{name}"')


def test_where_any_database_is_allowed_the_user_is_the_connections(wide: Relays, login: Login) -> None:
    """No switch leads to another one."""
    error = refusal(wide.endpoint(), user="postgres", dbname=login.database)
    assert f"logs in as {login.user}" in str(error)


def test_where_any_database_is_allowed_a_missing_one_is_told_by_the_server(
    wide: Relays, login: Login
) -> None:
    """By the class of its error."""
    said = error_fields(wide.endpoint(), {"user": login.user, "database": "no_such_database"})
    assert said["C"] == "3D000"
    assert "has no database of this name" in said["M"]
