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
    """A brokered handle that shall listen for its requester. `fields` are complete and plain: no secret is in them.

    A secret is fetched for each login, by `AccessService.login` with this requester, ref and grant. Whatever is opened
    for the handle belongs to that grant, and ends with it: at `expires_at` by itself (`None`: not by time), and with
    the requester's run.
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
    """Where it listens. `token` opens the loopback `port` (`None`: not asked for) and nothing else."""

    directory: str
    socket: str
    port: int | None
    token: str = attribute(repr=False)
    hand_over: bool


class Relays(Protocol):
    """The data plane: processes that log in and copy bytes, apart from the one that holds the keys."""

    def warm(self) -> None:
        """A brokered handle will be wanted soon (a person is being asked): gets ready meanwhile. Never blocks."""

    def in_use(self) -> Collection[str]:
        """The refs of the handles that have a client now, logged in. Never blocks."""

    def changed(self) -> None:
        """What is open is to be looked at now. Whatever is published leads to a look anyway. Never blocks."""

    def open(self, order: RelayOrder) -> RelayEndpoint:
        """The same place each time for the same ref and grant. Slow: call it without the lock.

        Raises: BrokerUnavailable: no process, socket or port can be had."""
