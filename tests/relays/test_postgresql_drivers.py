"""PostgreSQL through real relay processes: what every driver and program may expect."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped]
import asyncpg  # type: ignore[import-untyped]
import duckdb
import duckdb_extension_postgres_scanner as scanner  # type: ignore[import-untyped]
import pandas as pd  # type: ignore[import-untyped]
import pg8000.native  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest
import sqlalchemy

from connvault_jupyter.kernel.clients.sql.hand_over import hand_over
from connvault_jupyter.services.relay_ports import RelayEndpoint
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.processes import ends
from tests.support.relays.postgres_handles import endpoint as endpoint
from tests.support.relays.postgres_handles import handed, sleeps
from tests.support.relays.postgres_handles import login as login
from tests.support.relays.postgres_handles import shared as shared
from tests.support.relays.postgres_relay import conninfo, os_user, startup_packet
from tests.support.relays.relay_handles import Relays
from tests.support.relays.relay_process import workers
from tests.support.servers.postgres_upstream import read_message

ROWS = 110_000
STREAM = f"select repeat('x', 1000) from generate_series(1, {ROWS})"


def dsn(endpoint: RelayEndpoint) -> str:
    directory = endpoint.directory.replace("/", "%2F")
    return f"postgresql:///?host={directory}&port=5432&sslmode=disable"


def who(login: Login) -> tuple[str, str]:
    return login.user, login.database


WHO = "select current_user, current_database()"


def _cancel(postgres: PostgresServer, found: psycopg.Connection[Any]) -> None:
    """Once a long query runs."""

    def cancel() -> None:
        sleeps(postgres, found.info.backend_pid)
        found.cancel_safe()

    thread = threading.Thread(target=cancel)
    thread.start()
    with ends(), pytest.raises(psycopg.errors.QueryCanceled):
        found.execute("select pg_sleep(300)")
    thread.join()


def test_psql_logs_in(endpoint: RelayEndpoint, login: Login) -> None:
    """The program that everybody has."""
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-F", ",", "-c", WHO, dsn(endpoint)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert tuple(done.stdout.strip().split(",")) == who(login)


def test_psycopg_commits_and_rolls_back(endpoint: RelayEndpoint, login: Login) -> None:
    """Committed, rolled back; user and database are the connection's."""
    with psycopg.connect(**conninfo(endpoint)) as found:
        assert found.execute(WHO.encode()).fetchone() == who(login)
        found.execute("create temp table t (n int)")
        found.commit()
        found.execute("insert into t values (1)")
        found.rollback()
        found.execute("insert into t values (2)")
        found.commit()
        assert found.execute("select n from t").fetchall() == [(2,)]


def test_psycopg_copies_both_ways(endpoint: RelayEndpoint) -> None:
    """COPY IN and COPY OUT, with a Terminate's bytes inside the data."""
    rows = [f"{n}\tX\\000\\000\\000\\004 {'y' * n}" for n in range(2000)]
    rows = [row.replace("\\000", "0").replace("\\004", "4") for row in rows]
    with psycopg.connect(**conninfo(endpoint)) as found:
        found.execute("create temp table t (n int, b text)")
        with found.cursor().copy("copy t from stdin") as into:
            for row in rows:
                into.write((row + "\n").encode())
        with found.cursor().copy("copy (select * from t order by n) to stdout") as out:
            assert b"".join(map(bytes, out)).decode().splitlines() == rows


def test_binary_data_that_looks_like_a_goodbye_passes(endpoint: RelayEndpoint) -> None:
    """A Terminate's five bytes as a parameter, alone and at the end of a message's block."""
    goodbye = b"X\0\0\0\x04"
    with psycopg.connect(**conninfo(endpoint)) as found:
        for value in (goodbye, b"y" * 70_000 + goodbye):
            row = found.execute("select %b::bytea", (value,)).fetchone()
            assert row == (value,)


async def test_psycopg_logs_in_asynchronously(endpoint: RelayEndpoint, login: Login) -> None:
    """The asynchronous connection of psycopg."""
    async with await psycopg.AsyncConnection.connect(**conninfo(endpoint)) as found:
        assert await (await found.execute(WHO.encode())).fetchone() == who(login)


def test_psycopg2_logs_in(endpoint: RelayEndpoint, login: Login) -> None:
    """The older driver."""
    found = psycopg2.connect(dsn(endpoint))
    with found.cursor() as cursor:
        cursor.execute(WHO)
        assert cursor.fetchone() == who(login)
    found.close()


def test_sqlalchemy_and_pandas_log_in(endpoint: RelayEndpoint, login: Login) -> None:
    """By the address alone."""
    engine = sqlalchemy.create_engine(dsn(endpoint).replace("postgresql:", "postgresql+psycopg:"))
    assert pd.read_sql("select current_user as who", engine).to_dict("records") == [{"who": login.user}]
    engine.dispose()


async def test_asyncpg_logs_in(endpoint: RelayEndpoint, login: Login) -> None:
    """With its prepared statements and binary results."""
    found = await asyncpg.connect(dsn(endpoint))
    async with found.transaction():
        row = await found.fetchrow("select current_user::text, current_database()::text, $1::int", 7)
    assert tuple(row) == (*who(login), 7)
    await found.close()


@pytest.mark.parametrize("over_tcp", [False, True])
def test_pg8000_logs_in(shared: Relays, login: Login, over_tcp: bool) -> None:
    """Over the socket without, over TCP with the handle's token as password."""
    endpoint = shared.endpoint(tcp=over_tcp)
    where: dict[str, Any] = (
        {"host": "127.0.0.1", "port": endpoint.port, "password": endpoint.token}
        if over_tcp
        else {"unix_sock": endpoint.socket}
    )
    found = pg8000.native.Connection(os_user(), ssl_context=None, **where)
    assert tuple(found.run(WHO)[0]) == who(login)
    found.close()


def test_adbc_logs_in(endpoint: RelayEndpoint, login: Login) -> None:
    """Arrow tables out of libpq."""
    with adbc.connect(dsn(endpoint)) as found, found.cursor() as cursor:
        cursor.execute("select current_user::text as who, 1::int as one")
        assert cursor.fetch_arrow_table().to_pydict() == {"who": [login.user], "one": [1]}


def test_duckdb_scans_a_table(endpoint: RelayEndpoint) -> None:
    """DuckDB's own reader, from the installed extension."""
    extension = next(Path(scanner.__file__).parent.rglob("postgres_scanner.duckdb_extension"))
    with psycopg.connect(**conninfo(endpoint), autocommit=True) as found:
        found.execute("create table if not exists ducks as select n from generate_series(1, 1000) n")
    with duckdb.connect() as duck:
        duck.execute(f"load '{extension}'")
        duck.execute(f"attach '{dsn(endpoint)}' as shop (type postgres, read_only)")
        assert duck.execute("select sum(n) from shop.public.ducks").fetchone() == (500500,)


def test_the_startups_other_parameters_are_passed_on(endpoint: RelayEndpoint) -> None:
    """How to talk is the client's business."""
    more = {"application_name": "report", "options": "-c datestyle=German -c work_mem=7MB"}
    with psycopg.connect(**conninfo(endpoint, **more)) as found:
        assert found.execute("show application_name").fetchone() == ("report",)
        assert found.execute("show work_mem").fetchone() == ("7MB",)
        assert found.execute("select date '2026-11-24'::text").fetchone() == ("24.11.2026",)
        assert found.info.parameter_status("DateStyle") == "German, DMY"


def test_the_process_number_is_the_servers_and_the_login_is_named(endpoint: RelayEndpoint) -> None:
    """By them a client cancels, and a pool knows what is out of date."""
    with psycopg.connect(**conninfo(endpoint)) as found:
        assert found.execute("select pg_backend_pid()").fetchone() == (found.info.backend_pid,)
        assert found.info.parameter_status("connvault.login") == "1.r1"


def test_replication_is_refused(endpoint: RelayEndpoint) -> None:
    """Another protocol, with which data leaves unseen."""
    with pytest.raises(psycopg.OperationalError, match="connvault not_allowed: Replication"):
        psycopg.connect(**conninfo(endpoint, replication="database"))


def test_a_newer_minor_version_is_talked_down(endpoint: RelayEndpoint) -> None:
    """3.2 and options that are not known: the server's own answer to it (NegotiateProtocolVersion)."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(endpoint.socket)
        stream.sendall(startup_packet({"user": os_user(), "_pq_.future": "1"}, minor=2))
        kind, body = read_message(stream)
        assert (kind, body) == (b"v", struct.pack(">II", 3 << 16, 1) + b"_pq_.future\0")
        assert read_message(stream) == (b"R", struct.pack(">I", 0))


@pytest.mark.parametrize("password", ["", "wrong", "x" * 2000])
def test_over_tcp_a_wrong_token_is_refused(shared: Relays, password: str) -> None:
    """Any process of this machine can connect there; none is asked for before it has shown the token."""
    endpoint, asked = shared.endpoint(tcp=True), len(shared.vault.asked)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host="127.0.0.1",
            port=endpoint.port,
            password=password or None,
            sslmode="disable",
        )
    assert len(shared.vault.asked) == asked


def test_over_tcp_a_client_may_ask_for_tls_first(shared: Relays, login: Login) -> None:
    """libpq's default: it asks, hears no, and goes on."""
    endpoint = shared.endpoint(tcp=True)
    with psycopg.connect(
        host="127.0.0.1", port=endpoint.port, password=endpoint.token, sslmode="prefer"
    ) as found:
        assert found.execute(WHO.encode()).fetchone() == who(login)


def test_a_query_is_cancelled(postgres: PostgresServer, endpoint: RelayEndpoint) -> None:
    """By libpq's way: a second connection with the process number and the key."""
    with psycopg.connect(**conninfo(endpoint), autocommit=True) as found:
        _cancel(postgres, found)
        assert found.execute("select 1").fetchone() == (1,)


def test_a_cancel_with_another_key_or_of_another_handle_does_nothing(shared: Relays) -> None:
    """The key is this handle's; a wrong one is not passed on."""
    one, other = shared.endpoint(), shared.endpoint()
    with psycopg.connect(**conninfo(one), autocommit=True) as found:
        pid = found.info.backend_pid
        for endpoint in (one, other):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(endpoint.socket)
                stream.sendall(struct.pack(">IIII", 16, 80877102, pid, 1))
                assert stream.recv(1) == b""
        assert found.execute("select pg_sleep(0.05), 1").fetchone() == ("", 1)


def test_a_drivers_session_that_is_handed_over_is_the_servers_own_socket(
    postgres: PostgresServer, endpoint: RelayEndpoint, login: Login
) -> None:
    """Queries, transactions, COPY, large results, cancel: without a relay in between."""
    with psycopg.connect(**conninfo(endpoint), autocommit=True) as found:
        assert handed(endpoint, found)
        with socket.socket(fileno=os.dup(found.fileno())) as direct:
            assert direct.getpeername() == (login.host, login.port)
        assert found.execute(WHO.encode()).fetchone() == who(login)
        assert len(found.execute("select repeat('x', 40000) from generate_series(1, 500)").fetchall()) == 500
        _cancel(postgres, found)
        with found.transaction():
            assert found.execute("select 1").fetchone() == (1,)


def test_a_socket_is_handed_over_once(endpoint: RelayEndpoint) -> None:
    """A second taker gets nothing; nor does one for a number that nobody has."""
    with psycopg.connect(**conninfo(endpoint), autocommit=True) as found:
        opened: Any = SimpleNamespace(directory=endpoint.directory)
        assert not hand_over(opened, found.info.backend_pid + 1, found.fileno(), found)
        assert handed(endpoint, found)
        assert not handed(endpoint, found)
        assert found.execute("select 1").fetchone() == (1,)


def test_a_hundred_megabytes_are_streamed(endpoint: RelayEndpoint) -> None:
    """And the worker keeps none of them."""
    count = 0
    with psycopg.connect(**conninfo(endpoint)) as found:
        with found.cursor().copy(f"copy ({STREAM}) to stdout") as out:
            for block in out:
                count += len(block)
        memory = max(worker.memory_info().rss for worker in workers())
    assert count == ROWS * 1001
    assert memory < 100e6


def test_fifty_at_once_have_fifty_sessions(shared: Relays) -> None:
    """Each its own session."""
    endpoint = shared.endpoint()
    barrier = threading.Barrier(50)

    def work(_: int) -> int:
        with psycopg.connect(**conninfo(endpoint)) as found:
            barrier.wait(30)
            row = found.execute("select pg_backend_pid()").fetchone()
            assert row is not None
            return int(row[0])

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(work, range(50)))) == 50


def test_a_half_closed_client_gets_its_answer(endpoint: RelayEndpoint) -> None:
    """It sends its query, ends its side, and reads on."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(endpoint.socket)
        stream.sendall(startup_packet({"user": os_user()}))
        while read_message(stream)[0] != b"Z":
            pass
        query = b"select repeat('x', 1000) from generate_series(1, 3000)\0"
        stream.sendall(b"Q" + struct.pack(">I", len(query) + 4) + query)
        stream.shutdown(socket.SHUT_WR)
        rows = 0
        while (kind := read_message(stream)[0]) != b"Z":
            rows += kind == b"D"
        assert rows == 3000
        assert stream.recv(1) == b""
