"""The port of the relays, and what crosses it. No implementation: that is `relays/supervisor.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import datetime
from typing import Any, Protocol

from ..contracts.access import Requester
from ..contracts.contract import ConnectionId, GrantId
from ..contracts.providers import RelayProtocol


@dataclass(frozen=True)
class RelayOrder:
    """A brokered handle that should listen for its requester. `fields` are complete and contain no secret.

    A secret is fetched for each login, by `AccessService.login` with this requester, ref and grant. Everything opened
    for the handle belongs to that grant, and ends with it: at `expires_at` (`None`: not by time), and with the
    requester's run.
    """

    ref: str = attribute(repr=False)
    requester: Requester
    connection_id: ConnectionId
    grant_id: GrantId
    expires_at: datetime | None
    protocol: RelayProtocol
    fields: Mapping[str, Any]
    tcp: bool


@dataclass(frozen=True)
class RelayEndpoint:
    """Where it listens. `token` is for the loopback `port` (`None`: not requested) and for nothing else."""

    directory: str
    socket: str
    port: int | None
    token: str = attribute(repr=False)
    hand_over: bool


class Relays(Protocol):
    """The data plane: processes that log in and copy bytes, separate from the one that holds the keys."""

    def warm(self) -> None:
        """Prepares for a brokered handle that will be needed soon (a person is being asked). Never blocks."""

    def in_use(self) -> Collection[str]:
        """The refs of the handles that have a logged-in client now. Never blocks."""

    def changed(self) -> None:
        """Asks for a check of all open connections now. Every published event leads to one anyway. Never blocks."""

    def open(self, order: RelayOrder) -> RelayEndpoint:
        """Always the same endpoint for the same ref and grant. Slow: call it without the lock.

        Raises: BrokerUnavailable: no process, socket or port is available."""
