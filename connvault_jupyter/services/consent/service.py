"""ConsentService: what a person's decision does, and who may use what. The table of states is in `question`.

Waiting
questions are managed by `open_questions`, grants are judged by `grants.service` and ended by `grants.revocation`. No
secret ever comes here.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ...contracts.access import (
    Decide,
    Decided,
    Grant,
    GrantFilter,
    GrantList,
    GrantRef,
    GrantView,
    QuestionList,
)
from ...contracts.contract import Hidden
from ...contracts.events import Event
from ...errors import (
    AccessDenied,
    AccessRequestChanged,
    AccessRequestDecided,
    AccessRequestNotFound,
    AuthenticationOff,
    ConnvaultError,
    ConsentWithdrawn,
    DecisionNotOffered,
)
from ..access.refusal_log import RefusalLog, said_never
from ..connections.directory import Directory
from ..context import Context
from ..grants.permissions import Permissions
from ..grants.service import Subject
from ..outside_changes import OutsideChanges
from ..requester_claims import Claim, Claims, cleaned
from ..secrets.service import SecretsService
from .open_questions import OpenQuestions
from .question import Granted, Happening, Pending, Ticket, digest_of, durations, shown

# For runs that end unnoticed, and for grants of other servers on the same vault. None of these count in the meantime,
# so this only tidies lists; each time reads all grants.
_SWEEP_EVERY = timedelta(seconds=10)

# The interval at which the disk syncs of uses are grouped.
_COUNT_EVERY = timedelta(seconds=1)


class ConsentService:
    """All methods but `revoke` are called with the lock held."""

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        permissions: Permissions,
        claims: Claims,
        refusal_log: RefusalLog,
        secrets: SecretsService,
        open_questions: OpenQuestions,
        outside_changes: OutsideChanges,
    ) -> None:
        self._open_questions = open_questions
        self._grants = permissions.grants
        self._handles = permissions.handles
        self._revocation = permissions.revocation
        self._handle_limit = permissions.handle_limit
        self._use_counter = permissions.use_counter
        self._connections = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._claims = claims
        self._refusal_log = refusal_log
        self._secrets = secrets
        self._outside_changes = outside_changes
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._publish = context.publish
        self._settings = context.settings.consent
        self._authenticated = context.settings.authenticated
        # Grants of an earlier broker are checked by the first tick.
        self._next_expiry: datetime | None = context.clock()
        self._next_sweep = context.clock()
        self._next_count = context.clock()

    def ask(self, subject: Subject, *, reason: Claim | None, timeout_s: float | None) -> Ticket:
        """Asks the question, or joins the caller to an equal one. Raises: see `OpenQuestions.put`."""
        return self._open_questions.put(subject, reason=reason, timeout_s=timeout_s)

    def withdraw(self, ticket: Ticket) -> None:
        """The caller no longer waits. Whatever it was granted in the meantime is revoked."""
        answer = ticket.answer
        if isinstance(answer, Granted) and answer.ref is not None:
            try:
                self._revocation.release(answer.ref, answer.subject.requester)
            except ConnvaultError:
                # It has already ended, or the disk is full: nobody holds the ref, so nobody can use it.
                return
        self._open_questions.withdraw(ticket)

    def questions(self) -> QuestionList:
        """The questions that wait for an answer, in their present form, oldest first."""
        now = self._clock()
        return QuestionList(
            access_requests=[
                shown(one, self._settings, now, self._claims) for one in self._open_questions.open()
            ]
        )

    def decide(self, request: Decide, *, actor: str) -> Decided:
        """A person's answer. A plain no also works with a locked vault and on a full disk.

        Raises: AccessRequestNotFound, AccessRequestDecided, DecisionNotOffered, AuthenticationOff, VaultLocked,
            VaultNotSetUp, StorageError.
            AccessRequestChanged: the digest does not match what is asked now.
        """
        pending = self._open_questions.find(request.id)
        if pending is None:
            raise (
                AccessRequestDecided
                if self._open_questions.was_decided(request.id)
                else AccessRequestNotFound
            )
        if not hmac.compare_digest(digest_of(pending.subject), request.digest):
            self._publish(Event(event="access_request:asked", id=pending.id))
            raise AccessRequestChanged
        if request.decision in {"deny", "deny_always"}:
            self._deny(pending, always=request.decision == "deny_always", actor=actor)
        else:
            self._allow(pending, request, actor)
        return Decided(id=pending.id, decision=request.decision)

    def approvers(self, count: int) -> None:
        """How many tabs could show a question."""
        self._open_questions.approvers(count)

    def tick(self) -> None:
        """To be called as time passes: deadlines, the grace period without approvers, changed connections, expired
        grants."""
        self._outside_changes.tick()
        self._audit.announce()
        self._open_questions.open()
        self._refusal_log.sum_up()
        self._revocation.store_the_rest()
        now = self._clock()
        if now >= self._next_count:
            self._use_counter.store()
            self._next_count = now + _COUNT_EVERY
        expired = self._next_expiry is not None and now >= self._next_expiry
        if expired or now >= self._next_sweep:
            swept, self._next_expiry = self._revocation.sweep()
            self._next_sweep = now + _SWEEP_EVERY
            if expired or swept:
                self._publish(Event(event="grants:changed"))

    def grants(self, request: GrantFilter) -> GrantList:
        """Who may use what, and whether each grant still counts."""
        self._use_counter.store()
        found = []
        connections = {one.id: one for one in self._connections.all()}
        for stored in self._grants.all(request.connection_id):
            connection = connections.get(stored.grant.connection_id)
            if connection is None:
                continue
            provider = self._registry.get(connection.provider_id)
            destination = None if provider is None else self._destinations.of(connection, provider)
            reason_not = self._grants.reason_not(stored, connection.id, destination)
            if not reason_not and self._grants.ended(stored.grant):
                reason_not = "ended"
            agent, hidden = self._agent_of(stored.grant)
            found.append(
                GrantView(
                    grant=stored.grant.model_copy(
                        update={"agent": agent, "agent_hash": None, "agent_sealed": None}
                    ),
                    connection=connection.name,
                    uses=stored.uses,
                    last_used_at=stored.last_used_at,
                    counts=not reason_not,
                    reason_not=reason_not,
                    agent_hidden=hidden,
                )
            )
        return GrantList(grants=found)

    def revoke(self, request: GrantRef, *, actor: str) -> None:
        """Revokes a grant, or undoes a "never". Raises: see `Revocation.revoke`."""
        self._revocation.revoke(request.id, actor=actor)

    def documents_gone(self, paths: Sequence[str]) -> None:
        """Documents were deleted, replaced or renamed: their durable grants are void."""
        self._revocation.documents_gone(paths)

    def instance_ended(self, instance: str) -> None:
        """A run has ended: its questions are withdrawn, and everything given to it ends."""
        for pending in self._open_questions.of_instance(instance):
            self._open_questions.close(pending, Happening.ABANDONED, ConsentWithdrawn)
        self._revocation.instance_ended(instance)

    def reconcile(self, alive: Callable[[str], bool]) -> None:
        """After a start: ends everything given to runs that have ended. `alive`: whether an instance runs."""
        self._revocation.reconcile(alive)

    def close_orphans(self, alive: Callable[[str], bool]) -> None:
        """After a start: logs the questions of brokers that died. `alive`: whether the broker of this name runs."""
        self._open_questions.close_orphans(alive)

    def interrupt_all(self) -> None:
        """The broker shuts down properly: every open question is interrupted, the counts are stored."""
        self._revocation.store_the_rest()
        self._use_counter.store()
        self._refusal_log.sum_up(all_of_them=True)
        self._audit.sum_up_refused()
        self._open_questions.interrupt_all()

    def _agent_of(self, grant: Grant) -> tuple[str | None, Hidden | None]:
        if grant.agent_sealed is not None:
            return self._claims.shown("agent", grant.connection_id, grant.agent_sealed)
        # An unsealed claim comes from an earlier version, or somebody wrote it there.
        return cleaned(grant.agent), None

    def _allow(self, pending: Pending, request: Decide, actor: str) -> None:
        subject, decision = pending.subject, request.decision
        if decision not in durations(subject):
            raise DecisionNotOffered
        if request.seconds is not None and (decision != "for" or request.seconds > self._settings.for_s):
            raise DecisionNotOffered
        if not self._authenticated:
            raise AuthenticationOff
        grant, ref = None, None
        with self._transactions.transaction():
            # Raises while locked: the question stays open while the person unlocks. In the transaction, because
            # another server could change the keys before it.
            _ = self._secrets.keys
            if subject.mode != "reveal":
                self._handle_limit.make(subject.connection, subject.requester)
                grant = self._grants.give(subject, decision, seconds=request.seconds, actor=actor)
                ref = self._handles.give(
                    subject.connection, subject.requester, grant, sharers=len(pending.tickets)
                )
            self._open_questions.granted(pending, decision, actor, grant)
        expires_at = None if grant is None else grant.expires_at
        self._open_questions.answer(pending, Granted(subject, decision, ref, expires_at))
        if expires_at is not None:
            self._next_expiry = min(self._next_expiry or expires_at, expires_at)
        if grant is not None:
            self._publish(Event(event="grants:changed", id=grant.id))

    def _deny(self, pending: Pending, *, always: bool, actor: str) -> None:
        subject = pending.subject
        if not always:
            self._open_questions.close(
                pending,
                Happening.REFUSED,
                lambda: AccessDenied(reason="denied"),
                decision="deny",
                actor=actor,
            )
            return

        try:
            self._open_questions.close(
                pending,
                Happening.REFUSED,
                said_never,
                decision="deny_always",
                actor=actor,
                also=lambda: self._grants.give(subject, "deny_always", seconds=None, actor=actor),
            )
        finally:
            # "Never" also answers everything else that this requester asks about the connection.
            for other in self._open_questions.of_requester(subject.requester.key, subject.connection.id):
                self._open_questions.close(other, Happening.REFUSED, said_never, decision="deny", actor=actor)
        self._publish(Event(event="grants:changed"))
