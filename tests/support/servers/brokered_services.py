"""A service of every brokered kind on loopback, each with a secret that was made for it, and code that uses it all.

The code runs in a notebook's kernel: it goes through every opener of the handle and leaves everything open.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer

from setup_hooks.postgresql import PostgresServer

from .echo_api import echo_api
from .mariadb import MariaDbServer
from .redis_server import redis_server
from .sshd import SshServer, new_key


@dataclass(frozen=True)
class Service:
    """`sought` are the strings that must not be found; `code` uses the connection that is called like the kind."""

    kind: str
    fields: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    sought: tuple[str, ...] = field(repr=False)
    code: str = ""


def new_secret() -> str:
    """Unmistakable, and fit for any header, command line or configuration file."""
    return f"Kanari-{randomness.token_urlsafe(24)}-geheim"


@contextmanager
def _postgresql(folder: Path) -> Iterator[Service]:
    with PostgresServer(log_file=folder / "postgres.log") as server:
        login = server.create_login("reader", database="sales", password=new_secret())
        fields = {
            "host": login.host,
            "port": login.port,
            "database": "sales",
            "user": "reader",
            "sslmode": "disable",
        }
        yield Service("postgresql", fields, {"password": login.password}, (login.password,), _POSTGRESQL)


_POSTGRESQL = """
import os, subprocess, psycopg, sqlalchemy
handle = connection("postgresql", reason="canary")
opened = handle.connect()
assert opened.execute("select 1").fetchone() == (1,)
with handle.engine().connect() as session:
    assert session.execute(sqlalchemy.text("select 2")).scalar() == 2
relayed = psycopg.connect(handle.dsn)
assert relayed.execute("select 3").fetchone() == (3,)
env = {**os.environ, **handle.env()}
assert subprocess.run(["psql", "-Atc", "select 4"], env=env, capture_output=True, text=True).stdout.strip() == "4"
repr(handle), vars(type(handle)), opened.info.get_parameters()
"""


@contextmanager
def _mysql(folder: Path) -> Iterator[Service]:
    with MariaDbServer() as server:
        account = server.create(password=new_secret())
        yield Service("mysql", account.fields(), {"password": account.password}, (account.password,), _MYSQL)


_MYSQL = """
import sqlalchemy
handle = connection("mysql", reason="canary")
opened = handle.connect()
with opened.cursor() as cursor:
    cursor.execute("select 1")
    assert cursor.fetchone() == (1,)
with handle.engine().connect() as session:
    assert session.execute(sqlalchemy.text("select 2")).scalar() == 2
handle.dsn, handle.env()
"""


@contextmanager
def _redis(folder: Path) -> Iterator[Service]:
    secret = new_secret()
    with redis_server(password=secret) as server:
        fields = {"host": server.host, "port": server.port, "sslmode": "disable"}
        yield Service("redis", fields, {"password": secret}, (secret,), _REDIS)


_REDIS = """
handle = connection("redis", reason="canary")
client = handle.client(decode_responses=True)
client.set("greeting", "hello")
assert client.get("greeting") == "hello"
for command in (("CONFIG", "GET", "requirepass"), ("ACL", "GETUSER", "default"), ("ACL", "LIST")):
    try:
        seen = client.execute_command(*command)
    except Exception as exc:
        seen = exc
handle.url, handle.env()
"""


@contextmanager
def _http(folder: Path) -> Iterator[Service]:
    secret = new_secret()
    with echo_api() as api:
        # As a debug page does: it answers with all that it was sent.
        api.failing = {"/echo"}
        fields = {"base_url": api.origin, "allow_http": True, "auth": "bearer"}
        yield Service("http", fields, {"token": secret}, (secret,), _HTTP)


_HTTP = """
import requests
handle = connection("http", reason="canary")
session = handle.session()
assert session.get("/things").json() == {"path": "/things"}
echo = session.get("/echo")
assert "Authorization" in echo.text
client = handle.client()
assert client.get("/more").status_code == 200
anyone = requests.get(f"{handle.base_url}/sdk", headers={"Authorization": f"Bearer {str(handle.token)}"})
assert anyone.status_code == 200
masked = echo.text
"""


@contextmanager
def _s3(folder: Path) -> Iterator[Service]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        secret = new_secret()
        host, port = server.get_host_and_port()
        fields = {
            "base_url": f"http://{host}:{port}", "allow_http": True, "region": "us-east-1",
            "access_key_id": "AKIAEXAMPLE123456789",
        }  # fmt: skip
        yield Service("s3", fields, {"secret_access_key": secret}, (secret,), _S3)
    finally:
        server.stop()


_S3 = """
handle = connection("s3", reason="canary")
client = handle.client()
client.create_bucket(Bucket="bucket")
client.put_object(Bucket="bucket", Key="a/b.csv", Body=b"x,y\\n1,2\\n")
assert client.get_object(Bucket="bucket", Key="a/b.csv")["Body"].read() == b"x,y\\n1,2\\n"
assert handle.filesystem().ls("bucket/a") == ["bucket/a/b.csv"]
"""


@contextmanager
def _ssh(folder: Path) -> Iterator[Service]:
    server = SshServer(folder)
    key = new_key()
    server.let_in(key)
    server.start()
    try:
        lines = [line for line in key.private.splitlines() if not line.startswith("-----")]
        # Two whole lines of the file, and the 32 bytes of an Ed25519 key as they are in memory when it is parsed.
        sought = (lines[2], "".join(lines)[90:150])
        yield Service("ssh", {**server.fields, "host_key": server.host_key}, key.secrets, sought, _SSH)
    finally:
        server.stop()


_SSH = """
import subprocess
handle = connection("ssh", reason="canary")
with handle.connect() as client:
    assert client.exec_command("echo hello")[1].read().strip() == b"hello"
listed = subprocess.run(["ssh-add", "-l"], env={**os.environ, **handle.env()}, capture_output=True, text=True)
assert "ED25519" in listed.stdout, listed
"""

SERVICES: dict[str, Callable[[Path], Any]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "redis": _redis,
    "http": _http,
    "s3": _s3,
    "ssh": _ssh,
}


@contextmanager
def services(folder: Path) -> Iterator[dict[str, Service]]:
    """All of them, running."""
    with ExitStack() as stack:
        found = {}
        for kind in SERVICES:
            place = folder / kind
            place.mkdir()
            found[kind] = stack.enter_context(SERVICES[kind](place))
        yield found
