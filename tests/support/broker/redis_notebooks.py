"""A real broker, a real Redis behind its relays, and notebooks that use it with bare sockets: the whole path."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connvault_jupyter.contracts.supervision import ConsentSettings

from ..canary import CANARY
from ..relays.relay_process import relays_below
from ..servers.redis_server import RedisServer, redis_server
from .notebook_processes import Notebooks
from .operator import Operator, operated_broker
from .requester import RequesterProcess

# What a kernel gets to use a handle with nothing but the standard library. A `RedisError` is an answer that is one.
IN_THE_KERNEL = """
import os, socket, subprocess, sys, threading, time

def said(stream, *words):
    stream.sendall(b"*%d\\r\\n" % len(words) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(w), w) for w in words))
    return stream.recv(4096).decode()

def to_socket(path):
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(path)
    return stream

def to_port(port):
    return socket.create_connection(("127.0.0.1", port), 20)

def live(handle):
    stream = to_socket(handle._handle_ref.open().socket)
    assert said(stream, b"PING") == "+PONG\\r\\n"
    return stream

def ended(stream):
    "When it was ended, by the clock of the machine."
    try:
        while stream.recv(4096):
            pass
    except ConnectionError:
        pass
    return time.monotonic()

def pinged(stream):
    try:
        return said(stream, b"PING")
    except OSError:
        return ""
"""

Rule = Any


class RedisNotebooks:
    """`define` makes connections to the one server; each kernel has `IN_THE_KERNEL`."""

    def __init__(self, notebooks: Notebooks, server: RedisServer, home: Path) -> None:
        self.notebooks = notebooks
        self.server = server
        self.home = home
        self._numbers = itertools.count(1)

    @property
    def operator(self) -> Operator:
        return self.notebooks.operator

    @property
    def fields(self) -> dict[str, Any]:
        return {"host": self.server.host, "port": self.server.port, "sslmode": "disable"}

    def define(self) -> tuple[str, str]:
        """A connection of the test's own: its name and its id."""
        name = f"cache{next(self._numbers)}"
        view = self.operator.create(name, "redis", self.fields, {"password": self.server.password})
        return name, str(view["connection"]["id"])

    @contextmanager
    def kernel(self, path: str = "a.ipynb") -> Iterator[RequesterProcess]:
        with self.notebooks.open(path) as found:
            found.run(IN_THE_KERNEL)
            yield found

    def processes(self) -> tuple[int, list[int]]:
        """(the zygote's pid, its workers')."""
        zygote, workers = relays_below(self.operator.broker.pid)
        return zygote.pid, [one.pid for one in workers]

    def grants_of(self, connection_id: str) -> list[str]:
        found = self.operator.call("grants.list", {"connection_id": connection_id})["grants"]
        return [view["grant"]["id"] for view in found]

    def revoke(self, connection_id: str) -> None:
        for grant in self.grants_of(connection_id):
            self.operator.call("grants.revoke", {"id": grant})


@contextmanager
def redis_notebooks(rule: Rule, *, for_s: int = 600) -> Iterator[RedisNotebooks]:
    """With a broker and a Redis server of their own, whose password is the canary. `for_s`: how long `for` is."""
    consent = ConsentSettings(cooldown_s=0, for_s=for_s)
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        redis_server(password=CANARY) as server,
        operated_broker(Path(folder), rule=rule, consent=consent) as (operator, path),
    ):
        yield RedisNotebooks(Notebooks(operator, home=Path(folder), socket_path=path), server, Path(folder))


def since(began: float, until: Any) -> float:
    """Seconds between two readings of the machine's monotonic clock, in whatever process."""
    return float(until) - began


def now() -> float:
    return time.monotonic()
