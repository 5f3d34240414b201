"""PostgreSQL handles of a scripted broker that are served by real relay processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.supervisor import RelaySupervisor

from .postgres_relay import order_of
from .relay_process import supervised
from .scripted_broker import Handles, ScriptedBroker

OPENERS = ("engine", "connect", "connect_async", "dsn")


class PostgresHandles(Handles):
    """Every request is granted, until it is revoked; `logins` counts what the relays have asked for.

    `refused_login` is what they are told instead.
    """

    supervisor: RelaySupervisor

    def __init__(self, *, fields: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        super().__init__(fields=fields, secrets=secrets, mode="brokered", openers=OPENERS)
        self.logins = 0
        self.refused_login: ConnvaultError | None = None
        self._changes = 0

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        found = super().open(body)
        place = self.supervisor.open(order_of(body["ref"], self.fields, tcp=body["tcp"]))
        return {
            **found,
            "directory": place.directory,
            "socket": place.socket,
            "hand_over": place.hand_over and self.fields.get("sslmode") == "disable",
            "port": place.port,
            "token": place.token,
        }

    def login(self, _client: socket.socket, _whose: Requester, ref: str) -> Delivered:
        """For a relay."""
        self.logins += 1
        if self.refused_login is not None:
            raise self.refused_login
        return Delivered.model_validate(self.deliver({"ref": ref}))

    def revoke(self, refusal: ConnvaultError) -> None:
        self.refusal = refusal
        self._changes += 1
        self.supervisor.changed()

    def still_good(self, _whose: Requester, _ref: str) -> bool:
        return self.refusal is None

    def version(self) -> int:
        return self._changes


class Stage:
    """Relay processes for one test after the other: they answer to the handles that are on it."""

    def __init__(self) -> None:
        self.handles: PostgresHandles | None = None
        self.supervisor: RelaySupervisor | None = None

    def put(
        self, broker: ScriptedBroker, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> PostgresHandles:
        """The connection `warehouse`."""
        assert self.supervisor is not None
        handles = self.handles = PostgresHandles(fields=fields, secrets=secrets)
        handles.supervisor = self.supervisor
        handles.install(broker)
        return handles


@contextmanager
def stage() -> Iterator[Stage]:
    """Starting the processes takes half a second, so tests share them."""
    found = Stage()

    def now() -> PostgresHandles:
        assert found.handles is not None
        return found.handles

    with supervised(
        login=lambda client, whose, ref: now().login(client, whose, ref),
        still_good=lambda whose, ref: now().still_good(whose, ref),
        version=lambda: (id(found.handles), now().version()) if found.handles else 0,
    ) as supervisor:
        found.supervisor = supervisor
        yield found
