"""How many handles a run may have of one connection, and which one makes room for another. It asks nobody.

A loop around `connection()` gets the same handle again (`Requesting`), and the kernel lets go of what it has dropped.
So the bound is met by code that keeps very many; without it a kernel that runs for weeks could fill the table.
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

# More than a notebook's engines and sessions together.
MAX_LIVE = 256

# Uses that are remembered: all handles of a few busy runs. Of the others the time of their making counts.
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
        """A handle is used: it is no candidate for a while."""
        # The latest last: those that are forgotten are the longest unused.
        self._used.pop(ref, None)
        self._used[ref] = at
        if len(self._used) > _REMEMBERED:
            del self._used[next(iter(self._used))]

    def check(self, connection: Connection, requester: Requester) -> None:
        """Before anybody is asked. Raises: TooManyHandles: there is no room, and none can be made."""
        self._idle(connection, requester)

    def make(self, connection: Connection, requester: Requester) -> None:
        """Ends the handle that has been unused for the longest, if there is no room for one more. In the caller's
        transaction. Raises: as `check`."""
        victim = self._idle(connection, requester)
        if victim is None:
            return
        stored = None if victim.grant_id is None else self._grants.get(victim.grant_id)
        self._handles.evict(victim)
        if stored is not None and stored.grant.decision == "once":
            # It was for this handle alone.
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
        """The one to make room; `None`: there is room."""
        live = self._handles.of(connection, requester)
        if len(live) < MAX_LIVE:
            return None
        busy = {ref_hash(ref) for ref in self._relays.in_use()}
        used = {ref_hash(ref): at for ref, at in self._used.items()}
        idle = [one for one in live if one.ref_hash not in busy]
        if not idle:
            raise TooManyHandles
        return min(idle, key=lambda one: max(used.get(one.ref_hash, one.created_at), one.created_at))
