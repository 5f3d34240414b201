"""A handle's SQLAlchemy engine against a real PostgreSQL: pooled checkouts, revoking, rotation, threads, forks."""

from __future__ import annotations

import os
import pickle
import threading
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest
import sqlalchemy

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.kernel.families import PostgresqlHandle
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.scripted_broker import ScriptedBroker
from tests.support.canary import found_in
from tests.support.relays.relayed_handles import RelayedHandles


def test_what_is_opened_shows_no_password(handle: PostgresqlHandle, engine: sqlalchemy.Engine) -> None:
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


def test_without_arguments_the_engine_is_the_same(handle: PostgresqlHandle) -> None:
    """A pool per cell would leave connections behind."""
    assert handle.engine() is handle.engine()
    assert handle.engine(pool_size=1) is not handle.engine(pool_size=1)


def test_a_pooled_connection_is_used_again(
    scripted_broker: ScriptedBroker, handles: RelayedHandles, engine: sqlalchemy.Engine
) -> None:
    """One login, one check a checkout."""
    pids = set()
    for _ in range(3):
        with engine.connect() as found:
            pids.add(found.execute(sqlalchemy.text("select pg_backend_pid()")).scalar())
    assert len(pids) == 1
    assert handles.logins == 1
    assert scripted_broker.count("access.check") == 3


def test_a_revoked_grant_bites_at_the_next_checkout(
    postgres: PostgresServer, handles: RelayedHandles, engine: sqlalchemy.Engine, login: Login
) -> None:
    """And the idle connection is closed, not kept for later: the broker cuts it, too."""
    with engine.connect() as found:
        pid = found.execute(sqlalchemy.text("select pg_backend_pid()")).scalar()
    handles.revoke(HandleInvalid(reason="revoked"))
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


def test_after_a_new_consent_the_same_engine_works(
    handles: RelayedHandles, engine: sqlalchemy.Engine
) -> None:
    """The pool is not spoilt by a refusal."""
    handles.refusal = HandleInvalid(reason="revoked")
    with pytest.raises(HandleInvalid):
        engine.connect()
    handles.refusal = None
    with engine.connect() as found:
        assert found.execute(sqlalchemy.text("select 1")).scalar() == 1


@pytest.mark.parametrize("what", ["rotation", "revision"])
def test_a_change_makes_the_pool_log_in_anew(
    postgres: PostgresServer,
    handles: RelayedHandles,
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
    assert handles.logins == 2


def test_many_threads_share_an_engine(handle: PostgresqlHandle) -> None:
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


def test_a_forked_child_gets_an_engine_of_its_own(handle: PostgresqlHandle) -> None:
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
