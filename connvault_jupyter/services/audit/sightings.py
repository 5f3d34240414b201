"""Sightings on record: that a service sent a secret back, which was masked. An alarm for the operator; it decides
nothing.

Only whole secrets are ever seen (`relays.masking`), and nothing that the requester does or reads depends on such a row.
"""

from __future__ import annotations

from contextlib import suppress

from ...errors import ConnvaultError, StorageError
from ..access.resolve import HandleResolver
from ..consent.throttle import Often, Until
from ..ports import Clock, ConnectionStore
from ..relay_ports import RelayOrder
from .service import AuditService

# A debug page that is asked for again and again is one row in ten minutes.
NOTED_EVERY_S = 600.0

# Of all connections and requesters together: whoever makes more of them must not push the rest off the record.
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
        """Appends a row `access:masked` for this handle, unless there are enough of them."""
        now = self._clock()
        if not self._noted.first((order.requester.key, order.connection_id), now, NOTED_EVERY_S):
            return
        if self._all.once_more("", now, _DAY_S):
            return
        grant = None
        # A handle that its owner has just let go of has no permission any more, but is on record all the same.
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
