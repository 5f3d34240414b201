"""A handle against a real PostgreSQL: logins, refusals, and what no error may show."""

from __future__ import annotations

import functools
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq
from psycopg.rows import dict_row

from connvault_jupyter.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.kernel.answers import Delivered
from connvault_jupyter.kernel.clients import postgresql
from connvault_jupyter.kernel.handle import Handle
from setup_hooks.postgresql import Login, PostgresServer, free_port
from tests.support.canary import CANARY, found_in
from tests.support.scripted_broker import Handles, ScriptedBroker
from tests.support.verbose import verbose_traceback


def _engine_with(handle: Handle, **given: Any) -> None:
    handle.engine(connect_args=given)


def test_connect_logs_in(handle: Handle, login: Login) -> None:
    """A psycopg connection as the stored user, to the stored database."""
    with handle.connect() as found:
        assert found.execute("select current_user, current_database()").fetchone() == (
            login.user,
            login.database,
        )


def test_psycopgs_own_arguments_are_passed_on(handle: Handle) -> None:
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
    scripted_broker: ScriptedBroker, handle: Handle, argument: str
) -> None:
    """Before the secret is fetched."""
    for open_it in (handle.connect, functools.partial(_engine_with, handle)):
        with pytest.raises(TypeError, match="comes from the connection"):
            open_it(**{argument: "elsewhere"})
    assert scripted_broker.count("access.deliver") == 0


@pytest.mark.parametrize("argument", ["creator", "url", "module"])
def test_engine_takes_no_other_way_in(handle: Handle, argument: str) -> None:
    """A creator of one's own would go around the broker."""
    with pytest.raises(TypeError, match="comes from the connection"):
        handle.engine(**{argument: object()})


def test_the_environment_does_not_redirect(handle: Handle, tmp_path: Path) -> None:
    """libpq reads a dozen PG* variables and a service file for what is not given."""
    service = tmp_path / "services"
    service.write_text(
        "[elsewhere]\nhost=192.0.2.1\nhostaddr=192.0.2.1\nport=1\nuser=no\nsslmode=verify-full\n"
    )
    variables = {
        "PGHOST": "192.0.2.1", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "no", "PGUSER": "no",
        "PGPASSWORD": "no", "PGPASSFILE": "/nowhere", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere",
        "PGSSLCERT": "/nowhere", "PGSSLKEY": "/nowhere", "PGREQUIREPEER": "no", "PGGSSENCMODE": "disable",
        "PGCHANNELBINDING": "disable", "PGSERVICEFILE": str(service), "PGSERVICE": "elsewhere",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with handle.connect() as found:
            assert found.execute("select 1").fetchone() == (1,)


def test_every_variable_of_libpq_that_redirects_is_pinned() -> None:
    """A libpq with a new parameter must be looked at before it is trusted."""
    known_harmless = postgresql.ALLOWED | {
        "fallback_application_name",
        # how, not where
        "sslcompression", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version", "sslnegotiation",
        "sslcertmode", "sslcrl", "sslcrldir", "sslpassword", "sslkeylogfile", "min_protocol_version",
        "max_protocol_version", "krbsrvname", "gsslib", "gssdelegation", "replication", "load_balance_hosts",
        "require_auth", "scram_client_key", "scram_server_key", "keepalives", "tty", "authtype",
        # OAuth: the server would ask for a token that we never have
        "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope",
        # a service fills in only what is not given
        "service", "servicefile",
    }  # fmt: skip
    login = Delivered("w", "postgresql", {"host": "h", "database": "d", "user": "u"}, {}, 1, "r")
    given = set(postgresql._parameters(login, {}, pq.version()))
    every = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    assert every - given - known_harmless == set()


def test_a_wrong_password_is_a_typed_error_with_advice(
    postgres: PostgresServer, handle: Handle, login: Login
) -> None:
    """The server's words name user and host; they are dropped."""
    postgres.set_password(login, "another")
    with pytest.raises(UpstreamAuthFailed, match="replace the secret") as caught:
        handle.connect()
    assert login.user not in str(caught.value)
    assert caught.value.details == {"connection": "warehouse"}


def test_a_secret_replaced_meanwhile_is_tried_once(
    scripted_broker: ScriptedBroker, postgres: PostgresServer, handles: Handles, handle: Handle, login: Login
) -> None:
    """Between delivery and login the password was changed, at the server and in the vault."""
    fresh = postgres.set_password(login, "another one")
    stale = dict(handles.secrets)

    def deliver(body: dict[str, Any]) -> dict[str, Any]:
        answer = {**handles.deliver(body), "secrets": stale, "rotation": "r1"}
        handles.secrets, handles.rotation = {"password": fresh.password}, "r2"
        scripted_broker.answers["access.deliver"] = handles.deliver
        return answer

    scripted_broker.answers["access.deliver"] = deliver
    with handle.connect() as found:
        assert found.execute("select 1").fetchone() == (1,)
    assert scripted_broker.count("access.deliver") == 2


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"port": 1}, UpstreamUnreachable),
        ({"host": "nowhere.invalid"}, UpstreamUnreachable),
        ({"database": "no_such_database"}, UpstreamRefused),
        ({"sslmode": "require"}, UpstreamTlsFailed),
        ({"sslmode": "verify-full"}, UpstreamTlsFailed),
    ],
)
def test_every_failure_has_its_own_error(
    handles: Handles, handle: Handle, change: dict[str, Any], kind: type[UpstreamError]
) -> None:
    """What to check differs."""
    handles.fields |= change
    with pytest.raises(kind):
        handle.connect()


@pytest.mark.parametrize("change", [{"port": 1}, {"database": "no_such_database"}, {"user": "nobody"}])
def test_no_traceback_and_no_log_shows_the_password(
    handles: Handles, handle: Handle, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    """Verbose tracebacks print every variable, psycopg logs at DEBUG, and causes are printed too."""
    caplog.set_level(logging.DEBUG)
    handles.fields |= change
    for open_it in (handle.connect, handle.engine().connect):
        with pytest.raises(UpstreamError) as caught:
            open_it()
        assert found_in(verbose_traceback(caught.value)) == []
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    assert found_in(caplog.text) == []


def test_the_positive_control_psycopg_alone_shows_it(login: Login) -> None:
    """The same search finds the password in the traceback of a plain psycopg call."""

    def connect(password: str) -> None:
        psycopg.connect(**{**login.psycopg_kwargs(), "password": password, "port": 1})

    with pytest.raises(psycopg.OperationalError) as caught:
        connect(CANARY)
    assert found_in(verbose_traceback(caught.value))


@pytest.mark.parametrize("library", ["psycopg", "sqlalchemy"])
def test_a_missing_library_names_the_extra(handle: Handle, library: str) -> None:
    """The message is the command to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=r'pip install "connvault-jupyter\[postgresql\]"'):
            handle.engine(pool_size=1)


def test_a_silent_server_is_given_up(handles: Handles, handle: Handle) -> None:
    """A listener that never answers; psycopg waits at least 2 s."""
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        handles.fields["port"] = silent.getsockname()[1]
        with pytest.raises(UpstreamTimeout):
            handle.connect(connect_timeout=2)
