"""The suites of psycopg 3, asyncpg, and SQLAlchemy on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.relays.postgres_relay import fields_of

from ..sources import Source
from . import sqlalchemy_tests
from .suite import Cell, Served, Suite, Way

# The suites make extensions, roles and prepared transactions.
_SETTINGS = {"max_prepared_transactions": "64", "max_connections": "300", "wal_level": "logical"}


def _serving(
    direct: Callable[[Login], Way], *prepare: str, any_database: bool = False
) -> Callable[[Path, Path], AbstractContextManager[Served]]:
    @contextmanager
    def serve(folder: Path, _python: Path) -> Iterator[Served]:
        with PostgresServer(log_file=folder / "postgres.log", settings=_SETTINGS) as server:
            login = server.create_login("scott", database="test")
            server.execute("ALTER ROLE scott SUPERUSER")
            for statement in prepare:
                server.execute(statement, database="test")
            fields = {**fields_of(login), "any_database": any_database}
            yield Served(fields, {"password": login.password}, direct(login))

    return serve


def _url(login: Login, scheme: str = "postgresql") -> str:
    return f"{scheme}://{login.user}:{quote(login.password)}@{login.host}:{login.port}/{login.database}"


def _variables(login: Login) -> dict[str, str]:
    return {
        "PGHOST": login.host,
        "PGPORT": str(login.port),
        "PGUSER": login.user,
        "PGPASSWORD": login.password,
        "PGDATABASE": login.database,
    }


PSYCOPG = Suite(
    name="psycopg",
    source=Source("psycopg", "3.3.4", "https://github.com/psycopg/psycopg", "3.3.4"),
    requirements=(
        "psycopg[binary]==3.3.4",
        "psycopg-pool>=3.3",
        "anyio",
        "dnspython",
        "numpy",
        "pproxy",
        "pytest",
        "pytest-timeout",
        "shapely",
    ),
    kind="postgresql",
    # Of the rest of its markers: mypy checks its types, slow and timing measure its time.
    arguments=("tests", "-m", "not slow and not mypy and not timing and not refcount"),
    serve=_serving(lambda login: Way(("--test-dsn", _url(login)))),
    through=lambda cell: Way(("--test-dsn", cell("h.dsn"))),
    way="`handle.dsn`",
    deadline_s=1200.0,
)


def _asyncpg_through(cell: Cell) -> Way:
    return Way(environment=cell("dict(h.env())"))


ASYNCPG = Suite(
    name="asyncpg",
    source=Source("asyncpg", "0.32.0", left_out=("asyncpg",)),
    requirements=("asyncpg==0.32.0", "distro", "pytest", "pytest-timeout", "uvloop"),
    kind="postgresql",
    arguments=("tests", "--deselect", "tests/test__sourcecode.py"),
    # Some of its tests name the database postgres.
    serve=_serving(lambda login: Way(environment=_variables(login)), any_database=True),
    through=_asyncpg_through,
    way="`handle.env()`; *Any database of the server* chosen",
)

SQLALCHEMY = Suite(
    name="sqlalchemy-postgresql",
    source=sqlalchemy_tests.SOURCE,
    requirements=("sqlalchemy[asyncio,postgresql-psycopgbinary]==2.1.9", "pytest", "pytest-timeout"),
    kind="postgresql",
    # Eight thousand more are about ranges, most of them without a server's part.
    arguments=(*sqlalchemy_tests.ARGUMENTS, "--ignore=test/dialect/postgresql/test_types.py"),
    serve=_serving(
        lambda login: Way(("--dburi", _url(login, "postgresql+psycopg"))),
        "CREATE SCHEMA test_schema AUTHORIZATION scott",
        "CREATE SCHEMA test_schema_2 AUTHORIZATION scott",
        "ALTER DATABASE test SET default_text_search_config = 'pg_catalog.english'",
    ),
    # Some of its tests take host and port out of the address.
    through=lambda cell: Way(
        ("--dburi", cell("h.env(tcp=True)['DATABASE_URL']").replace("postgresql:", "postgresql+psycopg:", 1))
    ),
    way="`handle.env(tcp=True)`",
    deadline_s=1500.0,
)
