"""Handles: what a ref stands for, for one run of one requester. Whether its grant counts is grants.py's question."""

from __future__ import annotations

from datetime import datetime

from ..contracts.access import Grant, Requester
from ..contracts.connections import Connection
from ..contracts.contract import ConnectionId, GrantId, HandleRef
from ..contracts.providers import Mode
from ..errors import HandleInvalid
from .ended import Ended
from .identifiers import new_ref, ref_hash
from .ports import Clock, Handle, HandleStore, Randomness

# Of one run and one connection. A loop around `connection()` under a standing permission makes a handle each time
# round, and code rarely lets go of one; without a bound a kernel that runs for weeks fills the table. The oldest go:
# they are the likeliest to be forgotten, and by the same permission a new one is had without a question. 256 is more
# than a notebook's engines and sessions together.
MAX_LIVE = 256


class Handles:
    """Makes, finds and lets go of handles. Stored is a ref's hash only, so a stolen database opens nothing."""

    def __init__(self, *, store: HandleStore, ended: Ended, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._ended = ended
        self._clock = clock
        self._randomness = randomness
        # How many callers share a ref (coalesced questions). Lost with the process: then the first release ends it.
        self._sharers: dict[bytes, int] = {}

    def give(
        self, connection: Connection, requester: Requester, grant: Grant, *, sharers: int = 1
    ) -> HandleRef:
        """A ref for a grant's handle, stored in the caller's transaction."""
        # Without the agent claim: the grant says whose it is.
        return self._add(connection, requester, grant.mode, grant.expires_at, grant.id, sharers, None, None)

    def give_reveal_only(
        self, connection: Connection, requester: Requester, agent_hash: str | None, agent_sealed: str | None
    ) -> HandleRef:
        """A ref that can only ask a person, each time. It needs no grant, so it keeps the claim (`Claims.kept`)."""
        return self._add(connection, requester, "reveal", None, None, 1, agent_hash, agent_sealed)

    def find(self, ref: str, requester: Requester) -> Handle:
        """What `ref` stands for, if it is this run's.

        Raises:
            HandleInvalid: `unknown` (never made, released, revoked, or its run has ended), `foreign`, `expired`.
        """
        found = self._store.get(ref_hash(ref))
        if found is None or self._ended.handle(ref, requester):
            raise HandleInvalid(reason="unknown")
        if found.requester_instance != requester.instance:
            raise HandleInvalid(reason="foreign")
        if found.expires_at is not None and self._clock() >= found.expires_at:
            raise HandleInvalid(reason="expired")
        return found

    def let_go(self, ref: str) -> bool:
        """Whether nobody has it any more: one that several callers share ends with the last of them."""
        hashed = ref_hash(ref)
        left = self._sharers.get(hashed, 1) - 1
        if left > 0:
            self._sharers[hashed] = left
            return False
        self._sharers.pop(hashed, None)
        return True

    def remove(self, ref: str) -> bool:
        """Whether it was there."""
        return self._store.remove(ref_hash(ref))

    def instances(self) -> frozenset[str]:
        """The runs that hold handles or grants."""
        return self._store.instances()

    def remove_instance(self, instance: str) -> int:
        """Ends all handles and grants of a run; how many."""
        return self._store.remove_instance(instance)

    def _add(
        self,
        connection: Connection,
        requester: Requester,
        mode: Mode,
        expires_at: datetime | None,
        grant_id: str | None,
        sharers: int,
        agent_hash: str | None,
        agent_sealed: str | None,
    ) -> HandleRef:
        ref = new_ref(self._randomness)
        hashed = ref_hash(ref)
        # Before it is added: the new one stays whatever the clock says.
        self._store.keep_newest(requester.instance, connection.id, MAX_LIVE - 1)
        self._store.add(
            Handle(
                ref_hash=hashed,
                grant_id=None if grant_id is None else GrantId(grant_id),
                connection_id=ConnectionId(connection.id),
                requester_instance=requester.instance,
                mode=mode,
                created_at=self._clock(),
                expires_at=expires_at,
                agent_hash=agent_hash,
                agent_sealed=agent_sealed,
            )
        )
        if sharers > 1:
            self._sharers[hashed] = sharers
        return ref
