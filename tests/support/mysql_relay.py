"""The MySQL relay for tests: as the broker runs it, in a worker of the real zygote, or in this process."""

from __future__ import annotations

import logging
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
from pydantic import SecretStr

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.contracts.contract import ConnectionId
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.kernel.answers import Opened
from connvault_jupyter.kernel.masked import MaskedStr
from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.limits import LIMITS, Limits
from connvault_jupyter.relays.mysql.relay import Relay
from connvault_jupyter.relays.supervisor import RelaySupervisor
from connvault_jupyter.services.ports import RelayOrder, RelayPlace

_REQUESTER = Requester(kind="script", key="k", instance="i", label="a test", pid=1)
_COMMAND = (sys.executable, "-m", "connvault_jupyter.broker.relay_process")


@dataclass
class Served:
    """A handle whose relay runs in a worker. `fields`, `secrets` and `refusal` may be changed at any time."""

    fields: dict[str, Any]
    password: str = field(repr=False)
    supervisor: RelaySupervisor = field(init=False, repr=False)
    ref: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    refusal: ConnvaultError | None = None
    good: bool = True
    logins: int = 0
    version: int = 0

    def place(self, *, tcp: bool = False) -> RelayPlace:
        return self.supervisor.open(
            RelayOrder(
                ref=self.ref,
                requester=_REQUESTER,
                connection_id=ConnectionId("1" * 32),
                protocol="mysql",
                fields=self.fields,
                tcp=tcp,
            )
        )

    def opened(self, *, hand_over: bool = True) -> Opened:
        """As a kernel would get it."""
        place = self.place()
        return Opened(
            connection="warehouse", provider_id="mysql", protocol="mysql", directory=place.directory,
            socket=place.socket, hand_over=place.hand_over and hand_over, port=None, token=MaskedStr(place.token),
            fields=self.fields, variables={}, revision=1, rotation="r",
        )  # fmt: skip

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """PyMySQL over the Unix socket."""
        return pymysql.connect(unix_socket=self.place().socket, **{"ssl_disabled": True, **arguments})

    def revoke(self) -> None:
        """The permission ends, as if a person had said so."""
        self.good = False
        self.version += 1
        self.supervisor.changed()

    def deliver(self, _client: socket.socket, _requester: Requester, _ref: str) -> Delivered:
        self.logins += 1
        if self.refusal is not None:
            raise self.refusal
        return Delivered(
            connection="warehouse", provider_id="mysql", fields=self.fields,
            secrets={"password": SecretStr(self.password)}, revision=1, rotation="r",
        )  # fmt: skip


@contextmanager
def relay_worker(folder: Path, fields: Mapping[str, Any], password: str) -> Iterator[Served]:
    """A zygote, and a handle for these fields. `folder` is short (Unix sockets)."""
    served = Served(fields=dict(fields), password=password)
    supervisor = served.supervisor = RelaySupervisor(
        command=_COMMAND,
        directory=folder / "h",
        login=served.deliver,
        still_good=lambda _requester, _ref: served.good,
        version=lambda: served.version,
        lock=threading.RLock(),
        log=logging.getLogger("connvault.relays"),
    )
    supervisor.start()
    try:
        yield served
    finally:
        supervisor.close()


@contextmanager
def relay_here(
    fields: Mapping[str, Any],
    password: str,
    *,
    limits: Limits = LIMITS,
    over_tcp: bool = False,
    ask: Callable[[], None] = lambda: None,
) -> Iterator[Callable[[], socket.socket]]:
    """The relay in threads of this process: each call gives a client's end. For limits, and servers that misbehave."""
    relay, threads, ends = Relay(limits=limits), list[threading.Thread](), list[socket.socket]()

    def login(_downstream: Downstream) -> Login:
        ask()
        return Login(dict(fields), {"password": password}, 1, "r")

    def serve(stream: socket.socket) -> None:
        downstream = Downstream(
            stream=stream,
            handle=Handle("h", "", "the-token", dict(fields)),
            over_tcp=over_tcp,
            limits=limits,
            ask=login,
            hand=lambda _downstream, _descriptor: lambda: None,
        )
        try:
            relay.serve(downstream)
        except (ConnvaultError, OSError):
            pass  # As a worker does.
        finally:
            downstream.close()

    def client() -> socket.socket:
        ours, theirs = socket.socketpair()
        ends.append(ours)
        thread = threading.Thread(target=serve, args=(theirs,), daemon=True)
        threads.append(thread)
        thread.start()
        return ours

    try:
        yield client
    finally:
        for end in ends:
            end.close()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "a client is still served"
        relay.close()
