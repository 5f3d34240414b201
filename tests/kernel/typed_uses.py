"""Right and wrong uses, for `test_types_for_users`: type checkers report the lines marked `wrong` or `old`, no others.

It is never run.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import paramiko
import psycopg
import pymysql
import redis
import redis.asyncio
import requests
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine

import connvault_jupyter
from connvault_jupyter import (
    AccessDenied,
    ConnectionSummary,
    ConnectionTable,
    ConnvaultError,
    Handle,
    HttpHandle,
    InClearHandle,
    ObjectStoreHandle,
    PostgresqlHandle,
    RedisHandle,
    SqlHandle,
    SshHandle,
    WrongKind,
    connection,
    connections,
)


async def postgresql() -> None:
    db = connection("warehouse", kind="postgresql", reason="monthly report", timeout_s=10)
    engine: sqlalchemy.Engine = db.engine(pool_size=1)
    asynchronous: AsyncEngine = db.async_engine()
    plain: psycopg.Connection[tuple[str, ...]] = db.connect()
    other: psycopg.AsyncConnection[tuple[str, ...]] = await db.async_connect()
    await db.connect_async()  # old
    addresses: list[str] = [db.url, db.dsn]
    db.forget_sessions()
    db.dsn()  # wrong
    db.session()  # wrong
    db.engin()  # wrong
    plain.no_such_method()  # wrong
    db.engine().no_such_method()  # wrong
    number: int = db.url  # wrong
    print(engine, asynchronous, other, addresses, number)


def mysql() -> None:
    with connection("shop", kind="mysql") as db:
        found: pymysql.Connection[pymysql.cursors.Cursor] = db.connect(autocommit=True)
        print(db.engine(), db.url, db.dsn, found)
        db.async_engine()  # wrong
        db.async_connect()  # wrong


async def http() -> None:
    api = connection("github", kind="http")
    session: requests.Session = api.session()
    client: httpx.Client = api.client(timeout=3)
    asynchronous: httpx.AsyncClient = api.async_client()
    key: str = api.token
    print(session, client, asynchronous, key, api.url + api.base_url)
    print(connection("ai", kind="openai").token, connection("search", kind="elasticsearch").base_url)
    api.engine()  # wrong
    api.session(timeout=3)  # wrong
    api.base_url = "https://elsewhere.test"  # wrong


def others() -> None:
    lake = connection("lake", kind="s3")
    lake.client().list_buckets()
    lake.client("s3", read_timeout=5)
    print(lake.resource(), lake.filesystem(), lake.storage_options["key"], lake.bucket + lake.url)
    lake.session()  # wrong
    cache = connection("cache", kind="redis")
    now: redis.Redis = cache.client(decode_responses=True)
    later: redis.asyncio.Redis = cache.async_client()
    cache.dsn  # wrong
    host = connection("build", kind="ssh")
    shell: paramiko.SSHClient = host.connect(timeout_s=5)
    print(now, later, cache.url.upper(), host.agent_socket.upper(), host.last_refusal, shell)
    host.connect(timeout=5)  # wrong
    host.last_refusal.upper()  # wrong


def without_a_kind() -> None:
    handle: Handle = connection("warehouse")
    print(handle.name, handle.provider, handle.destination, handle.env(tcp=True)["PGHOST"])
    handle.engine()  # wrong
    handle.no_such_opener  # wrong
    handle.expires_at.isoformat()  # wrong
    if isinstance(handle, SqlHandle):
        handle.engine()
        handle.connect()
        handle.forget_sessions()  # wrong
    if isinstance(handle, InClearHandle):
        print(handle.arguments()["password"])
    connection("feed", kind="kind_of_another_package").name
    connection("feed", kind="kind_of_another_package").session()  # wrong
    connection("warehouse", kind=5)  # wrong
    connection("warehouse", "monthly report")  # wrong
    connection(reason="monthly report")  # wrong


def families(
    sql: SqlHandle, db: PostgresqlHandle, api: HttpHandle, lake: ObjectStoreHandle, cache: RedisHandle
) -> list[Handle]:
    sql = db
    db = sql.engine()  # wrong
    host: SshHandle = cache  # wrong
    return [sql, db, api, lake, cache, host]


def plain_text(handle: Handle) -> None:
    with handle.reveal("password", reason="legacy export") as password:
        text: str = password
        password.no_such_method()  # wrong
    with handle.reveal_all() as secrets:
        found: Mapping[str, str] = secrets
        text = secrets["password"]
        secrets["password"] = "x"  # wrong
    with handle.reveal() as either:  # old
        print(either)
    with handle.reveal(reason="legacy export") as either:  # old
        print(either)
    handle.reveal("password").upper()  # wrong
    text = handle.reveal("password")  # wrong
    found = handle.reveal_all()  # wrong
    print(text, found)


def listing() -> None:
    table: ConnectionTable = connections()
    rows: list[ConnectionSummary] = [row for row in table if row.status == "ready"]
    names: list[str] = table.names
    print(rows[0].name, rows[0].provider_id.upper(), names, table[0].destination)
    table.append(rows[0])  # wrong
    rows[0].password  # wrong
    rows[0].name = "other"  # wrong


def errors() -> None:
    try:
        connection("warehouse", kind="postgresql")
    except (AccessDenied, WrongKind) as refused:
        print(refused.message.upper(), refused.details["connection"], refused.code)
        refused.no_such_attribute  # wrong
    except ConnvaultError as failed:
        print(failed, connvault_jupyter.VaultLocked.code)
        connvault_jupyter.NoSuchError  # wrong
