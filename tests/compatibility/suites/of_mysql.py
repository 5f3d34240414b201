"""The suites of PyMySQL, and of SQLAlchemy on MySQL; the server is a MariaDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.support.servers.mariadb import Account, MariaDbServer

from ..sources import Source
from . import sqlalchemy_tests
from .suite import Cell, Served, Suite, Way


def _serving(
    direct: Callable[[Account], Way], *databases: str
) -> Callable[[Path, Path], AbstractContextManager[Served]]:
    """With these databases besides; the suites make users and functions, too."""

    @contextmanager
    def serve(_folder: Path, _python: Path) -> Iterator[Served]:
        with MariaDbServer() as server:
            account = server.create()
            server.execute(
                *(f"CREATE DATABASE {name} CHARACTER SET utf8mb4" for name in databases),
                f"ALTER DATABASE {account.database} CHARACTER SET utf8mb4",
                f"GRANT ALL ON *.* TO {account.user}@'127.0.0.1' WITH GRANT OPTION",
                "SET GLOBAL local_infile = ON",
            )
            yield Served(account.fields(), {"password": account.password}, direct(account))

    return serve


# Where PyMySQL's tests look for it (pymysql/tests/base.py).
_DATABASES = "pymysql/tests/databases.json"


def _databases(place: dict[str, Any], first: str) -> Way:
    entries = [
        {**place, "database": first, "use_unicode": True, "local_infile": True},
        {**place, "database": "test2"},
    ]
    # It has no configuration of pytest, and would find this project's.
    return Way(files={_DATABASES: json.dumps(entries), "pytest.ini": "[pytest]\n"})


def _pymysql_directly(account: Account) -> Way:
    place = {"host": "127.0.0.1", "port": account.port, "user": account.user, "password": account.password}
    return _databases(place, account.database)


def _pymysql_through(cell: Cell) -> Way:
    user, database, socket = cell(
        "(lambda o: [o.fields['user'], o.fields['database'], o.socket])(h._handle_ref.open())"
    )
    return _databases({"host": "localhost", "unix_socket": socket, "user": user}, database)


PYMYSQL = Suite(
    name="pymysql",
    source=Source("PyMySQL", "1.2.0", "https://github.com/PyMySQL/PyMySQL", "v1.2.0"),
    requirements=("PyMySQL[ed25519,rsa]==1.2.0", "pytest", "pytest-asyncio", "pytest-timeout"),
    kind="mysql",
    arguments=("pymysql",),
    serve=_serving(_pymysql_directly, "test2"),
    through=_pymysql_through,
    way="the handle's socket",
)


def _sqlalchemy_directly(account: Account) -> Way:
    place = f"{account.user}:{account.password}@127.0.0.1:{account.port}/{account.database}"
    return Way(("--dburi", f"mysql+pymysql://{place}?charset=utf8mb4"))


SQLALCHEMY = Suite(
    name="sqlalchemy-mysql",
    source=sqlalchemy_tests.SOURCE,
    requirements=("sqlalchemy[asyncio,pymysql]==2.1.9", "pytest", "pytest-timeout"),
    kind="mysql",
    arguments=sqlalchemy_tests.ARGUMENTS,
    serve=_serving(_sqlalchemy_directly, "test_schema"),
    through=lambda cell: Way(("--dburi", cell("h.dsn"))),
    way="`handle.dsn`",
    deadline_s=1500.0,
)
