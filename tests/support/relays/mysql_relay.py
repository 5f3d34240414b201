"""The MySQL relay for tests: as the broker runs it, in a worker of the real zygote, or in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymysql

from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.kernel.masked import HandleToken
from connvault_jupyter.kernel.responses import RelayEndpoint
from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.limits import LIMITS, Limits
from connvault_jupyter.relays.mysql.relay import Relay
from connvault_jupyter.relays.supervisor import RelaySupervisor

from .relay_handles import Relays, Vault, new_ref, supervised_by


class MysqlRelays(Relays):
    """Handles for a MySQL server. `ref` is the one that `connect` uses."""

    def __init__(self, supervisor: RelaySupervisor, vault: Vault) -> None:
        super().__init__(supervisor, vault)
        self.ref = new_ref()

    def opened(self) -> RelayEndpoint:
        """As a kernel would get it."""
        endpoint = self.endpoint(self.ref)
        return RelayEndpoint(
            connection="warehouse", provider_id="mysql", protocol="mysql", directory=endpoint.directory,
            socket=endpoint.socket, hand_over=endpoint.hand_over, port=None, token=HandleToken(endpoint.token),
            fields=self.vault.fields, variables={}, revision=1, rotation="r",
        )  # fmt: skip

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """PyMySQL over the Unix socket."""
        return pymysql.connect(
            unix_socket=self.endpoint(self.ref).socket, **{"ssl_disabled": True, **arguments}
        )


@contextmanager
def mysql_relays(fields: Mapping[str, Any], password: str) -> Iterator[MysqlRelays]:
    """In a worker of the real zygote."""
    vault = Vault("mysql", dict(fields), {"password": password})
    with supervised_by(vault) as supervisor:
        yield MysqlRelays(supervisor, vault)


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
            hand=lambda _downstream, _descriptor: lambda _given: None,
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
