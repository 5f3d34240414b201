"""The limit on handles per run and connection, and which one is ended to make room for another. It asks nobody.

A loop around `connection()` gets the same handle again, and the kernel releases handles that are garbage-collected. So
only code that keeps very many handles reaches the limit; without it a kernel that runs for weeks could fill the table.
"""

from __future__ import annotations

from datetime import datetime

from ...contracts.access import Requester
from ...contracts.connections import Connection
from ...errors import TooManyHandles
from ..audit.service import AuditService
from ..identifiers import ref_hash
from ..ports import Handle
from ..relay_ports import Relays
from .handles import Handles
from .service import Grants

# More than all engines and sessions of a notebook.
MAX_LIVE = 256

# Uses that are remembered: all handles of a few busy runs. For other handles the time of creation counts.
_REMEMBERED = 4096


class HandleLimit:
    """Called with the lock held."""

    def __init__(self, *, handles: Handles, grants: Grants, relays: Relays, audit: AuditService) -> None:
        self._handles = handles
        self._grants = grants
        self._relays = relays
        self._audit = audit
        self._used: dict[str, datetime] = {}

    def note_use(self, ref: str, at: datetime) -> None:
        """Notes that a handle was used, so that it is not ended next."""
        # The most recent comes last; the ones forgotten first have been unused the longest.
        self._used.pop(ref, None)
        self._used[ref] = at
        if len(self._used) > _REMEMBERED:
            del self._used[next(iter(self._used))]

    def check(self, connection: Connection, requester: Requester) -> None:
        """To be called before a person is asked. Raises: TooManyHandles: the limit is reached and all handles are in
        use."""
        self._idle(connection, requester)

    def make(self, connection: Connection, requester: Requester) -> None:
        """Ends the handle that has been unused the longest, if the limit is reached. In the caller's transaction.
        Raises: as `check`."""
        victim = self._idle(connection, requester)
        if victim is None:
            return
        stored = None if victim.grant_id is None else self._grants.get(victim.grant_id)
        self._handles.evict(victim)
        if stored is not None and stored.grant.decision == "once":
            # A `once` grant covers this handle only.
            self._grants.remove(stored.grant.id)
        self._audit.record(
            "access:released",
            connection=connection,
            grant=None if stored is None else stored.grant,
            requester=requester,
            mode=victim.mode,
            code="handle_evicted",
        )
        self._relays.changed()

    def _idle(self, connection: Connection, requester: Requester) -> Handle | None:
        """The handle to end; `None` if the limit is not reached."""
        live = self._handles.of(connection, requester)
        if len(live) < MAX_LIVE:
            return None
        busy = {ref_hash(ref) for ref in self._relays.in_use()}
        used = {ref_hash(ref): at for ref, at in self._used.items()}
        idle = [one for one in live if one.ref_hash not in busy]
        if not idle:
            raise TooManyHandles
        return min(idle, key=lambda one: max(used.get(one.ref_hash, one.created_at), one.created_at))
