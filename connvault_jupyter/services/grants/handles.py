"""Handles: maps a ref of one run of one requester to its handle. Whether its grant counts is decided by `service`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ...contracts.access import Grant, Requester
from ...contracts.connections import Connection
from ...contracts.contract import ConnectionId, GrantId, HandleRef
from ...contracts.providers import Mode
from ...errors import HandleInvalid
from ...handle_end_reasons import HandleEnd
from ..identifiers import new_ref, ref_hash
from ..ports import Clock, Handle, HandleStore, Randomness
from .ended import Ended


class Handles:
    """Creates, finds and releases handles. Only a hash of each ref is stored, so a stolen database opens nothing."""

    def __init__(self, *, store: HandleStore, ended: Ended, clock: Clock, randomness: Randomness) -> None:
        self._store = store
        self._ended = ended
        self._clock = clock
        self._randomness = randomness
        # How many callers share a ref (coalesced questions). Lost with the process; then the first release ends it.
        self._sharers: dict[bytes, int] = {}

    def give(
        self, connection: Connection, requester: Requester, grant: Grant, *, sharers: int = 1
    ) -> HandleRef:
        """A ref for a grant's handle, stored in the caller's transaction."""
        # Without the agent claim: the grant has it.
        return self._add(connection, requester, grant.mode, grant.expires_at, grant.id, sharers, None, None)

    def give_reveal_only(
        self, connection: Connection, requester: Requester, agent_hash: str | None, agent_sealed: str | None
    ) -> HandleRef:
        """A ref that can only ask a person, each time. It has no grant, so it keeps the claim itself
        (`Claims.kept`)."""
        return self._add(connection, requester, "reveal", None, None, 1, agent_hash, agent_sealed)

    def find(self, ref: str, requester: Requester) -> Handle:
        """The handle of `ref`, if it belongs to this run.

        Raises: HandleInvalid: why it is no longer valid for this
        run, or never was.
        """
        hashed = ref_hash(ref)
        found = self._store.get(hashed)
        if found is None:
            raise HandleInvalid(reason=self._why_gone(hashed, requester))
        if found.requester_instance != requester.instance:
            raise HandleInvalid(reason="foreign")
        if self._ended.handle(ref, requester):
            # Not stored yet.
            raise HandleInvalid(reason="revoked")
        if found.expires_at is not None and self._clock() >= found.expires_at:
            raise HandleInvalid(reason="expired")
        return found

    def same(self, ref: str, connection: Connection, requester: Requester, grant: Grant | None) -> bool:
        """Whether `ref` is a handle that already gives this run what it asks for now. `grant` `None`: a handle that
        can only ask to reveal, without an agent claim."""
        found = self._store.get(ref_hash(ref))
        return (
            found is not None
            and not self._ended.handle(ref, requester)
            and found.requester_instance == requester.instance
            and found.connection_id == connection.id
            and found.grant_id == (None if grant is None else grant.id)
            and found.mode == ("reveal" if grant is None else grant.mode)
            and found.agent_hash is None
            and (found.expires_at is None or self._clock() < found.expires_at)
        )

    def of(self, connection: Connection, requester: Requester) -> Sequence[Handle]:
        """This run's handles of this connection, oldest first."""
        return self._store.of(requester.instance, connection.id)

    def evict(self, handle: Handle) -> None:
        """Ends a handle to make room for another, in the caller's transaction."""
        self._sharers.pop(handle.ref_hash, None)
        self._store.remove(handle.ref_hash, "evicted")

    def let_go(self, ref: str) -> bool:
        """Releases it for one caller; whether it was the last one that shared it."""
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

    def _why_gone(self, hashed: bytes, requester: Requester) -> HandleEnd:
        ended = self._store.ended(hashed)
        if ended is None:
            return "unknown"
        if ended.requester_instance == requester.instance:
            return ended.why
        # The kernel was restarted: its runs share its id. Nothing is said about anybody else's handle.
        return "kernel_gone" if _same_kernel(ended.requester_instance, requester.instance) else "unknown"

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


def _same_kernel(instance: str, other: str) -> bool:
    """Whether two runs belong to one kernel that was restarted (`Peers.instance_of`)."""
    kind, kernel, *_ = [*instance.split(":"), ""]
    return kind == "kernel" and bool(kernel) and other.startswith(f"kernel:{kernel}:")
