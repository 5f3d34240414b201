"""The life of open questions: asked, joined, withdrawn, expired, interrupted. What an answer does is up to `service`.

A question is logged before anybody sees it, and so is every end, each with its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil

from ...contracts.access import DecisionKind, Grant
from ...contracts.events import Event
from ...errors import (
    ConnvaultError,
    ConsentInterrupted,
    ConsentTimeout,
    ConsentWithdrawn,
    NoApprover,
    StorageError,
    TooManyQuestions,
)
from ..connections.directory import Directory
from ..context import Context
from ..grants.service import Subject
from ..identifiers import new_id
from ..ports import RunningRequesters
from ..requester_claims import Claim, Claims
from ..secrets.reader import SecretReader
from ..short_memory import throttle_key
from .approvers import Approvers
from .log import QuestionLog
from .preselection import Preselection
from .question import (
    MAX_REASONS,
    Granted,
    Happening,
    Pending,
    Questions,
    Ticket,
    digest_of,
    key_of,
)
from .throttle import Throttle


class OpenQuestions:
    """The open questions. All methods are called with the lock held."""

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        running: RunningRequesters,
        claims: Claims,
        reader: SecretReader,
        log: QuestionLog,
    ) -> None:
        self._connections = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._log = log
        self._running = running
        self._claims = claims
        self._reader = reader
        self._settings = context.settings.consent
        self._clock = context.clock
        self._randomness = context.randomness
        self._publish = context.publish
        self._questions = Questions()
        self._throttle = Throttle(pause_s=context.settings.consent.cooldown_s)
        self._preselection = Preselection(repeat_s=context.settings.consent.repeat_s)
        self._approvers = Approvers(grace_s=context.settings.consent.approver_grace_s, now=context.clock())

    def put(self, subject: Subject, *, reason: Claim | None, timeout_s: float | None) -> Ticket:
        """Asks, or joins the caller to an equal question that is already open.

        Everything that could refuse is checked before any secret is read; then the claims are masked and sealed, which
        makes no difference that the caller could see.

        Raises: AccessDenied (`cooldown`), TooManyQuestions, VaultLocked, StorageError.
            HandleInvalid: the claim stored with a handle was edited.
        """
        now = self._clock()
        wait_s = min(self._settings.timeout_s, timeout_s or self._settings.timeout_s)
        ticket = Ticket(deadline=now + timedelta(seconds=wait_s))
        same = self._questions.same(subject)
        if same is not None:
            self._join(same, ticket, reason)
            return ticket
        self._throttle.check(subject, now)
        mine = throttle_key(subject.requester)
        own = [one.expires_at for one in self._questions.all() if throttle_key(one.subject.requester) == mine]
        if len(own) >= self._settings.max_open_questions:
            raise TooManyQuestions(retry_after_s=max(1, ceil((min(own) - now).total_seconds())))
        preselected = self._preselection.of(key_of(subject), now)
        with self._log.together():
            subject = replace(subject, agent=self._admitted(subject, subject.agent))
            ticket.reason = self._admitted(subject, reason)
            pending = Pending(
                id=new_id(self._randomness),
                subject=subject,
                asked_at=now,
                preselected=preselected,
                tickets=[ticket],
                reasons=[] if ticket.reason is None else [ticket.reason],
                told_until=ticket.deadline,
            )
            self._log.asked(pending)
        self._questions.add(pending)
        self._publish(Event(event="access_request:asked", id=pending.id))
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """The caller no longer waits; the question ends with its last caller. Does nothing if already settled."""
        pending = self._questions.of_ticket(ticket)
        if pending is None:
            return
        if len(pending.tickets) == 1:
            self.close(pending, Happening.ABANDONED, ConsentWithdrawn)
        else:
            pending.tickets.remove(ticket)
            ticket.settle(ConsentWithdrawn())

    def open(self) -> Sequence[Pending]:
        """The questions that wait for an answer, in their present form, oldest first."""
        self._pass_deadlines()
        for pending in self._questions.all():
            self._refresh(pending)
        return self._questions.all()

    def find(self, question_id: str) -> Pending | None:
        """The question, if it is open."""
        return next((one for one in self.open() if one.id == question_id), None)

    def was_decided(self, question_id: str) -> bool:
        """Whether it was open recently."""
        return self._questions.was_decided(question_id)

    def approvers(self, count: int) -> None:
        """How many tabs could show a question."""
        self._approvers.are(count, self._clock())

    def granted(self, pending: Pending, decision: DecisionKind, actor: str, grant: Grant | None) -> None:
        """Logs the yes, in the caller's transaction; call `answer` once that is committed."""
        self._log.granted(pending, decision, actor, grant)

    def answer(self, pending: Pending, answer: Granted) -> None:
        """Wakes the callers, after the yes is stored."""
        pending.happened(Happening.ALLOWED)
        if answer.decision == "once":
            self._preselection.allowed_once(pending.key, self._clock())
        self._settle(pending, lambda: answer)

    def close(
        self,
        pending: Pending,
        happening: Happening,
        error: Callable[[], ConnvaultError],
        *,
        decision: DecisionKind | None = None,
        actor: str | None = None,
        also: Callable[[], object] = lambda: None,
    ) -> None:
        """Ends a question without a grant, whether or not that can be logged. `also` is part of the effect.

        Raises: StorageError: `also` could not be done; the question is closed nevertheless.
        """
        pending.happened(happening)
        self._throttle.ended(pending.subject, happening, self._clock())
        try:
            self._log.ended(pending, happening, error().code, decision=decision, actor=actor, also=also)
        except StorageError:
            # The row of the open question remains; the next start closes it as interrupted.
            if decision == "deny_always":
                raise
        finally:
            self._settle(pending, error)

    def of_instance(self, instance: str) -> Sequence[Pending]:
        """The open questions of one run."""
        return [one for one in self._questions.all() if one.subject.requester.instance == instance]

    def of_requester(self, requester_key: str, connection_id: str) -> Sequence[Pending]:
        """The open questions of a requester about one connection."""
        return [
            one
            for one in self._questions.all()
            if one.subject.requester.key == requester_key and one.subject.connection.id == connection_id
        ]

    def interrupt_all(self) -> None:
        """To be called when the broker shuts down properly."""
        for pending in self._questions.all():
            self.close(pending, Happening.CUT_OFF, ConsentInterrupted)

    def close_orphans(self, alive: Callable[[str], bool]) -> None:
        """Logs the questions of brokers that died as interrupted. `alive`: whether the broker of this name runs.

        Raises: StorageError.
        """
        self._log.close_orphans(alive)

    def _join(self, pending: Pending, ticket: Ticket, reason: Claim | None) -> None:
        pending.tickets.append(ticket)
        news = False
        if reason is not None:
            known = next((one for one in pending.reasons if one.mark == reason.mark), None)
            news = known is None and len(pending.reasons) < MAX_REASONS
            # A reason that is not shown is not kept.
            with self._log.together():
                ticket.reason = self._admitted(pending.subject, reason) if news else known
            if news and ticket.reason is not None:
                pending.reasons.append(ticket.reason)
        # Hundreds of callers may join within a moment; a countdown in whole seconds need not hear about each of them,
        # nor about one that comes and goes.
        longer = ticket.deadline - pending.told_until >= timedelta(seconds=1)
        if longer:
            pending.told_until = ticket.deadline
        if news or longer:
            self._publish(Event(event="access_request:asked", id=pending.id))

    def _admitted(self, subject: Subject, claim: Claim | None) -> Claim | None:
        if claim is None or claim.sealed:
            return claim
        # Only this connection's secrets: those are what code could have read, and unsealing all would be too slow.
        secrets = self._reader.readable(subject.connection, subject.destination)
        return self._claims.admitted(claim, subject.connection.id, secrets)

    def _refresh(self, pending: Pending) -> None:
        """Updates what is asked to the present state; closes the question if it can no longer be asked."""
        old = pending.subject
        connection = self._connections.get(old.connection.id)
        provider = None if connection is None else self._registry.get(connection.provider_id)
        if connection is None or provider is None or connection.status != "ready":
            self.close(pending, Happening.CUT_OFF, ConsentInterrupted)
            return
        new = Subject(
            connection=connection,
            destination=self._destinations.of(connection, provider),
            requester=self._running.current(old.requester),
            agent=old.agent,
            mode=old.mode,
        )
        if digest_of(new) != digest_of(old):
            pending.subject = new
            self._publish(Event(event="access_request:asked", id=pending.id))

    def _pass_deadlines(self) -> None:
        now = self._clock()
        for pending in self._questions.all():
            late = [ticket for ticket in pending.tickets if ticket.deadline <= now]
            if len(late) == len(pending.tickets):
                self.close(pending, Happening.TIMED_OUT, ConsentTimeout)
            elif self._approvers.gave_up(pending.asked_at, now):
                self.close(pending, Happening.UNATTENDED, NoApprover)
            else:
                for ticket in late:
                    pending.tickets.remove(ticket)
                    ticket.settle(ConsentTimeout())

    def _settle(self, pending: Pending, answer: Callable[[], Granted | ConnvaultError]) -> None:
        self._questions.close(pending)
        tickets, pending.tickets = pending.tickets, []
        for ticket in tickets:
            # One error for each caller: a shared one, raised in several threads, would collect all their tracebacks.
            ticket.settle(answer())
        self._publish(Event(event="access_request:resolved", id=pending.id))
