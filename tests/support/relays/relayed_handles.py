"""Handles of a scripted broker that are served by real relay processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connvault_jupyter.contracts.access import Delivered
from connvault_jupyter.contracts.providers import RelayProtocol
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.supervisor import RelaySupervisor
from connvault_jupyter.services.relay_ports import RelayOrder

from ..broker.scripted_broker import Handles, ScriptedBroker
from .relay_handles import order_of
from .relay_process import lose, supervised, wait_for_the_cut


@dataclass(frozen=True)
class Kind:
    """A kind of connection, as a requester is told of it."""

    protocol: RelayProtocol
    name: str
    openers: tuple[str, ...]
    destination: str = "somewhere"


POSTGRESQL = Kind(
    "postgresql",
    "PostgreSQL",
    ("engine", "async_engine", "connect", "async_connect", "url", "dsn", "forget_sessions"),
)
HTTP = Kind("http", "HTTP API", ("session", "client", "async_client", "url", "base_url", "token"))


class RelayedHandles(Handles):
    """Every request is granted, until it is revoked. `opened` and `logins` count what was asked for.

    `refused_login` is what the relays are told instead.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        supervisor: RelaySupervisor,
        fields: Mapping[str, Any],
        secrets: Mapping[str, str],
    ) -> None:
        super().__init__(
            fields=fields,
            secrets=secrets,
            provider_id=kind.protocol,
            provider_name=kind.name,
            destination=kind.destination,
            mode="brokered",
            client=kind.protocol,
            openers=kind.openers,
            protocol=kind.protocol,
        )
        self.opened = 0
        self.logins = 0
        self.refused_login: ConnvaultError | None = None
        self._kind = kind
        self._supervisor = supervisor
        self._revoked = False

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        found = super().open(body)
        order = order_of(self._kind.protocol, body["ref"], self.fields, tcp=body["tcp"])
        place = self._supervisor.open(order)
        self.opened += 1
        return {
            **found,
            "directory": place.directory,
            "socket": place.socket,
            "hand_over": place.hand_over and self.fields.get("sslmode") == "disable",
            "port": place.port,
            "token": place.token,
        }

    def login(self, _client: socket.socket, order: RelayOrder) -> Delivered:
        """For a relay."""
        self.logins += 1
        if self.refused_login is not None:
            raise self.refused_login
        return Delivered.model_validate(self.deliver({"ref": order.ref}))

    def still_good(self, order: RelayOrder) -> bool:
        return not self._revoked and order.ref in self.refs

    def revoke(self, refusal: ConnvaultError) -> None:
        """Returns when what was open has ended."""
        self.refusal = refusal
        self._revoked = True
        self._supervisor.changed()
        wait_for_the_cut(self._supervisor)

    def lose(self) -> None:
        """The relays end, as if they had crashed. Returns when the broker knows."""
        lose(self._supervisor)
        self._supervisor.changed()
        wait_for_the_cut(self._supervisor)


class Stage:
    """Relay processes for one test after the other: they serve the handles that are on it."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.supervisor: RelaySupervisor
        self._handles: RelayedHandles | None = None

    def put(
        self, broker: ScriptedBroker, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> RelayedHandles:
        """The connection `warehouse` of this broker. What was open before is cut."""
        self._handles = RelayedHandles(self._kind, supervisor=self.supervisor, fields=fields, secrets=secrets)
        self.supervisor.changed()
        wait_for_the_cut(self.supervisor)
        self._handles.install(broker)
        return self._handles

    def login(self, client: socket.socket, order: RelayOrder) -> Delivered:
        assert self._handles is not None
        return self._handles.login(client, order)

    def still_good(self, order: RelayOrder) -> bool:
        return self._handles is not None and self._handles.still_good(order)


@contextmanager
def stage(kind: Kind) -> Iterator[Stage]:
    """Starting the processes takes half a second, so tests share them."""
    found = Stage(kind)
    with supervised(login=found.login, still_good=found.still_good) as supervisor:
        found.supervisor = supervisor
        yield found
