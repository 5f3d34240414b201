"""PostgreSQL through real relay processes: what ends a connection, what a login is refused with, who gets a session."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connvault_jupyter.errors import HandleInvalid, VaultLocked
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.services.relay_ports import RelayEndpoint
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.relays.postgres_handles import handed, sleeps
from tests.support.relays.postgres_handles import login as login
from tests.support.relays.postgres_handles import own as own
from tests.support.relays.postgres_relay import conninfo, os_user, startup_packet, vault_of
from tests.support.relays.relay_handles import Relays, new_ref, relays
from tests.support.relays.relay_process import workers
from tests.support.servers.postgres_upstream import exactly, read_message


def _pid(endpoint: RelayEndpoint, **more: Any) -> int:
    with psycopg.connect(**conninfo(endpoint, **more)) as found:
        return found.info.backend_pid


def own_workers(endpoint: RelayEndpoint) -> list[Any]:
    """The workers that listen in this place."""
    return [
        worker
        for worker in workers()
        if any(one.laddr == endpoint.socket for one in worker.net_connections("unix"))
    ]


@pytest.mark.parametrize("way", ["relay", "hand_over"])
def test_a_revoke_cuts_a_running_query(own: Relays, postgres: PostgresServer, way: str) -> None:
    """Here and at the server; how soon says a benchmark."""
    ref = new_ref()
    endpoint = own.endpoint(ref)
    found = psycopg.connect(**conninfo(endpoint), autocommit=True)
    if way == "hand_over":
        assert handed(endpoint, found)
    pid = found.info.backend_pid
    revoked: list[float] = []

    def revoke() -> None:
        sleeps(postgres, found.info.backend_pid)
        revoked.append(time.monotonic())
        own.revoke(ref)

    thread = threading.Thread(target=revoke)
    thread.start()
    with pytest.raises(psycopg.OperationalError):
        found.execute("select pg_sleep(300)")
    ended = time.monotonic()
    thread.join()
    assert ended > revoked[0]
    # Not only here: at the server too, which would go on for what is left of 300 s.
    gone = f"select 1 from pg_stat_activity where pid = {pid}"
    wait_until(lambda: not postgres.execute(gone), deadline_s=30, what="the end of the query at the server")
    found.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**conninfo(endpoint))


def test_when_a_client_is_killed_its_query_ends_at_the_server(own: Relays, postgres: PostgresServer) -> None:
    """Its kernel was restarted, say. Without a relay the server would go on until it has something to send."""
    endpoint = own.endpoint()
    code = "import psycopg, sys; psycopg.connect(sys.argv[1]).execute('select pg_sleep(60)')"
    address = " ".join(f"{name}={value}" for name, value in conninfo(endpoint).items())
    with subprocess.Popen([sys.executable, "-c", code, address]) as client:
        running = "select pid from pg_stat_activity where wait_event = 'PgSleep' and usename like 'reader%'"
        ((pid,),) = wait_until(lambda: postgres.execute(running), deadline_s=20, what="the query")
        client.kill()
    gone = f"select 1 from pg_stat_activity where pid = {pid}"
    wait_until(lambda: not postgres.execute(gone), deadline_s=15, what="the end of the query at the server")


def test_after_a_rotation_the_new_secret_is_used(
    own: Relays, postgres: PostgresServer, postgres_login: Login
) -> None:
    """No warm login of the old one is given out."""
    endpoint = own.endpoint()
    with psycopg.connect(**conninfo(endpoint)) as found:
        before = found.info.backend_pid
    own.vault.secrets["password"] = postgres.set_password(postgres_login).password
    own.vault.rotation = "r2"
    for _ in range(3):
        with psycopg.connect(**conninfo(endpoint)) as found:
            assert found.info.backend_pid != before
            assert found.info.parameter_status("connvault.login") == "1.r2"


def test_after_a_restart_of_the_server_the_next_connect_works(tmp_path: Path) -> None:
    """The warm logins have ended with it, and are noticed."""
    with PostgresServer(log_file=tmp_path / "log") as server:
        vault = vault_of(server.admin)
        with relays(vault) as found:
            endpoint = found.endpoint()
            first = psycopg.connect(**conninfo(endpoint), autocommit=True)
            second = psycopg.connect(**conninfo(endpoint))
            second.close()
            server.restart("immediate")
            with pytest.raises(psycopg.OperationalError):
                first.execute("select 1")
            first.close()
            with psycopg.connect(**conninfo(endpoint)) as again:
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
    vault = vault_of(login, **change)
    with relays(vault) as found, socket.socket(socket.AF_UNIX) as stream:
        stream.connect(found.endpoint().socket)
        stream.sendall(startup_packet({"user": os_user()}))
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
        psycopg.connect(**conninfo(own.endpoint()))
    assert f"connvault {refusal.code}: {refusal.message}" in str(caught.value)


def test_the_login_is_asked_for_each_client(own: Relays) -> None:
    """A warm session is no way around the permission and its record."""
    ref = new_ref()
    endpoint = own.endpoint(ref)
    for _ in range(3):
        psycopg.connect(**conninfo(endpoint)).close()
    assert own.vault.asked == [ref] * 3
    own.vault.refusal = HandleInvalid(reason="revoked")
    with pytest.raises(psycopg.OperationalError, match="handle_invalid"):
        psycopg.connect(**conninfo(endpoint))


def test_a_session_is_used_again_as_if_it_were_new(own: Relays) -> None:
    """Settings, temporary tables, prepared statements, locks and LISTEN are gone; the session is the same."""
    endpoint = own.endpoint()
    seen: set[int] = set()
    again = 0
    # Which spare is given out depends on which one is ready first.
    for _ in range(100):
        if again == 5:
            break
        with psycopg.connect(**conninfo(endpoint), autocommit=True) as found:
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
    endpoint = own.endpoint()
    for end in ("select 1", "select 1/0"):
        found = psycopg.connect(**conninfo(endpoint))
        pid = found.info.backend_pid
        with contextlib.suppress(psycopg.Error):
            found.execute(end.encode())
        found.pgconn.finish()
        assert all(_pid(endpoint) != pid for _ in range(3))


def test_other_startup_parameters_are_another_session(own: Relays) -> None:
    """What was set at the start can't be reset."""
    endpoint = own.endpoint()
    plain = {_pid(endpoint) for _ in range(5)}
    fast = {_pid(endpoint, options="-c work_mem=7MB") for _ in range(5)}
    assert not plain & fast


def test_two_requesters_never_share_a_session(own: Relays) -> None:
    """Each has a worker of its own."""
    mine, yours = own.endpoint(instance="kernel-1"), own.endpoint(instance="kernel-2")
    found: list[set[int]] = [set(), set()]
    for _ in range(10):
        for one, pids in zip((mine, yours), found, strict=True):
            pids.add(_pid(one))
    assert not found[0] & found[1]
    assert len(workers()) >= 2


def test_no_descriptor_is_left_behind(own: Relays) -> None:
    """After 200 clients that came and went in every manner."""
    endpoint = own.endpoint(tcp=True)
    _pid(endpoint)
    before = {worker.pid: worker.num_fds() for worker in own_workers(endpoint)}
    assert before

    def client(number: int) -> None:
        kind = number % 4
        if kind == 0:
            _pid(endpoint)
        elif kind == 1:
            with psycopg.connect(**conninfo(endpoint), autocommit=True) as found:
                assert handed(endpoint, found)
        elif kind == 2:
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(endpoint.socket)
                stream.sendall(startup_packet({"user": os_user()})[: number % 9])
        else:
            with socket.create_connection(("127.0.0.1", endpoint.port or 0)) as stream:
                stream.sendall(startup_packet({"user": os_user()}))
                exactly(stream, 9)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(200)))

    def settled() -> bool:
        # The warm logins, each one descriptor.
        now = {worker.pid: worker.num_fds() for worker in own_workers(endpoint)}
        return now.keys() == before.keys() and all(
            now[pid] <= before[pid] + LIMITS.warm_logins for pid in before
        )

    wait_until(settled, deadline_s=15, what="the descriptors to be closed")
