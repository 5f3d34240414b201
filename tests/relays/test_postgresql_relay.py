"""PostgreSQL through real relay processes: what every driver may expect, and what ends a connection."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
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

from connvault_jupyter.errors import HandleInvalid, VaultLocked
from connvault_jupyter.kernel.hand_over import hand_over
from connvault_jupyter.services.ports import RelayPlace
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.postgres_relay import (
    Relays,
    Vault,
    conninfo,
    fields_of,
    new_ref,
    relays,
    startup_packet,
    workers,
)
from tests.support.postgres_upstream import exactly, read_message
from tests.support.processes import wait_until

ROWS = 110_000
STREAM = f"select repeat('x', 1000) from generate_series(1, {ROWS})"


@pytest.fixture(scope="module")
def login(postgres: PostgresServer) -> Iterator[Login]:
    made = postgres.create_login("reader_relay", database="shop_relay")
    yield made
    postgres.drop_login(made)


@pytest.fixture(scope="module")
def shared(login: Login) -> Iterator[Relays]:
    """One broker's relays, for the tests that spoil nothing."""
    with relays(Vault(fields_of(login), login.password)) as found:
        yield found


@pytest.fixture
def own(postgres_login: Login) -> Iterator[Relays]:
    """Relays for one test, with a login of its own."""
    with relays(Vault(fields_of(postgres_login), postgres_login.password)) as found:
        yield found


@pytest.fixture
def place(shared: Relays) -> RelayPlace:
    return shared.place()


def dsn(place: RelayPlace) -> str:
    directory = place.directory.replace("/", "%2F")
    return f"postgresql://anyone@/anything?host={directory}&port=5432&sslmode=disable"


def who(login: Login) -> tuple[str, str]:
    return login.user, login.database


WHO = "select current_user, current_database()"


def test_psql(place: RelayPlace, login: Login) -> None:
    """The program that everybody has."""
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-F", ",", "-c", WHO, dsn(place)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert tuple(done.stdout.strip().split(",")) == who(login)


def test_psycopg_transactions(place: RelayPlace, login: Login) -> None:
    """Committed, rolled back; user and database are the connection's, whatever the client says."""
    with psycopg.connect(**conninfo(place)) as found:
        assert found.execute(WHO.encode()).fetchone() == who(login)
        found.execute("create temp table t (n int)")
        found.commit()
        found.execute("insert into t values (1)")
        found.rollback()
        found.execute("insert into t values (2)")
        found.commit()
        assert found.execute("select n from t").fetchall() == [(2,)]


def test_psycopg_copies_both_ways(place: RelayPlace) -> None:
    """COPY IN and COPY OUT, with a Terminate's bytes inside the data."""
    rows = [f"{n}\tX\\000\\000\\000\\004 {'y' * n}" for n in range(2000)]
    rows = [row.replace("\\000", "0").replace("\\004", "4") for row in rows]
    with psycopg.connect(**conninfo(place)) as found:
        found.execute("create temp table t (n int, b text)")
        with found.cursor().copy("copy t from stdin") as into:
            for row in rows:
                into.write((row + "\n").encode())
        with found.cursor().copy("copy (select * from t order by n) to stdout") as out:
            assert b"".join(map(bytes, out)).decode().splitlines() == rows


def test_binary_data_that_looks_like_a_goodbye_passes(place: RelayPlace) -> None:
    """A Terminate's five bytes as a parameter, alone and at the end of a message's block."""
    goodbye = b"X\0\0\0\x04"
    with psycopg.connect(**conninfo(place)) as found:
        for value in (goodbye, b"y" * 70_000 + goodbye):
            row = found.execute("select %b::bytea", (value,)).fetchone()
            assert row == (value,)


async def test_psycopg_async(place: RelayPlace, login: Login) -> None:
    """The asynchronous connection of psycopg."""
    async with await psycopg.AsyncConnection.connect(**conninfo(place)) as found:
        assert await (await found.execute(WHO.encode())).fetchone() == who(login)


def test_psycopg2(place: RelayPlace, login: Login) -> None:
    """The older driver."""
    found = psycopg2.connect(dsn(place))
    with found.cursor() as cursor:
        cursor.execute(WHO)
        assert cursor.fetchone() == who(login)
    found.close()


def test_sqlalchemy_and_pandas(place: RelayPlace, login: Login) -> None:
    """By the address alone."""
    engine = sqlalchemy.create_engine(dsn(place).replace("postgresql:", "postgresql+psycopg:"))
    assert pd.read_sql("select current_user as who", engine).to_dict("records") == [{"who": login.user}]
    engine.dispose()


async def test_asyncpg(place: RelayPlace, login: Login) -> None:
    """With its prepared statements and binary results."""
    found = await asyncpg.connect(dsn(place))
    async with found.transaction():
        row = await found.fetchrow("select current_user::text, current_database()::text, $1::int", 7)
    assert tuple(row) == (*who(login), 7)
    await found.close()


@pytest.mark.parametrize("over_tcp", [False, True])
def test_pg8000(shared: Relays, login: Login, over_tcp: bool) -> None:
    """Over the socket without, over TCP with the handle's token as password."""
    place = shared.place(tcp=over_tcp)
    where: dict[str, Any] = (
        {"host": "127.0.0.1", "port": place.port, "password": place.token}
        if over_tcp
        else {"unix_sock": place.socket}
    )
    found = pg8000.native.Connection("anyone", database="anything", ssl_context=None, **where)
    assert tuple(found.run(WHO)[0]) == who(login)
    found.close()


def test_adbc(place: RelayPlace, login: Login) -> None:
    """Arrow tables out of libpq."""
    with adbc.connect(dsn(place)) as found, found.cursor() as cursor:
        cursor.execute("select current_user::text as who, 1::int as one")
        assert cursor.fetch_arrow_table().to_pydict() == {"who": [login.user], "one": [1]}


def test_duckdb_scans(place: RelayPlace) -> None:
    """DuckDB's own reader, from the installed extension."""
    extension = next(Path(scanner.__file__).parent.rglob("postgres_scanner.duckdb_extension"))
    with psycopg.connect(**conninfo(place), autocommit=True) as found:
        found.execute("create table if not exists ducks as select n from generate_series(1, 1000) n")
    with duckdb.connect() as duck:
        duck.execute(f"load '{extension}'")
        duck.execute(f"attach '{dsn(place)}' as shop (type postgres, read_only)")
        assert duck.execute("select sum(n) from shop.public.ducks").fetchone() == (500500,)


def test_the_startups_other_parameters_are_passed_on(place: RelayPlace) -> None:
    """How to talk is the client's business."""
    more = {"application_name": "report", "options": "-c datestyle=German -c work_mem=7MB"}
    with psycopg.connect(**conninfo(place, **more)) as found:
        assert found.execute("show application_name").fetchone() == ("report",)
        assert found.execute("show work_mem").fetchone() == ("7MB",)
        assert found.execute("select date '2026-11-24'::text").fetchone() == ("24.11.2026",)
        assert found.info.parameter_status("DateStyle") == "German, DMY"


def test_the_process_number_is_the_servers_and_the_login_is_named(place: RelayPlace) -> None:
    """By them a client cancels, and a pool knows what is out of date."""
    with psycopg.connect(**conninfo(place)) as found:
        assert found.execute("select pg_backend_pid()").fetchone() == (found.info.backend_pid,)
        assert found.info.parameter_status("connvault.login") == "1.r1"


def test_replication_is_refused(place: RelayPlace) -> None:
    """Another protocol, with which data leaves unseen."""
    with pytest.raises(psycopg.OperationalError, match="connvault not_allowed: Replication"):
        psycopg.connect(**conninfo(place, replication="database"))


def test_a_newer_minor_version_is_talked_down(place: RelayPlace) -> None:
    """3.2 and options that are not known: the server's own answer to it (NegotiateProtocolVersion)."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(place.socket)
        stream.sendall(startup_packet({"user": "a", "_pq_.future": "1"}, minor=2))
        kind, body = read_message(stream)
        assert (kind, body) == (b"v", struct.pack(">II", 3 << 16, 1) + b"_pq_.future\0")
        assert read_message(stream) == (b"R", struct.pack(">I", 0))


@pytest.mark.parametrize("password", ["", "wrong", "x" * 2000])
def test_over_tcp_a_wrong_token_is_refused(shared: Relays, password: str) -> None:
    """Any process of this machine can connect there; none is asked for before it has shown the token."""
    place, asked = shared.place(tcp=True), len(shared.vault.asked)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(
            host="127.0.0.1",
            port=place.port,
            user="a",
            dbname="b",
            password=password or None,
            sslmode="disable",
        )
    assert len(shared.vault.asked) == asked


def test_over_tcp_a_client_may_ask_for_tls_first(shared: Relays, login: Login) -> None:
    """libpq's default: it asks, hears no, and goes on."""
    place = shared.place(tcp=True)
    with psycopg.connect(
        host="127.0.0.1", port=place.port, user="a", dbname="b", password=place.token, sslmode="prefer"
    ) as found:
        assert found.execute(WHO.encode()).fetchone() == who(login)


def _sleeps(postgres: PostgresServer, pid: int) -> None:
    """Returns when this session is in its `pg_sleep`."""
    statement = f"select 1 from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'"
    wait_until(lambda: postgres.execute(statement), deadline_s=10, what="the query to run")


def _cancelled(postgres: PostgresServer, found: psycopg.Connection[Any]) -> float:
    """How long a query of twenty seconds took that is cancelled once it runs."""

    def cancel() -> None:
        _sleeps(postgres, found.info.backend_pid)
        found.cancel_safe()

    thread = threading.Thread(target=cancel)
    thread.start()
    started = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        found.execute("select pg_sleep(20)")
    thread.join()
    return time.monotonic() - started


def test_a_query_is_cancelled(postgres: PostgresServer, place: RelayPlace) -> None:
    """By libpq's way: a second connection with the process number and the key."""
    with psycopg.connect(**conninfo(place), autocommit=True) as found:
        assert _cancelled(postgres, found) < 5
        assert found.execute("select 1").fetchone() == (1,)


def test_a_cancel_with_another_key_or_of_another_handle_does_nothing(shared: Relays) -> None:
    """The key is this handle's; a wrong one is not passed on."""
    one, other = shared.place(), shared.place()
    with psycopg.connect(**conninfo(one), autocommit=True) as found:
        pid = found.info.backend_pid
        for place in (one, other):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(place.socket)
                stream.sendall(struct.pack(">IIII", 16, 80877102, pid, 1))
                assert stream.recv(1) == b""
        assert found.execute("select pg_sleep(0.05), 1").fetchone() == ("", 1)


def _handed(place: RelayPlace, found: Any) -> bool:
    opened: Any = SimpleNamespace(directory=place.directory)
    return hand_over(opened, found.info.backend_pid, found.fileno(), found)


def test_handed_over_it_is_the_servers_own_socket(
    postgres: PostgresServer, place: RelayPlace, login: Login
) -> None:
    """Queries, transactions, COPY, large results, cancel: without a relay in between."""
    with psycopg.connect(**conninfo(place), autocommit=True) as found:
        assert _handed(place, found)
        with socket.socket(fileno=os.dup(found.fileno())) as direct:
            assert direct.getpeername() == (login.host, login.port)
        assert found.execute(WHO.encode()).fetchone() == who(login)
        assert len(found.execute("select repeat('x', 40000) from generate_series(1, 500)").fetchall()) == 500
        assert _cancelled(postgres, found) < 5
        with found.transaction():
            assert found.execute("select 1").fetchone() == (1,)


def test_a_socket_is_handed_over_once(place: RelayPlace) -> None:
    """A second taker gets nothing; nor does one for a number that nobody has."""
    with psycopg.connect(**conninfo(place), autocommit=True) as found:
        opened: Any = SimpleNamespace(directory=place.directory)
        assert not hand_over(opened, found.info.backend_pid + 1, found.fileno(), found)
        assert _handed(place, found)
        assert not _handed(place, found)
        assert found.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("way", ["relay", "hand_over"])
def test_a_revoke_cuts_a_running_query(own: Relays, postgres: PostgresServer, way: str) -> None:
    """Within 100 ms on an idle machine; loosely here."""
    ref = new_ref()
    place = own.place(ref)
    found = psycopg.connect(**conninfo(place), autocommit=True)
    if way == "hand_over":
        assert _handed(place, found)
    revoked: list[float] = []

    def revoke() -> None:
        _sleeps(postgres, found.info.backend_pid)
        revoked.append(time.monotonic())
        own.revoke(ref)

    thread = threading.Thread(target=revoke)
    thread.start()
    with pytest.raises(psycopg.OperationalError):
        found.execute("select pg_sleep(20)")
    ended = time.monotonic()
    thread.join()
    found.close()
    assert 0 < ended - revoked[0] < 2
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**conninfo(place))


def test_a_hundred_megabytes_are_streamed(place: RelayPlace) -> None:
    """And the worker keeps none of them."""
    count = 0
    with psycopg.connect(**conninfo(place)) as found:
        with found.cursor().copy(f"copy ({STREAM}) to stdout") as out:
            for block in out:
                count += len(block)
        memory = max(worker.memory_info().rss for worker in workers())
    assert count == ROWS * 1001
    assert memory < 100e6


def test_fifty_at_once(shared: Relays) -> None:
    """Each its own session."""
    place = shared.place()
    barrier = threading.Barrier(50)

    def work(_: int) -> int:
        with psycopg.connect(**conninfo(place)) as found:
            barrier.wait(30)
            row = found.execute("select pg_backend_pid()").fetchone()
            assert row is not None
            return int(row[0])

    with ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(work, range(50)))) == 50


def test_a_half_closed_client_gets_its_answer(place: RelayPlace) -> None:
    """It sends its query, ends its side, and reads on."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(place.socket)
        stream.sendall(startup_packet({"user": "a"}))
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


def test_after_a_rotation_the_new_secret_is_used(
    own: Relays, postgres: PostgresServer, postgres_login: Login
) -> None:
    """No warm login of the old one is given out."""
    place = own.place()
    with psycopg.connect(**conninfo(place)) as found:
        before = found.info.backend_pid
    own.vault.password = postgres.set_password(postgres_login).password
    own.vault.rotation = "r2"
    for _ in range(3):
        with psycopg.connect(**conninfo(place)) as found:
            assert found.info.backend_pid != before
            assert found.info.parameter_status("connvault.login") == "1.r2"


def test_after_a_restart_of_the_server_the_next_connect_works(tmp_path: Path) -> None:
    """The warm logins have ended with it, and are noticed."""
    with PostgresServer(log_file=tmp_path / "log") as server:
        vault = Vault(fields_of(server.admin), server.admin.password)
        with relays(vault) as found:
            place = found.place()
            first = psycopg.connect(**conninfo(place), autocommit=True)
            second = psycopg.connect(**conninfo(place))
            second.close()
            server.restart("immediate")
            with pytest.raises(psycopg.OperationalError):
                first.execute("select 1")
            first.close()
            with psycopg.connect(**conninfo(place)) as again:
                assert again.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("change", "code", "sqlstate_class"),
    [
        ({"port": 1}, "upstream_unreachable", "08"),
        ({"host": "nowhere.invalid"}, "upstream_unreachable", "08"),
        ({"database": "no_such_database"}, "upstream_refused", "3D"),
        ({"user": "nobody_here"}, "upstream_auth_failed", "28"),
        ({"sslmode": "require"}, "upstream_tls_failed", "08"),
        ({"sslmode": "verify-full"}, "upstream_tls_failed", "08"),
        ({"host": "169.254.169.254"}, "upstream_refused", "08"),
    ],
)
def test_each_failed_login_has_its_code(
    login: Login, change: dict[str, Any], code: str, sqlstate_class: str
) -> None:
    """By which the kernel makes the same error; none of the server's words."""
    vault = Vault(fields_of(login, **change), login.password)
    with relays(vault) as found, socket.socket(socket.AF_UNIX) as stream:
        stream.connect(found.place().socket)
        stream.sendall(startup_packet({"user": "a"}))
        kind, body = read_message(stream)
        assert stream.recv(1) == b""
    fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
    assert (kind, fields[b"S"]) == (b"E", b"FATAL")
    assert fields[b"C"].startswith(sqlstate_class.encode())
    assert fields[b"M"].startswith(f"connvault {code}: ".encode())
    assert not any(str(one).encode() in fields[b"M"] for one in change.values() if one != 1)


@pytest.mark.parametrize(
    ("refusal", "sqlstate"), [(HandleInvalid(reason="revoked"), "28000"), (VaultLocked(), "57P03")]
)
def test_what_the_broker_refuses_is_told(own: Relays, refusal: Any, sqlstate: str) -> None:
    """With its own code and words."""
    own.vault.refusal = refusal
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(**conninfo(own.place()))
    assert f"connvault {refusal.code}: {refusal.message}" in str(caught.value)


def test_the_login_is_asked_for_each_client(own: Relays) -> None:
    """A warm session is no way around the permission and its record."""
    ref = new_ref()
    place = own.place(ref)
    for _ in range(3):
        psycopg.connect(**conninfo(place)).close()
    assert own.vault.asked == [ref] * 3
    own.vault.refusal = HandleInvalid(reason="revoked")
    with pytest.raises(psycopg.OperationalError, match="handle_invalid"):
        psycopg.connect(**conninfo(place))


def _pid(place: RelayPlace, **more: Any) -> int:
    with psycopg.connect(**conninfo(place, **more)) as found:
        return found.info.backend_pid


def test_a_session_is_used_again_as_if_it_were_new(own: Relays) -> None:
    """Settings, temporary tables, prepared statements, locks and LISTEN are gone; the session is the same."""
    place = own.place()
    seen: set[int] = set()
    again = 0
    # Which spare is given out depends on which one is ready first.
    for _ in range(100):
        if again == 5:
            break
        with psycopg.connect(**conninfo(place), autocommit=True) as found:
            assert found.execute("select to_regclass('pg_temp.t')").fetchone() == (None,)
            assert found.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
            assert found.execute("select count(*) from pg_listening_channels()").fetchone() == (0,)
            assert found.execute("show work_mem").fetchone() == ("4MB",)
            assert found.execute(
                "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
            ).fetchone() == (0,)
            for statement in (
                "create temp table t (n int)",
                "prepare p as select 1",
                "listen c",
                "set work_mem = '9MB'",
                "select pg_advisory_lock(1)",
            ):
                found.execute(statement)
            again += found.info.backend_pid in seen
            seen.add(found.info.backend_pid)
    assert again == 5


def test_a_session_in_a_transaction_is_not_used_again(own: Relays) -> None:
    """It is ended, as the server would have."""
    place = own.place()
    for end in ("select 1", "select 1/0"):
        found = psycopg.connect(**conninfo(place))
        pid = found.info.backend_pid
        with contextlib.suppress(psycopg.Error):
            found.execute(end.encode())
        found.pgconn.finish()
        assert all(_pid(place) != pid for _ in range(3))


def test_other_startup_parameters_are_another_session(own: Relays) -> None:
    """What was set at the start can't be reset."""
    place = own.place()
    plain = {_pid(place) for _ in range(5)}
    fast = {_pid(place, options="-c work_mem=7MB") for _ in range(5)}
    assert not plain & fast


def test_two_requesters_never_share_a_session(own: Relays) -> None:
    """Each has a worker of its own."""
    mine, yours = own.place(instance="kernel-1"), own.place(instance="kernel-2")
    found: list[set[int]] = [set(), set()]
    for _ in range(10):
        for place, pids in zip((mine, yours), found, strict=True):
            pids.add(_pid(place))
    assert not found[0] & found[1]
    assert len(workers()) >= 2


def test_no_descriptor_is_left_behind(own: Relays) -> None:
    """After 200 clients that came and went in every manner."""
    place = own.place(tcp=True)
    _pid(place)
    before = {worker.pid: worker.num_fds() for worker in own_workers(place)}
    assert before

    def client(number: int) -> None:
        kind = number % 4
        if kind == 0:
            _pid(place)
        elif kind == 1:
            with psycopg.connect(**conninfo(place), autocommit=True) as found:
                assert _handed(place, found)
        elif kind == 2:
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(place.socket)
                stream.sendall(startup_packet({"user": "a"})[: number % 9])
        else:
            with socket.create_connection(("127.0.0.1", place.port or 0)) as stream:
                stream.sendall(startup_packet({"user": "a"}))
                exactly(stream, 9)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(200)))

    def settled() -> bool:
        # Two spares at most, each one descriptor.
        now = {worker.pid: worker.num_fds() for worker in own_workers(place)}
        return now.keys() == before.keys() and all(now[pid] <= before[pid] + 2 for pid in before)

    wait_until(settled, deadline_s=15, what="the descriptors to be closed")


def own_workers(place: RelayPlace) -> list[Any]:
    """The workers that listen in this place."""
    return [
        worker
        for worker in workers()
        if any(one.laddr == place.socket for one in worker.net_connections("unix"))
    ]
