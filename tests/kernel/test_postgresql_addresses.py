"""The addresses that a PostgreSQL handle gives away, read by other libraries, whatever the environment says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pandas as pd  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from connvault_jupyter.errors import NotAllowed
from connvault_jupyter.kernel.families import PostgresqlHandle
from setup_hooks.postgresql import Login
from tests.support.relays.relayed_handles import RelayedHandles
from tests.support.services.catalogue import provider

WHO = "select current_user"
DRIVERS = ("psycopg", "psycopg2")

# What a company's profile may have for its own servers.
FOREIGN = {
    "PGTARGETSESSIONATTRS": "standby",
    "PGSSLMODE": "require",
    "PGHOST": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGDATABASE": "nowhere",
    "PGPASSWORD": "other",
}


@pytest.fixture(params=["alone", "among variables for other servers"])
def surroundings(request: pytest.FixtureRequest, handle: PostgresqlHandle) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "alone":
            for name, value in FOREIGN.items():
                patch.setenv(name, value)
        yield


@pytest.fixture
def patch(handle: PostgresqlHandle) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as found:
        yield found


def _ask(url: str | sqlalchemy.URL) -> str:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as found:
        return str(found.execute(sqlalchemy.text(WHO)).scalar())


async def _ask_async(url: str | sqlalchemy.URL) -> str:
    engine = create_async_engine(url, poolclass=sqlalchemy.NullPool)
    async with engine.connect() as found:
        return str((await found.execute(sqlalchemy.text(WHO))).scalar())


@pytest.mark.usefixtures("surroundings")
async def test_the_engines_url_leads_where_the_engine_does(handle: PostgresqlHandle, login: Login) -> None:
    """As an object and as a text, with each driver, also asynchronously."""
    url = handle.engine().url
    assert url.password is None
    assert pd.read_sql(WHO, str(url)).iloc[0, 0] == login.user
    for driver in DRIVERS:
        assert _ask(url.set(drivername=f"postgresql+{driver}")) == login.user
    assert await _ask_async(url) == login.user
    assert await _ask_async(str(url.set(drivername="postgresql+asyncpg"))) == login.user


@pytest.mark.usefixtures("surroundings")
async def test_the_dsn_is_read_alike_by_all(handle: PostgresqlHandle, login: Login) -> None:
    """libpq by two bindings, asyncpg, SQLAlchemy with three drivers."""
    with psycopg.connect(handle.dsn) as found:
        assert found.execute(WHO).fetchone() == (login.user,)
    other = psycopg2.connect(handle.dsn)
    try:
        with other.cursor() as cursor:
            cursor.execute(WHO)
            assert cursor.fetchone() == (login.user,)
    finally:
        other.close()
    third = await asyncpg.connect(handle.dsn)
    try:
        assert await third.fetchval(WHO) == login.user
    finally:
        await third.close()
    for driver in DRIVERS:
        assert _ask(handle.dsn.replace("://", f"+{driver}://", 1)) == login.user
    assert await _ask_async(handle.dsn.replace("://", "+asyncpg://", 1)) == login.user


@pytest.mark.parametrize("sslmode", ["", "verify-full"])
def test_certificates_for_other_servers_play_no_part(
    handle: PostgresqlHandle, login: Login, patch: pytest.MonkeyPatch, sslmode: str
) -> None:
    """libpq takes the system's certificates with a full verification only."""
    patch.setenv("PGSSLROOTCERT", "system")
    if sslmode:
        patch.setenv("PGSSLMODE", sslmode)
    with psycopg.connect(handle.dsn) as found:
        assert found.execute(WHO).fetchone() == (login.user,)
    assert _ask(str(handle.engine().url)) == login.user


async def test_a_verification_of_other_servers_plays_no_part(
    handle: PostgresqlHandle, login: Login, patch: pytest.MonkeyPatch
) -> None:
    """asyncpg would look for its certificates."""
    patch.setenv("PGSSLMODE", "verify-full")
    with psycopg.connect(handle.dsn) as found:
        assert found.execute(WHO).fetchone() == (login.user,)
    other = await asyncpg.connect(handle.dsn)
    try:
        assert await other.fetchval(WHO) == login.user
    finally:
        await other.close()


def _somewhere_else(folder: Path, patch: pytest.MonkeyPatch, variable: str) -> None:
    service = folder / "services"
    service.write_text("[elsewhere]\nhostaddr=192.0.2.1\n")
    patch.setenv("PGSERVICEFILE", str(service))
    patch.setenv(variable, "elsewhere" if variable == "PGSERVICE" else "192.0.2.1")


@pytest.mark.parametrize("variable", ["PGHOSTADDR", "PGSERVICE"])
def test_an_address_that_would_lead_elsewhere_is_not_given(
    handle: PostgresqlHandle, tmp_path: Path, patch: pytest.MonkeyPatch, variable: str
) -> None:
    """By the variable's name; what the handle opens itself does not look at it."""
    _somewhere_else(tmp_path, patch, variable)
    with pytest.raises(NotAllowed, match=variable):
        _ = handle.dsn
    with handle.connect() as found:
        assert found.execute("select 1").fetchone() == (1,)
    patch.delenv(variable)
    assert _ask(handle.dsn)


@pytest.mark.parametrize("variable", ["PGHOSTADDR", "PGSERVICE"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_engines_url_that_would_lead_elsewhere_leads_nowhere(
    handle: PostgresqlHandle,
    login: Login,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
    variable: str,
    driver: str,
) -> None:
    """The engine itself works; who reads the address is told why not."""
    _somewhere_else(tmp_path, patch, variable)
    engine = handle.engine(poolclass=sqlalchemy.NullPool)
    with engine.connect() as found:
        assert found.execute(sqlalchemy.text(WHO)).scalar() == login.user
    for form in (engine.url, str(engine.url)):
        url = sqlalchemy.make_url(form).set(drivername=f"postgresql+{driver}")
        with pytest.raises(sqlalchemy.exc.OperationalError, match=f"{variable} is set"):
            _ask(url)


async def test_of_a_driver_that_fails_by_itself_the_failure_is_shown(
    handle: PostgresqlHandle, patch: pytest.MonkeyPatch
) -> None:
    """The broker is there: that it does not answer would send people to the wrong place."""
    patch.setenv("PGSERVICE", "of-nobody")
    patch.setenv("PGSERVICEFILE", "/nowhere")
    for engine in (None, handle.engine(poolclass=sqlalchemy.NullPool)):
        with pytest.raises((psycopg.OperationalError, sqlalchemy.exc.OperationalError), match="/nowhere"):
            (engine or handle).connect()
    with pytest.raises(psycopg.OperationalError, match="/nowhere"):
        await handle.async_connect()


@pytest.mark.usefixtures("surroundings")
async def test_the_variables_addresses_are_read_by_each_driver(
    handles: RelayedHandles, handle: PostgresqlHandle, login: Login
) -> None:
    """By all of them the one over loopback, by those that know sockets the other one."""
    definition = provider("postgresql").deliveries[0]
    handles._variables, handles._tcp_variables = dict(definition.variables), dict(definition.tcp_variables)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (found := handle.env()).items():
            patch.setenv(name, value)
        for name, drivers in (("DATABASE_URL", (*DRIVERS, "pg8000")), ("DATABASE_SOCKET_URL", DRIVERS)):
            for driver in drivers:
                assert _ask(found[name].replace("://", f"+{driver}://", 1)) == login.user
            assert await _ask_async(found[name].replace("://", "+asyncpg://", 1)) == login.user


@pytest.mark.parametrize("tcp", [False, True])
def test_psql_and_pg_dump_come_here_on_a_machine_for_other_servers(
    handles: RelayedHandles,
    handle: PostgresqlHandle,
    login: Login,
    tmp_path: Path,
    patch: pytest.MonkeyPatch,
    tcp: bool,
) -> None:
    """With a password file, a service file and variables that lead to other servers in place."""
    definition = provider("postgresql").deliveries[0]
    handles._variables, handles._tcp_variables = dict(definition.variables), dict(definition.tcp_variables)
    (tmp_path / ".pgpass").write_text("*:*:*:*:other\n")
    (tmp_path / ".pgpass").chmod(0o600)
    (tmp_path / ".pg_service.conf").write_text("[elsewhere]\nhostaddr=192.0.2.1\n")
    for name, value in {
        **FOREIGN,
        "HOME": str(tmp_path),
        "PGHOSTADDR": "192.0.2.1",
        "PGREQUIREPEER": "no",
    }.items():
        patch.setenv(name, value)
    with handle.connect(autocommit=True) as found:
        found.execute("create table mine (n int)")
    for command, said in (
        (["psql", "-XAtc", WHO], f"{login.user}\n"),
        (["psql", "-XAt", handle.env(tcp=tcp)["DATABASE_URL"], "-c", WHO], f"{login.user}\n"),
        (["psql", "-XAt", handle.env(tcp=tcp)["DATABASE_SOCKET_URL"], "-c", WHO], f"{login.user}\n"),
        (["pg_dump", "-s"], "CREATE TABLE public.mine"),
    ):
        done = subprocess.run(
            command, env={**os.environ, **handle.env(tcp=tcp)}, capture_output=True, text=True, check=False
        )
        assert said in done.stdout, done.stderr
