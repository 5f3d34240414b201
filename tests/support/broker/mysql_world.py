"""MySQL on the whole path: a broker, a person who says yes, a real MariaDB, and a process with a handle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.requester import RequesterProcess
from tests.support.servers.mariadb import Account, MariaDbServer
from tests.support.servers.mariadb import mariadb as mariadb

PRELUDE = """
import gc, os, subprocess, threading, time
import pandas, pymysql, sqlalchemy
from sqlalchemy import text

def one(connection, query):
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return row[0] if row else None

def scalar(engine, query):
    with engine.connect() as found:
        return found.execute(text(query)).scalar()

def outcome(connection, query):
    try:
        return one(connection, query)
    except pymysql.MySQLError as exc:
        return exc.args[0]
"""


@dataclass
class World:
    operator: Operator
    mariadb: MariaDbServer
    account: Account
    cell: RequesterProcess
    id: str
    sslmode: str

    def edit(self, **fields: Any) -> None:
        revision = self.operator.call("connections.get", {"id": self.id})["connection"]["revision"]
        body = {"id": self.id, "revision": revision, "fields": self.account.fields(**fields)}
        self.operator.call("connections.update", body)

    def rotate(self, password: str) -> None:
        self.mariadb.set_password(self.account, password)
        self.operator.call("secrets.set", {"id": self.id, "field": "password", "value": password})


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Operator, RequesterProcess]]:
    """A broker, a person who says yes, and a process that asks. Started once: it takes three seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
        Notebooks(operator, home=Path(folder), socket_path=path).open("report.ipynb") as process,
    ):
        process.run(PRELUDE)
        yield operator, process


@pytest.fixture(params=["disable", "require"])
def world(
    running: tuple[Operator, RequesterProcess], mariadb: MariaDbServer, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A connection of the test's own, and a handle `h` for it."""
    operator, process = running
    account = mariadb.create()
    fields, secrets = account.fields(sslmode=request.param), {"password": account.password}
    made = operator.create(account.database, "mysql", fields, secrets)["connection"]
    process.run(f"h = connection({account.database!r})")
    yield World(operator, mariadb, account, process, made["id"], request.param)
    process.run("a = b = c = e = h = found = ts = None; gc.collect()")
    revision = operator.call("connections.get", {"id": made["id"]})["connection"]["revision"]
    operator.call("connections.delete", {"id": made["id"], "revision": revision})
    mariadb.drop(account)
