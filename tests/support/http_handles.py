"""HTTP handles of a scripted broker that are served by real relay processes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.supervisor import RelaySupervisor

from .http_relay import order_of
from .processes import wait_until
from .relay_process import supervised
from .scripted_broker import Handles, ScriptedBroker

OPENERS = ("session", "client", "async_client", "base_url", "token")


class RelayedHandles(Handles):
    """Every request is granted, until it is revoked; `opened` counts how often a place was asked for."""

    supervisor: RelaySupervisor

    def __init__(self, *, fields: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        super().__init__(
            fields=fields,
            secrets=secrets,
            provider_id="http",
            provider_name="HTTP API",
            destination=str(fields["base_url"]),
            mode="brokered",
            client="http",
            openers=OPENERS,
            protocol="http",
        )
        self.opened = 0
        self.used = 0
        self._changes = 0

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        found = super().open(body)
        place = self.supervisor.open(order_of(body["ref"], self.fields, tcp=body["tcp"]))
        self.opened += 1
        return {
            **found,
            "directory": place.directory,
            "socket": place.socket,
            "hand_over": False,
            "port": place.port,
            "token": place.token,
            "fields": self.fields,
        }

    def login(self, _client: socket.socket, _whose: Requester, ref: str) -> Delivered:
        """For a relay."""
        self.used += 1
        return Delivered.model_validate(self.deliver({"ref": ref}))

    def still_good(self, _whose: Requester, ref: str) -> bool:
        return self._changes == 0 and ref in self.refs

    def version(self) -> int:
        return self._changes

    def revoke(self, refusal: ConnvaultError) -> None:
        """Returns when what was open has ended."""
        self.refusal = refusal
        self._changes += 1
        self.supervisor.changed()
        wait_until(lambda: not self.supervisor._open, deadline_s=5, what="the cut")

    def crash(self) -> None:
        """The relays' processes end. Returns when they have, and when the broker knows."""
        watching = []
        for one in list(self.supervisor._open.values()):
            stream = socket.socket(socket.AF_UNIX)
            stream.connect(str(one.directory / "s"))
            watching.append(stream)
        for lane in list(self.supervisor._lanes.values()):
            lane.end()
        for stream in watching:
            with stream, contextlib.suppress(ConnectionResetError):
                stream.recv(1)
        self.supervisor.changed()
        wait_until(lambda: not self.supervisor._open, deadline_s=5, what="the end of the relays")


@contextmanager
def relayed(
    broker: ScriptedBroker, fields: Mapping[str, Any], secrets: Mapping[str, str]
) -> Iterator[RelayedHandles]:
    """The connection `warehouse`."""
    handles = RelayedHandles(fields=fields, secrets=secrets)
    with supervised(
        login=handles.login, still_good=handles.still_good, version=handles.version
    ) as supervisor:
        handles.supervisor = supervisor
        handles.install(broker)
        yield handles
