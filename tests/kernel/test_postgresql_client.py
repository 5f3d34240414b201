"""A handle against a real PostgreSQL: logins, refusals, pooled checkouts, and what no error may show."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import psycopg
import pytest
import sqlalchemy
from psycopg import pq
from psycopg.rows import dict_row

from connvault_jupyter import connection
from connvault_jupyter.errors import (
    HandleInvalid,
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


@pytest.fixture
def login(postgres: PostgresServer, postgres_login: Login) -> Login:
    """A user whose password is the canary."""
    return postgres.set_password(postgres_login, CANARY)


@pytest.fixture
def handles(scripted_broker: ScriptedBroker, login: Login) -> Handles:
    """The broker knows the login."""
    return Handles(
        fields={
            "host": login.host,
            "port": login.port,
            "database": login.database,
            "user": login.user,
            "sslmode": "prefer",
        },
        secrets={"password": login.password},
    ).install(scripted_broker)


@pytest.fixture
def handle(handles: Handles) -> Handle:
    return connection("warehouse")


@pytest.fixture
def engine(handle: Handle) -> Iterator[sqlalchemy.Engine]:
    made = handle.engine(pool_size=1, max_overflow=0)
    yield made
    made.dispose()


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


def test_what_is_opened_shows_no_password(handle: Handle, engine: sqlalchemy.Engine) -> None:
    """Reprs, the URL, and the connection's own description."""
    with engine.connect() as found, handle.connect() as plain:
        driver = found.connection.driver_connection
        faces = [
            repr(engine), str(engine.url), engine.url.render_as_string(hide_password=False), repr(found),
            repr(driver), repr(plain), repr(plain.info.get_parameters()), plain.info.dsn, repr(engine.pool),
            repr(vars(engine)), engine.pool.status(),
        ]  # fmt: skip
    assert found_in("\n".join(faces)) == []
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(engine)


def test_engine_runs_queries(engine: sqlalchemy.Engine, login: Login) -> None:
    """As pandas does it."""
    frame = pd.read_sql("select current_user as who, 1 as one", engine)
    assert frame.to_dict("records") == [{"who": login.user, "one": 1}]


def test_without_arguments_it_is_the_same_engine(handle: Handle) -> None:
    """A pool per cell would leave connections behind."""
    assert handle.engine() is handle.engine()
    assert handle.engine(pool_size=1) is not handle.engine(pool_size=1)


def test_a_pooled_connection_is_used_again(
    scripted_broker: ScriptedBroker, engine: sqlalchemy.Engine
) -> None:
    """One login, one check a checkout."""
    pids = set()
    for _ in range(3):
        with engine.connect() as found:
            pids.add(found.execute(sqlalchemy.text("select pg_backend_pid()")).scalar())
    assert len(pids) == 1
    assert scripted_broker.count("access.deliver") == 1
    assert scripted_broker.count("access.check") == 3


def test_a_revoked_grant_bites_at_the_next_checkout(
    postgres: PostgresServer, handles: Handles, engine: sqlalchemy.Engine, login: Login
) -> None:
    """And the idle connection is closed, not kept for later."""
    with engine.connect() as found:
        pid = found.execute(sqlalchemy.text("select pg_backend_pid()")).scalar()
    handles.refusal = HandleInvalid(reason="revoked")
    for _ in range(2):
        with pytest.raises(HandleInvalid) as caught:
            engine.connect()
        assert caught.value.details["reason"] == "revoked"
    pool: Any = engine.pool
    assert pool.checkedout() == 0
    gone = "select count(*) from pg_stat_activity where pid = %s"
    for _ in range(500):
        # The server notices the closed socket in its own time.
        if postgres.execute(gone.replace("%s", str(pid))) == [(0,)]:
            break
    else:
        raise AssertionError("the pooled connection is still open")


def test_after_a_new_consent_the_same_engine_works(handles: Handles, engine: sqlalchemy.Engine) -> None:
    """The pool is not spoilt by a refusal."""
    handles.refusal = HandleInvalid(reason="revoked")
    with pytest.raises(HandleInvalid):
        engine.connect()
    handles.refusal = None
    with engine.connect() as found:
        assert found.execute(sqlalchemy.text("select 1")).scalar() == 1


@pytest.mark.parametrize("what", ["rotation", "revision"])
def test_a_change_makes_the_pool_log_in_anew(
    scripted_broker: ScriptedBroker,
    postgres: PostgresServer,
    handles: Handles,
    engine: sqlalchemy.Engine,
    login: Login,
    what: str,
) -> None:
    """A replaced secret or an edited connection is picked up at the next checkout."""
    with engine.connect() as found:
        before = found.execute(sqlalchemy.text("select pg_backend_pid()")).scalar()
    if what == "rotation":
        handles.secrets = {"password": postgres.set_password(login, "rotated").password}
        handles.rotation = "r2"
    else:
        handles.revision = 2
    with engine.connect() as found:
        assert found.execute(sqlalchemy.text("select pg_backend_pid()")).scalar() != before
    assert scripted_broker.count("access.deliver") == 2


def test_many_threads_share_an_engine(handle: Handle) -> None:
    """Each login asks the broker on its own."""
    engine = handle.engine(pool_size=4)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                with engine.connect() as found:
                    found.execute(sqlalchemy.text("select 1"))
        except BaseException as exc:  # noqa: BLE001 - the main thread reports it
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert failures == []


def test_a_forked_child_gets_an_engine_of_its_own(handle: Handle) -> None:
    """Two processes on one socket would corrupt the protocol."""
    parents = handle.engine()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, b"own" if handle.engine() is not parents else b"shared")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"own"
    os.close(read)
    os.close(write)


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
