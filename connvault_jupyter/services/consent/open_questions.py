"""Open questions in time: put, joined, withdrawn, expired, interrupted. What a person's answer does is `service`'s.

A question is on record before anybody sees it, and every end is on record, each with its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil

from ...contracts.access import DecisionKind, Grant
from ...contracts.events import Event
from ...errors import (
    AccessDenied,
    ConnvaultError,
    ConsentInterrupted,
    ConsentTimeout,
    ConsentWithdrawn,
    NoApprover,
    StorageError,
    TooManyQuestions,
)
from ..claims import Claim, Claims
from ..connections.directory import Directory
from ..context import Context
from ..grants.service import Subject
from ..identifiers import new_id
from ..ports import RunningRequesters
from ..secrets.reader import SecretReader
from .log import QuestionLog
from .question import (
    MAX_REASONS,
    Granted,
    Happening,
    Key,
    Pending,
    Questions,
    Ticket,
    digest_of,
    key_of,
)
from .throttle import Often, Until, asker_of

# Nobody saw a dialog in the other cases, so there is nobody to be spared the next one.
_PAUSING = frozenset({Happening.REFUSED, Happening.TIMED_OUT})

# Whoever interrupts a cell may run it again at once, and so may whoever has just opened a tab. More often within a
# pause's length is no person: a dialog that comes and goes in a loop is a bombardment too, and questions that nobody
# could see are a flood of rows.
_UNANSWERED = frozenset({Happening.ABANDONED, Happening.UNATTENDED})
MAX_UNANSWERED = 5

# Questions of one asker that ended without a yes within a pause's length, whatever their connections: more than a
# notebook has that asks for all of its connections at once, and is interrupted.
MAX_UNANSWERED_IN_ALL = 20


class OpenQuestions:
    """The desk of questions. All methods are called with the lock held."""

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
        self._cooldown: Until[tuple[str, str]] = Until()
        self._cooldown_in_all: Until[str] = Until()
        self._unanswered: Often[tuple[str, str]] = Often(limit=MAX_UNANSWERED)
        self._unanswered_in_all: Often[str] = Often(limit=MAX_UNANSWERED_IN_ALL)
        self._allowed_once: Until[Key] = Until()
        self._approvers = 0
        self._unattended_since = context.clock()

    def put(self, subject: Subject, *, reason: Claim | None, timeout_s: float | None) -> Ticket:
        """Asks, or joins the caller to the same question that is open already.

        All that could refuse is judged before any secret is looked at; then the claims are masked and sealed. What
        becomes of them changes nothing for the caller.

        Raises: AccessDenied (`cooldown`), TooManyQuestions, VaultLocked, StorageError.
            HandleInvalid: the claim that a handle kept was edited.
        """
        now = self._clock()
        wait_s = min(self._settings.timeout_s, timeout_s or self._settings.timeout_s)
        ticket = Ticket(deadline=now + timedelta(seconds=wait_s))
        same = self._questions.same(subject)
        if same is not None:
            self._join(same, ticket, reason)
            return ticket
        mine = asker_of(subject.requester)
        pause_s = max(
            self._cooldown.remaining_s(_pause_key(subject), now),
            self._cooldown_in_all.remaining_s(mine, now),
        )
        if pause_s > 0:
            raise AccessDenied(
                "The last request like this was not allowed. Wait a little, then run the cell again.",
                reason="cooldown",
                retry_after_s=ceil(pause_s),
            )
        own = [one.expires_at for one in self._questions.all() if asker_of(one.subject.requester) == mine]
        if len(own) >= self._settings.max_open_questions:
            raise TooManyQuestions(retry_after_s=max(1, ceil((min(own) - now).total_seconds())))
        again = self._allowed_once.remaining_s(key_of(subject), now) > 0
        with self._log.together():
            subject = replace(subject, agent=self._admitted(subject, subject.agent))
            ticket.reason = self._admitted(subject, reason)
            pending = Pending(
                id=new_id(self._randomness),
                subject=subject,
                asked_at=now,
                preselected="session" if again else "once",
                tickets=[ticket],
                reasons=[] if ticket.reason is None else [ticket.reason],
                told_until=ticket.deadline,
            )
            self._log.asked(pending)
        self._questions.add(pending)
        self._publish(Event(event="access_request:asked", id=pending.id))
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """The caller has gone away; the question goes with its last caller. Does nothing for a settled one."""
        pending = self._questions.of_ticket(ticket)
        if pending is None:
            return
        if len(pending.tickets) == 1:
            self.close(pending, Happening.ABANDONED, ConsentWithdrawn)
        else:
            pending.tickets.remove(ticket)
            ticket.settle(ConsentWithdrawn())

    def open(self) -> Sequence[Pending]:
        """What waits for an answer, as it is asked now, oldest first."""
        self._pass_deadlines()
        for pending in self._questions.all():
            self._refresh(pending)
        return self._questions.all()

    def find(self, question_id: str) -> Pending | None:
        """The question, if it is open now."""
        return next((one for one in self.open() if one.id == question_id), None)

    def was_decided(self, question_id: str) -> bool:
        """Whether it was open a while ago."""
        return self._questions.was_decided(question_id)

    def approvers(self, count: int) -> None:
        """How many tabs could show a question."""
        if self._approvers > 0 and count == 0:
            self._unattended_since = self._clock()
        self._approvers = count

    def granted(self, pending: Pending, decision: DecisionKind, actor: str, grant: Grant | None) -> None:
        """Records the yes, in the caller's transaction; `answer` follows when that is committed."""
        self._log.granted(pending, decision, actor, grant)

    def answer(self, pending: Pending, answer: Granted) -> None:
        """The yes is stored: wakes the callers."""
        pending.happened(Happening.ALLOWED)
        if answer.decision == "once":
            self._allowed_once.remember(pending.key, self._clock(), self._settings.repeat_s)
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
        """Ends a question without a grant, whether or not that can be recorded. `also` belongs to the effect.

        Raises: StorageError: `also` could not be done; the question is closed all the same.
        """
        pending.happened(happening)
        self._pause(pending.subject, happening)
        try:
            self._log.ended(pending, happening, error().code, decision=decision, actor=actor, also=also)
        except StorageError:
            # The row of the open question stays; the next start closes it as interrupted.
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
        """The broker ends in good order."""
        for pending in self._questions.all():
            self.close(pending, Happening.CUT_OFF, ConsentInterrupted)

    def close_orphans(self, alive: Callable[[str], bool]) -> None:
        """Records the questions of brokers that died as interrupted. `alive` tells of a broker's name.

        Raises: StorageError.
        """
        self._log.close_orphans(alive)

    def _join(self, pending: Pending, ticket: Ticket, reason: Claim | None) -> None:
        pending.tickets.append(ticket)
        news = False
        if reason is not None:
            known = next((one for one in pending.reasons if one.mark == reason.mark), None)
            news = known is None and len(pending.reasons) < MAX_REASONS
            # One that is not listed is not kept.
            with self._log.together():
                ticket.reason = self._admitted(pending.subject, reason) if news else known
            if news and ticket.reason is not None:
                pending.reasons.append(ticket.reason)
        # Hundreds of callers join within a moment; a countdown in whole seconds need not hear of each. Nor of one that
        # comes and goes.
        longer = ticket.deadline - pending.told_until >= timedelta(seconds=1)
        if longer:
            pending.told_until = ticket.deadline
        if news or longer:
            self._publish(Event(event="access_request:asked", id=pending.id))

    def _admitted(self, subject: Subject, claim: Claim | None) -> Claim | None:
        if claim is None or claim.sealed:
            return claim
        # Only this connection's secrets: they are what code could have read, and opening all would cost too much.
        secrets = self._reader.readable(subject.connection, subject.destination)
        return self._claims.admitted(claim, subject.connection.id, secrets)

    def _pause(self, subject: Subject, happening: Happening) -> None:
        """Notes how a question ended, and who has to wait now before the next one."""
        if happening is Happening.CUT_OFF:
            return
        now, pause_s = self._clock(), self._settings.cooldown_s
        key, asker = _pause_key(subject), asker_of(subject.requester)
        too_often = happening in _UNANSWERED and self._unanswered.once_more(key, now, pause_s)
        if happening in _PAUSING or too_often:
            self._cooldown.remember(key, now, pause_s)
        if self._unanswered_in_all.once_more(asker, now, pause_s):
            self._cooldown_in_all.remember(asker, now, pause_s)

    def _refresh(self, pending: Pending) -> None:
        """Takes what is asked as it is now; closes the question if it can't be asked any more."""
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
            elif self._approvers == 0 and now >= self._gives_up_at(pending):
                self.close(pending, Happening.UNATTENDED, NoApprover)
            else:
                for ticket in late:
                    pending.tickets.remove(ticket)
                    ticket.settle(ConsentTimeout())

    def _gives_up_at(self, pending: Pending) -> datetime:
        # From the asking on at the earliest: a page that is being reloaded comes back within the grace.
        since = max(self._unattended_since, pending.asked_at)
        return since + timedelta(seconds=self._settings.approver_grace_s)

    def _settle(self, pending: Pending, answer: Callable[[], Granted | ConnvaultError]) -> None:
        self._questions.close(pending)
        tickets, pending.tickets = pending.tickets, []
        for ticket in tickets:
            # An error for each: raised in several threads, one would collect all their tracebacks.
            ticket.settle(answer())
        self._publish(Event(event="access_request:resolved", id=pending.id))


def _pause_key(subject: Subject) -> tuple[str, str]:
    return asker_of(subject.requester), subject.connection.id
