"""Handles for Redis at real relay processes, and a client that sends bytes as they are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from connvault_jupyter.services.relay_ports import RelayEndpoint

from ..servers.redis_server import RedisServer
from .relay_handles import Relays, Vault, supervised_by

WAIT_S = 10.0


class RedisRelays(Relays):
    """Handles for a Redis server."""

    def point(self, server: RedisServer, **changed: Any) -> RedisRelays:
        """Logs in to this server from now on; `changed` are fields, `password` included."""
        password = changed.pop("password", server.password)
        fields = {"host": server.host, "port": server.port, "database": 0, "sslmode": "disable"}
        self.vault.fields = {**fields, **changed}
        self.vault.secrets = {"password": password} if password else {}
        self.vault.refusal = None
        return self

    def client(self, endpoint: RelayEndpoint | None = None, **arguments: Any) -> redis.Redis:
        """redis-py over the Unix socket, without second attempts."""
        plain: dict[str, Any] = {"retry": None, "socket_timeout": WAIT_S, **arguments}
        return redis.Redis(unix_socket_path=(endpoint or self.endpoint()).socket, **plain)


class Raw:
    """A client that sends bytes and reads answers, as they are."""

    def __init__(self, endpoint: RelayEndpoint) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(WAIT_S)
        try:
            self.stream.connect(endpoint.socket)
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


@contextmanager
def redis_relays() -> Iterator[RedisRelays]:
    """`point` it at a server first."""
    vault = Vault("redis", {}, {})
    with supervised_by(vault) as supervisor:
        yield RedisRelays(supervisor, vault)
