"""Logs sightings: a service sent a secret back, and it was masked. An alarm for the operator; it decides nothing.

Only whole secrets are ever seen (`relays.masking`), and nothing that the requester can see depends on such an event.
"""

from __future__ import annotations

from contextlib import suppress

from ...errors import ConnvaultError, StorageError
from ..access.resolve import HandleResolver
from ..ports import Clock, ConnectionStore
from ..relay_ports import RelayOrder
from ..short_memory import Often, Until
from .service import AuditService

# A debug page that is fetched again and again makes one event in ten minutes.
NOTED_EVERY_S = 600.0

# For all connections and requesters together, so that nobody can push everything else out of the log.
NOTED_A_DAY = 100
_DAY_S = 86_400.0


class Sightings:
    """Called with the lock held."""

    def __init__(
        self, *, audit: AuditService, connections: ConnectionStore, resolver: HandleResolver, clock: Clock
    ) -> None:
        self._audit = audit
        self._connections = connections
        self._resolver = resolver
        self._clock = clock
        self._noted: Until[tuple[str, str]] = Until()
        self._all: Often[str] = Often(limit=NOTED_A_DAY)

    def note(self, order: RelayOrder) -> None:
        """Appends an event `access:masked` for this handle, unless there are enough already."""
        now = self._clock()
        if not self._noted.first((order.requester.key, order.connection_id), now, NOTED_EVERY_S):
            return
        if self._all.once_more("", now, _DAY_S):
            return
        grant = None
        # A handle that was just released has no permission any more, but the sighting is logged nevertheless.
        with suppress(ConnvaultError):
            stored = self._resolver.handle(order.requester, order.ref, grant_id=order.grant_id).stored
            grant = None if stored is None else stored.grant
        with suppress(StorageError):
            self._audit.record(
                "access:masked",
                connection=self._connections.get(order.connection_id),
                requester=order.requester,
                grant=grant,
                field=order.protocol,
                mode="brokered",
                durable=False,
            )
