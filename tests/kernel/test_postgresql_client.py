"""A brokered handle against a real PostgreSQL: ways in, refusals, places that are gone, no secret in this process."""

from __future__ import annotations

import functools
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from connvault_jupyter import connection
from connvault_jupyter.errors import (
    BrokerUnavailable,
    HandleInvalid,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
    VaultLocked,
)
from connvault_jupyter.kernel.families import PostgresqlHandle
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.broker.scripted_broker import ScriptedBroker
from tests.support.canary import found_in
from tests.support.relays.relay_process import workers
from tests.support.relays.relayed_handles import RelayedHandles
from tests.support.servers.postgres_upstream import says
from tests.support.servers.scripted_upstream import upstream
from tests.support.verbose import verbose_traceback


def _engine_with(handle: PostgresqlHandle, **given: Any) -> None:
    handle.engine(connect_args=given)


def test_connect_hands_over(handle: PostgresqlHandle, login: Login) -> None:
    """A psycopg connection as the stored user, to the stored database, on the server's own socket.

    Once it was opened the handle says what happened, whatever was expected.
    """
    assert handle.delivery == "relay"
    with handle.connect() as found:
        assert found.execute("select current_user, current_database()").fetchone() == (
            login.user,
            login.database,
        )
        with socket.socket(fileno=os.dup(found.fileno())) as stream:
            assert stream.getpeername() == (login.host, login.port)
    assert handle.delivery == "hand_over"


def test_an_encrypted_upstream_is_relayed(handles: RelayedHandles, login: Login) -> None:
    """Its state can't leave the relay; `prefer` counts as such, whatever the server then offers."""
    handles.fields["sslmode"] = "prefer"
    handles.delivery = "hand_over"
    handle = connection("warehouse", kind="postgresql")
    assert handle.delivery == "hand_over"
    with handle.connect() as found:
        assert found.execute("select current_user").fetchone() == (login.user,)
        with socket.socket(fileno=os.dup(found.fileno())) as stream:
            assert stream.family == socket.AF_UNIX
    assert handle.delivery == "relay"
    assert "brokered, relay" in repr(handle)


@pytest.mark.parametrize(
    ("mode", "expected", "happened"), [("disable", "relay", "hand_over"), ("prefer", "hand_over", "relay")]
)
async def test_async_connect(
    handles: RelayedHandles, login: Login, mode: str, expected: str, happened: str
) -> None:
    """The same for asyncio."""
    handles.fields["sslmode"] = mode
    handles.delivery = expected
    handle = connection("warehouse", kind="postgresql")
    async with await handle.async_connect(autocommit=True) as found:
        assert await (await found.execute("select current_user")).fetchone() == (login.user,)
    assert handle.delivery == happened


def test_the_dsn_has_no_secret_and_works(handle: PostgresqlHandle, login: Login) -> None:
    """For any program of this kernel."""
    assert found_in(handle.dsn) == []
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-c", "select current_user", handle.dsn],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip() == login.user


def test_names_of_any_letters_are_in_the_dsn(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """Quoted, so that they are no part of the address."""
    handles.fields |= {"user": "a@b/c:d", "database": "x?y&host=elsewhere"}
    found = psycopg.conninfo.conninfo_to_dict(handle.dsn)
    assert (found["user"], found["dbname"]) == ("a@b/c:d", "x?y&host=elsewhere")
    assert str(found["host"]).startswith("/")


def test_psycopgs_own_arguments_are_passed_on(handle: PostgresqlHandle) -> None:
    """How to talk is the code's business."""
    with handle.connect(autocommit=True, row_factory=dict_row, application_name="report") as found:
        assert found.autocommit
        assert found.execute("show application_name").fetchone() == {"application_name": "report"}


@pytest.mark.parametrize(
    "argument",
    [
        "conninfo", "host", "hostaddr", "port", "dbname", "database", "user", "password", "passfile", "service",
        "sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation", "require_auth", "channel_binding",
        "gssencmode", "krbsrvname", "requirepeer", "load_balance_hosts", "replication",
    ],
)  # fmt: skip
def test_arguments_that_say_where_are_refused(
    scripted_broker: ScriptedBroker, handle: PostgresqlHandle, argument: str
) -> None:
    """Before the broker is asked for a place."""
    for open_it in (handle.connect, functools.partial(_engine_with, handle)):
        with pytest.raises(TypeError, match="from the connection"):
            open_it(**{argument: "elsewhere"})
    assert scripted_broker.count("access.open") == 0


@pytest.mark.parametrize("argument", ["creator", "url", "module"])
def test_engine_takes_no_other_way_in(handle: PostgresqlHandle, argument: str) -> None:
    """A creator of one's own would go around the broker."""
    with pytest.raises(TypeError, match="from the connection"):
        handle.engine(**{argument: object()})


def test_the_environment_does_not_redirect(handle: PostgresqlHandle, tmp_path: Path) -> None:
    """Every variable that this libpq reads is set to nonsense, and a service file."""
    service = tmp_path / "services"
    service.write_text(
        "[elsewhere]\nhost=192.0.2.1\nhostaddr=192.0.2.1\nport=1\nuser=no\nsslmode=verify-full\n"
    )
    harmless = {
        "PGSERVICE", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGOPTIONS", "PGAPPNAME",
    }  # fmt: skip
    every = {option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar}
    with pytest.MonkeyPatch.context() as patch:
        for name in every - harmless:
            patch.setenv(name, "nonsense")
        patch.setenv("PGSERVICEFILE", str(service))
        patch.setenv("PGSERVICE", "elsewhere")
        with handle.connect() as found:
            assert found.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"port": 1}, UpstreamUnreachable),
        ({"host": "nowhere.invalid"}, UpstreamUnreachable),
        ({"host": "169.254.169.254"}, UpstreamRefused),
        ({"database": "no_such_database"}, UpstreamRefused),
        ({"user": "nobody_here"}, UpstreamAuthFailed),
        ({"sslmode": "require"}, UpstreamTlsFailed),
        ({"sslmode": "verify-full"}, UpstreamTlsFailed),
    ],
)
async def test_every_failure_has_its_own_error(
    handles: RelayedHandles, handle: PostgresqlHandle, change: dict[str, Any], kind: type[UpstreamError]
) -> None:
    """What to check differs; nothing of the server's words."""
    handles.fields |= change
    with pytest.raises(kind) as caught:
        handle.connect()
    with pytest.raises(kind) as caught_later:
        await handle.async_connect()
    for error in (caught.value, caught_later.value):
        assert error.details["connection"] == "warehouse"
        assert not any(str(value) in str(error) for value in change.values() if value != 1)


def test_a_wrong_password_is_a_typed_error_with_advice(
    postgres: PostgresServer, handle: PostgresqlHandle, login: Login
) -> None:
    """Also from the engine."""
    postgres.set_password(login, "another")
    for open_it in (handle.connect, handle.engine().connect):
        with pytest.raises(UpstreamAuthFailed, match="replace the secret") as caught:
            open_it()
        assert login.user not in str(caught.value)


def test_a_session_of_another_kind_than_asked_for_is_refused(handle: PostgresqlHandle) -> None:
    """libpq's own judgement, after the login."""
    with pytest.raises(UpstreamRefused):
        handle.connect(target_session_attrs="standby")


def test_what_the_broker_says_of_the_handle_counts(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """With its details: a revoked handle is told from an unknown one."""
    handle.connect().close()
    handles.refused_login = HandleInvalid(reason="revoked")
    handles.refusal = HandleInvalid(reason="revoked")
    with pytest.raises(HandleInvalid) as caught:
        handle.connect()
    assert caught.value.details["reason"] == "revoked"


def test_a_locked_vault_is_a_typed_error(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """Noticed at the login; the check alone unseals nothing."""
    handles.refused_login = VaultLocked()
    with pytest.raises(VaultLocked):
        handle.connect()


def test_after_a_crash_of_the_worker_the_next_connect_works(
    scripted_broker: ScriptedBroker, handle: PostgresqlHandle
) -> None:
    """The place is asked for again, once, by itself."""
    handle.connect().close()
    handle.connect().close()
    assert scripted_broker.count("access.open") == 1
    for worker in workers():
        worker.kill()
        worker.wait(5)
    with handle.connect() as found:
        assert found.execute("select 1").fetchone() == (1,)
    assert scripted_broker.count("access.open") == 2


def test_a_place_that_is_never_there_is_given_up(
    scripted_broker: ScriptedBroker, handles: RelayedHandles, handle: PostgresqlHandle
) -> None:
    """Not asked for again and again."""
    opened = handles.open
    asked = []

    def elsewhere(body: dict[str, Any]) -> dict[str, Any]:
        asked.append(body)
        return {**opened(body), "directory": "/nowhere"}

    scripted_broker.answers["access.open"] = elsewhere
    with pytest.raises(BrokerUnavailable):
        handle.connect()
    assert len(asked) == 1


def test_a_silent_server_is_given_up(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """A listener that never answers; psycopg waits at least 2 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        handles.fields["port"] = silent.getsockname()[1]
        with pytest.raises(UpstreamTimeout):
            handle.connect(connect_timeout=2)


def test_a_server_of_another_protocol_is_refused(handles: RelayedHandles, handle: PostgresqlHandle) -> None:
    """A web server on that port, say."""
    with upstream(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        handles.fields["port"] = port
        with pytest.raises(UpstreamRefused, match="Check host and port"):
            handle.connect()


def test_nothing_here_shows_the_password(
    handles: RelayedHandles, handle: PostgresqlHandle, caplog: pytest.LogCaptureFixture
) -> None:
    """Verbose tracebacks print every variable, psycopg logs at DEBUG."""
    caplog.set_level(logging.DEBUG)
    client = handle._opened("postgresql")
    with handle.connect() as found:
        faces = [repr(found), repr(found.info.get_parameters()), found.info.dsn, repr(vars(client))]
    handles.fields |= {"user": "nobody_here"}
    for open_it in (handle.connect, handle.engine().connect):
        with pytest.raises(UpstreamError) as caught:
            open_it()
        faces.append(verbose_traceback(caught.value))
    assert found_in("\n".join([*faces, caplog.text])) == []


def test_what_is_kept_for_the_next_client_can_be_ended(handle: PostgresqlHandle) -> None:
    """Then it is a new login."""

    def pid() -> int:
        with handle.connect() as found:
            return int(found.info.backend_pid)

    wait_until(lambda: pid() == pid(), deadline_s=20, what="a session that is used again")
    for _ in range(3):
        before = {pid() for _ in range(3)}
        handle.forget_sessions()
        assert pid() not in before


def test_a_dsn_may_name_another_database_where_the_connection_allows_it(
    handles: RelayedHandles, handle: PostgresqlHandle, login: Login
) -> None:
    """Otherwise it is refused, also where a library has put the name into the address."""
    with pytest.raises(psycopg.OperationalError, match="connvault not_allowed"):
        psycopg.connect(handle.dsn, dbname="template1")
    handles.fields["any_database"] = True
    with psycopg.connect(handle.dsn, dbname="template1") as found:
        assert found.execute("select current_user, current_database()").fetchone() == (
            login.user,
            "template1",
        )


@pytest.mark.parametrize("library", ["psycopg", "sqlalchemy"])
def test_a_missing_library_names_the_extra(handle: PostgresqlHandle, library: str) -> None:
    """The message is the command to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=r'pip install "connvault-jupyter\[postgresql\]"'):
            handle.engine(pool_size=1)
