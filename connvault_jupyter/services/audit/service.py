"""The activity log: AuditService writes, lists and verifies it. No rules here about who may do what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from ...contracts.access import DecisionKind, Grant, Requester
from ...contracts.audit import (
    ALARMS,
    AuditEvent,
    AuditFilter,
    AuditPage,
    AuditType,
    AuditVerification,
    OwnAuditFilter,
    StreamState,
    UseDay,
    UseDays,
)
from ...contracts.connections import Connection
from ...contracts.events import Event
from ...contracts.providers import Mode
from ...errors import ConnvaultError, StorageError
from ..ports import (
    AuditStore,
    Checkpoint,
    Clock,
    Lock,
    Position,
    Publish,
    Transactions,
)
from ..requester_claims import Claims
from ..secrets.generations import Unlocked
from . import chain
from .chain import Walk
from .repeated_refusals import RepeatedRefusals

Outcome = Literal["ok", "refused", "failed"]
T = TypeVar("T")

# Reading the size costs a query; the limit may be exceeded by this many small events.
ROWS_BETWEEN_SIZE_CHECKS = 256

# Frees enough at once that pruning stays rare.
PRUNED_SHARE = 4

# Events per hold of the lock while verifying: about 10 ms.
VERIFIED_AT_ONCE = 500

USE_DAYS = 14

_USES: frozenset[AuditType] = frozenset({"access:used", "access:checked", "access:revealed"})

_WITHOUT_CLAIMS = {"agent": None, "reason_claim": None, "agent_sealed": None, "reason_sealed": None}


class AuditService:
    """Appends to the chain, in the caller's transaction if there is one.

    Events carry a MAC while `keys` has any; a later one with a MAC covers those without.
    """

    def __init__(
        self,
        *,
        store: AuditStore,
        transactions: Transactions,
        claims: Claims,
        keys: Callable[[], Unlocked | None],
        clock: Clock,
        publish: Publish,
        lock: Lock,
        max_bytes: int,
    ) -> None:
        self._store = store
        self._claims = claims
        self._transactions = transactions
        self._keys = keys
        self._clock = clock
        self._publish = publish
        self._lock = lock
        self._max_bytes = max_bytes
        self._rows_since_check = 0
        self._changed = False
        self._anchor = Position()
        self._stream: StreamState | None = None
        self._refusals = RepeatedRefusals(
            record=lambda refusal, count: self.record(
                refusal[0], outcome="refused", code=refusal[1], decided_by=refusal[2], count=count
            ),
            clock=clock,
        )
        self.acts = 0
        """How many uses, decisions and changes were logged here; see `secrets.idle_lock`."""

    def record(  # noqa: PLR0913 -- what a row can say, and no row says more than a few of it
        self,
        type: AuditType,
        *,
        connection: Connection | None = None,
        requester: Requester | None = None,
        grant: Grant | None = None,
        outcome: Outcome = "ok",
        code: str | None = None,
        field: str | None = None,
        agent: str | None = None,
        mode: Mode | None = None,
        decision: DecisionKind | None = None,
        decided_by: str | None = None,
        question_id: str | None = None,
        reason: str | None = None,
        count: int | None = None,
        slot_id: str | None = None,
        durable: bool = True,
    ) -> AuditEvent:
        """Appends an event and returns it.

        `grant` supplies requester, agent, mode, decision and grant id where they are not given. `agent` and `reason`
        are sealed claims. `durable` only matters if no transaction is open.

        Raises: StorageFull, StorageBusy, StorageError.
        """
        facts: dict[str, Any] = {
            "outcome": outcome,
            "code": code,
            "field": field,
            "agent_sealed": agent,
            "mode": mode,
            "decision": decision,
            "decided_by": decided_by,
            "question_id": question_id,
            "reason_sealed": reason,
            "count": count,
            "slot_id": slot_id,
        }
        if connection is not None:
            facts["connection_id"] = connection.id
            facts["connection"] = connection.name
        if grant is not None:
            facts["connection_id"] = grant.connection_id
            facts["grant_id"] = grant.id
            facts["agent_sealed"] = agent or grant.agent_sealed
            facts["mode"] = mode or grant.mode
            facts["decision"] = decision or grant.decision
            facts["requester_kind"] = grant.requester_kind
            facts["requester_key"] = grant.requester_key
            facts["requester_label"] = grant.requester_label
            facts["requester_instance"] = grant.instance
        if requester is not None:
            facts["requester_kind"] = requester.kind
            facts["requester_key"] = requester.key
            facts["requester_label"] = requester.label
            facts["requester_instance"] = requester.instance
            facts["evidence"] = requester.evidence or None
        return self._append(type, facts, durable=durable)

    def refused(self, type: AuditType, error: ConnvaultError, *, actor: str) -> None:
        """Appends an event about a refused proof or passphrase, or counts it if there were many just now.

        Raises: StorageFull, StorageBusy, StorageError.
        """
        self._refusals.note((type, error.code, actor))

    def sum_up_refused(self) -> None:
        """Appends what is only counted so far: the broker ends."""
        self._refusals.sum_up(all_of_them=True)

    def follow_up(self, earlier: AuditEvent, type: AuditType, *, outcome: Outcome, code: str) -> AuditEvent:
        """Appends an event about the same subject as `earlier` (a question that nobody closed).

        Raises: StorageFull, StorageBusy, StorageError.
        """
        facts = {
            name: value for name, value in earlier.__dict__.items() if name not in {"sequence", "at", "type"}
        }
        return self._append(type, {**facts, "outcome": outcome, "code": code}, durable=True)

    def effect_first(self, effect: Callable[[], T], record: Callable[[], object]) -> T:
        """Runs `effect` and `record` in one transaction; if that can't be stored, only `effect`.

        For revoke, deny and lock, which must work on a full disk. `effect` may run twice; the first run is then rolled
        back.

        Raises: StorageError: even the effect could not be stored.
        """
        try:
            with self._transactions.escape():
                result = effect()
                record()
                return result
        except StorageError:
            with self._transactions.escape():
                return effect()

    def announce(self) -> None:
        """Tells the operator about new events, and notes the end of the chain. Called by the timer.

        Not done for each event: a thousand uses a second would be a thousand messages.
        """
        self._refusals.sum_up()
        if not self._changed:
            return
        self._changed = False
        # Here and not in `_append`: there the transaction may still be rolled back.
        self._anchor = self.head()
        self._publish(Event(event="audit:changed"))

    def list(self, filters: AuditFilter) -> AuditPage:
        """A page of the activity log for a person, newest first."""
        return _page([self.shown(event) for event in self._store.page(filters)], filters.limit)

    def own(self, requester: Requester, filters: OwnAuditFilter) -> AuditPage:
        """The newest events about this requester, from all of its runs, without its own claims and alarms.

        Claims have the connection's secrets masked: shown to their author, they would tell a right guess from a wrong
        one. The texts stored by earlier versions are left out too. The events are numbered separately, from the oldest
        on: a gap would reveal an alarm in between.
        """
        found = self._store.page(
            AuditFilter(limit=filters.limit),
            requester_key=requester.key,
            connection=filters.connection,
            without=ALARMS,
        )
        own = [
            event.model_copy(update={**_WITHOUT_CLAIMS, "sequence": len(found) - index})
            for index, event in enumerate(found)
        ]
        return AuditPage(events=own, next_before=None)

    def use_days(self, connection_id: str) -> UseDays:
        """The number of uses on each of the last 14 UTC days."""
        today = self._clock().date()
        days = [today - timedelta(days=back) for back in reversed(range(USE_DAYS))]
        since = self._clock().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
            days=USE_DAYS - 1
        )
        counted = self._store.uses_by_day(connection_id, since)
        return UseDays(
            days=[UseDay(day=day.isoformat(), uses=counted.get(day.isoformat(), 0)) for day in days]
        )

    def verify(self) -> AuditVerification:
        """Walks the whole chain; called without the lock, takes it for each chunk.

        Detects edited, removed, inserted and moved events; also events cut from the end, if this process has seen them
        or the keys have changed since. `keyed` is true if the keys are there and the last event and the checkpoint
        carry their MACs.
        """
        walk = Walk(anchor=self._anchor)
        while True:
            with self._lock:
                keys = self._keys()
                start = self._store.checkpoint()
                walk.begin_at(start, keys)
                # Read before the events: another server may append between the two.
                head = self.head()
                links = self._store.chain(walk.position.sequence, VERIFIED_AT_ONCE)
            walk.follow(links, keys)
            if walk.broken_at is None and not links:
                walk.end_at(head, keys)
            if walk.broken_at is None and links:
                continue
            if walk.broken_at is not None and self._pruned_since(start):
                # Another server pruned between the two reads; what seemed broken is gone.
                walk = Walk(anchor=self._anchor)
                continue
            return AuditVerification(
                consistent=walk.broken_at is None,
                events=walk.events,
                first_sequence=walk.first,
                keyed=walk.broken_at is None and keys is not None and walk.keyed,
                broken_at=walk.broken_at,
                stream=self._stream,
            )

    def streamed(self, state: StreamState) -> None:
        """Takes note of how the stream of the log to somewhere else is. Tells the operator, who is shown it."""
        self._stream = state
        self._publish(Event(event="audit:changed"))

    def head(self) -> Position:
        """The last event. Inside a transaction nobody else can append."""
        return Position(*self._store.head())

    def rekeyed(self, old: Unlocked, new: Unlocked) -> None:
        """Moves the log to new keys, in the caller's transaction. The events keep their MACs; the checkpoint gets a
        new one, because earlier keys must not be valid there."""
        start = self._store.checkpoint()
        if start is not None and start.mac is not None and chain.checkpoint_fits(start, old):
            self._store.replace_checkpoint(chain.checkpoint(start.sequence, start.digest, new))

    def shown(self, event: AuditEvent) -> AuditEvent:
        """The event as a person sees it: claims masked, or why they are hidden."""
        if event.agent_sealed is None and event.reason_sealed is None:
            return event
        agent, reason, hidden, connection_id = (
            event.agent,
            event.reason_claim,
            None,
            event.connection_id or "",
        )
        if event.agent_sealed is not None:
            agent, hidden = self._claims.shown("agent", connection_id, event.agent_sealed)
        if event.reason_sealed is not None:
            reason, why = self._claims.shown("reason", connection_id, event.reason_sealed)
            hidden = hidden or why
        shown = {**_WITHOUT_CLAIMS, "agent": agent, "reason_claim": reason, "claims_hidden": hidden}
        return event.model_copy(update=shown)

    def _pruned_since(self, seen: Checkpoint | None) -> bool:
        with self._lock:
            return self._store.checkpoint() != seen

    def _append(self, type: AuditType, facts: dict[str, Any], *, durable: bool) -> AuditEvent:
        with self._transactions.transaction(durable=durable):
            sequence, previous = self._store.head()
            event = AuditEvent(sequence=sequence + 1, at=self._clock(), type=type, **facts)
            self._store.append(chain.link(event, previous, self._keys()))
            self._rows_since_check += 1
            if self._rows_since_check >= ROWS_BETWEEN_SIZE_CHECKS:
                self._rows_since_check = 0
                self._keep_bound()
        self._changed = True
        if event.outcome == "ok" and (type in _USES or event.decided_by is not None):
            self.acts += 1
        return event

    def _keep_bound(self) -> None:
        if self._store.size_bytes() <= self._max_bytes:
            return
        start = self._store.checkpoint()
        before = start.sequence if start is not None else 0
        last, _ = self._store.head()
        cut = before + (last - before) // PRUNED_SHARE
        if cut <= before:
            return
        rows = self._store.chain(cut - 1, 1)
        if not rows:
            return
        self._store.prune(chain.checkpoint(rows[0].event.sequence, rows[0].digest, self._keys()))
        self._append("audit:pruned", {}, durable=True)


def _page(events: Any, limit: int) -> AuditPage:
    found: list[AuditEvent] = [*events]
    return AuditPage(events=found, next_before=found[-1].sequence if len(found) == limit else None)
