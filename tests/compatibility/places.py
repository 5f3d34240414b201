"""What the libraries are tried against: servers with a connection of their own each, started when first needed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3

from setup_hooks.postgresql import PostgresServer
from tests.support.relays.postgres_relay import fields_of
from tests.support.servers.mariadb import MariaDbServer
from tests.support.servers.redis_server import redis_server
from tests.support.servers.sshd import SshServer, new_key
from tests.support.servers.strict_s3 import REGION, strict_s3

from .kernels import Kernel
from .stand_in_server import serving
from .stand_ins import STAND_INS


@dataclass(frozen=True)
class Place:
    """A connection as a person enters it. `variables`: what code knows that has no secret (a host's name)."""

    kind: str
    fields: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)


class Places:
    """Each is named as its connection is. Use it for a `with` block."""

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        self._kernel = kernel
        self._folder = folder
        self._found: dict[str, Place] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def ready(self, name: str) -> Place:
        """Started, and a connection of this name in the vault."""
        if name not in self._found:
            place = self._stand_in(name) if name in STAND_INS else _SERVERS[name](self._stack, self._folder)
            self._kernel.define(name, place.kind, place.fields, place.secrets)
            self._found[name] = place
        return self._found[name]

    def _stand_in(self, name: str) -> Place:
        stand_in, secret = STAND_INS[name], secrets.token_urlsafe(24)
        address = self._stack.enter_context(serving(stand_in, secret))
        fields = {"base_url": address, "allow_http": True, **stand_in.fields}
        return Place(stand_in.kind, fields, stand_in.secrets(secret))


def _postgresql(stack: ExitStack, folder: Path) -> Place:
    server = stack.enter_context(PostgresServer(log_file=folder / "postgres.log"))
    login = server.create_login("analyst", database="sales")
    server.execute("ALTER ROLE analyst CREATEDB")
    return Place("postgresql", fields_of(login), {"password": login.password})


def _postgresql_any_database(stack: ExitStack, folder: Path) -> Place:
    place = _postgresql(stack, folder)
    return replace(place, fields={**place.fields, "any_database": True})


def _mysql(stack: ExitStack, _folder: Path) -> Place:
    account = stack.enter_context(MariaDbServer()).create()
    return Place("mysql", account.fields(), {"password": account.password})


def _redis(stack: ExitStack, _folder: Path) -> Place:
    server = stack.enter_context(redis_server(password=secrets.token_urlsafe(18)))
    fields = {"host": server.host, "port": server.port, "sslmode": "disable"}
    return Place("redis", fields, {"password": server.password})


def _s3(stack: ExitStack, _folder: Path) -> Place:
    server = stack.enter_context(strict_s3())
    session = boto3.session.Session(server.access_key_id, server.secret_access_key, region_name=REGION)
    session.resource("s3", endpoint_url=server.url).create_bucket(
        Bucket="tried", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return Place("s3", server.fields(), server.secrets())


def _ssh(stack: ExitStack, folder: Path) -> Place:
    place = folder / "sshd"
    place.mkdir()
    server = SshServer(place)
    key = new_key()
    server.let_in(key)
    server.start()
    stack.callback(server.stop)
    known = {
        "SHOP_HOST": "127.0.0.1",
        "SHOP_PORT": str(server.port),
        "SHOP_USER": server.user,
        "SHOP_FILE": str(place / "put"),
    }
    # Without a host key: these libraries do not tell the agent which host they are at (docs/deliveries.md).
    return Place("ssh", server.fields, key.secrets, known)


_SERVERS: Mapping[str, Callable[[ExitStack, Path], Place]] = {
    "postgresql": _postgresql,
    "postgresql_any_database": _postgresql_any_database,
    "mysql": _mysql,
    "redis": _redis,
    "s3": _s3,
    "ssh": _ssh,
}
