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
        self._revoked = False

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
        return not self._revoked and ref in self.refs

    def revoke(self, refusal: ConnvaultError) -> None:
        """Returns when what was open has ended."""
        self.refusal = refusal
        self._revoked = True
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


class RelayProcesses:
    """One zygote for many tests; it serves whoever is `current`."""

    def __init__(self) -> None:
        self.current: RelayedHandles | None = None
        self.supervisor: RelaySupervisor

    def login(self, client: socket.socket, whose: Requester, ref: str) -> Delivered:
        assert self.current is not None
        return self.current.login(client, whose, ref)

    def still_good(self, whose: Requester, ref: str) -> bool:
        return self.current is not None and self.current.still_good(whose, ref)

    def serve(
        self, broker: ScriptedBroker, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> RelayedHandles:
        """The connection `warehouse` of this broker. What was open before is cut."""
        made = self.current = RelayedHandles(fields=fields, secrets=secrets)
        made.supervisor = self.supervisor
        self.supervisor.changed()
        wait_until(lambda: not self.supervisor._open, deadline_s=5, what="the end of what was open")
        made.install(broker)
        return made


@contextmanager
def relay_processes() -> Iterator[RelayProcesses]:
    found = RelayProcesses()
    with supervised(login=found.login, still_good=found.still_good) as supervisor:
        found.supervisor = supervisor
        yield found
