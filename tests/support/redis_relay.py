"""Real relay processes for Redis, wired as in the broker; the test is the broker: it answers the logins."""

from __future__ import annotations

import base64
import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.contracts.contract import ConnectionId
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.supervisor import RelaySupervisor
from connvault_jupyter.services.ports import RelayOrder, RelayPlace
from tests.support.redis_server import RedisServer

_COMMAND = (sys.executable, "-m", "connvault_jupyter.broker.relay_process")

WAIT_S = 10.0


@dataclass
class Store:
    """What the relays are answered. `refusal` is raised instead; `asked` are the refs of all logins."""

    fields: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    refusal: ConnvaultError | None = None
    ended: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def login(self, _client: socket.socket, _whose: Requester, ref: str) -> Delivered:
        self.asked.append(ref)
        if self.refusal is not None:
            raise self.refusal
        return Delivered.model_validate(
            {
                "connection": "cache",
                "provider_id": "redis",
                "fields": self.fields,
                "secrets": self.secrets,
                "revision": 1,
                "rotation": "r1",
            }
        )


class RedisRelays:
    """Opens handles for one connection: the one that `store` knows at the moment."""

    def __init__(self, supervisor: RelaySupervisor, store: Store) -> None:
        self.supervisor = supervisor
        self.store = store

    def point(self, server: RedisServer, **changed: Any) -> RedisRelays:
        """Logs in to this server from now on; `changed` are fields, `password` included."""
        password = changed.pop("password", server.password)
        fields = {"host": server.host, "port": server.port, "database": 0, "sslmode": "disable"}
        self.store.fields = {**fields, **changed}
        self.store.secrets = {"password": password} if password else {}
        self.store.refusal = None
        return self

    def place(self, ref: str | None = None, *, tcp: bool = False) -> RelayPlace:
        return self.supervisor.open(
            RelayOrder(
                ref=ref or new_ref(),
                requester=Requester(kind="notebook", key="n", instance="k", label="n", pid=os.getpid()),
                connection_id=ConnectionId("c" * 22),
                protocol="redis",
                fields=self.store.fields,
                tcp=tcp,
            )
        )

    def client(self, place: RelayPlace | None = None, **arguments: Any) -> redis.Redis:
        """redis-py over the Unix socket, without second attempts."""
        plain: dict[str, Any] = {"retry": None, "socket_timeout": WAIT_S, **arguments}
        return redis.Redis(unix_socket_path=(place or self.place()).socket, **plain)

    def revoke(self, ref: str) -> None:
        self.store.ended.add(ref)
        self.supervisor.changed()


class Raw:
    """A client that sends bytes and reads answers, as they are."""

    def __init__(self, place: RelayPlace) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(WAIT_S)
        try:
            self.stream.connect(place.socket)
        except OSError:
            self.stream.close()
            raise
        self._read = b""

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stream.close()

    def send(self, data: bytes) -> Raw:
        self.stream.sendall(data)
        return self

    def line(self) -> bytes:
        """The next line without its end."""
        while b"\r\n" not in self._read:
            data = self.stream.recv(65536)
            assert data, f"the relay has hung up after {self._read[:200]!r}"
            self._read += data
        line, _, self._read = self._read.partition(b"\r\n")
        return line

    def rest(self) -> bytes:
        """All that comes until the end."""
        found = self._read
        while data := self.stream.recv(65536):
            found += data
        return found


def new_ref() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


@contextmanager
def redis_relays() -> Iterator[RedisRelays]:
    """A zygote and, from the first handle on, a worker; all gone afterwards. `point` it at a server first."""
    store = Store({}, {})
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        supervisor = RelaySupervisor(
            command=_COMMAND,
            directory=Path(folder) / "h",
            login=store.login,
            still_good=lambda _whose, ref: ref not in store.ended,
            version=lambda: len(store.ended),
            lock=threading.RLock(),
            log=logging.getLogger("connvault.tests"),
        )
        supervisor.start()
        try:
            yield RedisRelays(supervisor, store)
        finally:
            supervisor.close()
