"""A question: its states and what moves it (a table), who waits for it until when, and what a person is shown.

In memory only; nothing is decided here. Who may cause what, and what follows, is up to `service`.

Evolution of the digest: another set of shown facts needs another domain prefix; digests only live as long as a dialog.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType

from ...contracts.access import DecisionKind, Duration, Question
from ...contracts.contract import HandleRef, Hidden
from ...contracts.supervision import ConsentSettings
from ...errors import AccessRequestDecided, ConnvaultError
from ..canonical import canonical
from ..grants.service import Subject
from ..requester_claims import Claim, Claims, Kind

_DOMAIN = b"connvault-question-2\0"

# More would push the buttons out of sight; a notebook rarely has more than one reason.
MAX_REASONS = 5

# Decided questions are remembered so that a second tab is told "already answered", not "not found".
MAX_DECIDED = 256

Key = tuple[str, str, str | None, str]


class State(Enum):
    """Only PENDING can be left."""

    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    INTERRUPTED = "interrupted"


class Happening(Enum):
    """What can happen to a question."""

    ALLOWED = "allowed"
    """A person said yes."""
    REFUSED = "refused"
    """A person said no."""
    TIMED_OUT = "timed_out"
    """The last caller's deadline passed."""
    UNATTENDED = "unattended"
    """No tab could show it for the grace time."""
    ABANDONED = "abandoned"
    """The last caller no longer waits."""
    CUT_OFF = "cut_off"
    """The broker stops, or what was asked for is gone."""


TABLE: Mapping[tuple[State, Happening], State] = MappingProxyType(
    {
        (State.PENDING, Happening.ALLOWED): State.GRANTED,
        (State.PENDING, Happening.REFUSED): State.DENIED,
        (State.PENDING, Happening.TIMED_OUT): State.EXPIRED,
        (State.PENDING, Happening.UNATTENDED): State.EXPIRED,
        (State.PENDING, Happening.ABANDONED): State.WITHDRAWN,
        (State.PENDING, Happening.CUT_OFF): State.INTERRUPTED,
    }
)


def after(state: State, happening: Happening) -> State:
    """The state that follows.

    Raises:
        AccessRequestDecided: the question is already closed; nothing can reopen or change it.
    """
    found = TABLE.get((state, happening))
    if found is None:
        raise AccessRequestDecided
    return found


@dataclass(frozen=True)
class Granted:
    """A yes. `ref` is `None` for a reveal, which leaves nothing behind."""

    subject: Subject
    decision: DecisionKind
    ref: HandleRef | None
    expires_at: datetime | None


@dataclass
class Ticket:
    """One waiting caller. `answer` is set before `settled` is done; `reason` is the caller's own."""

    deadline: datetime
    reason: Claim | None = None
    settled: Future[None] = field(default_factory=Future)
    answer: Granted | ConnvaultError | None = None

    def settle(self, answer: Granted | ConnvaultError) -> None:
        """Wakes the caller."""
        self.answer = answer
        self.settled.set_result(None)


@dataclass
class Pending:
    """A question, its callers, and its state. `tickets` are the callers that still wait.

    All its claims have been
    admitted. `told_until` is the deadline last reported to the operator.
    """

    id: str
    subject: Subject
    asked_at: datetime
    preselected: Duration
    tickets: list[Ticket]
    reasons: list[Claim]
    told_until: datetime
    state: State = State.PENDING

    @property
    def key(self) -> Key:
        return key_of(self.subject)

    @property
    def expires_at(self) -> datetime:
        return max((ticket.deadline for ticket in self.tickets), default=self.asked_at)

    def happened(self, happening: Happening) -> None:
        """Raises: AccessRequestDecided."""
        self.state = after(self.state, happening)


class Questions:
    """The pending questions, and the ids of those decided last."""

    def __init__(self) -> None:
        self._by_id: dict[str, Pending] = {}
        self._by_key: dict[Key, Pending] = {}
        self._decided: dict[str, None] = {}

    def all(self) -> Sequence[Pending]:
        """Oldest first."""
        return tuple(self._by_id.values())

    def get(self, question_id: str) -> Pending | None:
        return self._by_id.get(question_id)

    def same(self, subject: Subject) -> Pending | None:
        """The open question that asks for the same."""
        return self._by_key.get(key_of(subject))

    def of_ticket(self, ticket: Ticket) -> Pending | None:
        """The question on which this caller waits."""
        return next(
            (one for one in self._by_id.values() if any(ticket is mine for mine in one.tickets)), None
        )

    def add(self, pending: Pending) -> None:
        self._by_id[pending.id] = pending
        self._by_key[pending.key] = pending

    def close(self, pending: Pending) -> None:
        """Moves it to the decided ones."""
        self._by_id.pop(pending.id, None)
        if self._by_key.get(pending.key) is pending:
            del self._by_key[pending.key]
        self._decided[pending.id] = None
        while len(self._decided) > MAX_DECIDED:
            del self._decided[next(iter(self._decided))]

    def was_decided(self, question_id: str) -> bool:
        return question_id in self._decided


def key_of(subject: Subject) -> Key:
    """Equal for requests that are asked only once: connection, run, agent claim and mode."""
    mark = None if subject.agent is None else subject.agent.mark
    return (subject.connection.id, subject.requester.instance, mark, subject.mode)


def durations(subject: Subject) -> list[Duration]:
    """The durations that may be chosen. Plain text is asked for each time."""
    if subject.mode == "reveal":
        return ["once"]
    if subject.requester.durable:
        return ["once", "session", "for", "always"]
    return ["once", "session"]


def digest_of(subject: Subject) -> str:
    """Covers everything on which a decision is based. Not the reasons: they are claims, and more may come in the
    meantime."""
    requester = subject.requester
    text = canonical(
        {
            "connection_id": subject.connection.id,
            "connection": subject.connection.name,
            "display_name": subject.connection.display_name,
            "revision": subject.connection.revision,
            "provider_id": subject.destination.provider.id,
            "provider_name": subject.destination.provider.name,
            "destination": subject.destination.line,
            "shown": subject.destination.shown,
            "kind": requester.kind,
            "key": requester.key,
            "instance": requester.instance,
            "label": requester.label,
            "path": requester.path,
            "kernel": requester.kernel,
            "durable": requester.durable,
            "agent": None if subject.agent is None else subject.agent.mark,
            "mode": subject.mode,
        }
    )
    return hashlib.sha256(_DOMAIN + text).hexdigest()


def shown(pending: Pending, settings: ConsentSettings, now: datetime, claims: Claims) -> Question:
    """What a person sees of `pending`."""
    subject = pending.subject
    offered = durations(subject)
    hidden: Hidden | None = None

    def text(kind: Kind, claim: Claim) -> str | None:
        nonlocal hidden
        found, why = claims.shown(kind, subject.connection.id, claim.sealed)
        hidden = hidden or why
        return found

    agent = None if subject.agent is None else text("agent", subject.agent)
    reasons = [found for found in (text("reason", one) for one in pending.reasons) if found is not None]
    return Question(
        id=pending.id,
        connection_id=subject.connection.id,
        connection=subject.connection.name,
        display_name=subject.connection.display_name,
        provider_id=subject.destination.provider.id,
        provider_name=subject.destination.provider.name,
        destination=subject.destination.line,
        requester=subject.requester,
        agent=agent,
        mode=subject.mode,
        reasons=reasons,
        durations=offered,
        preselected=pending.preselected if pending.preselected in offered else "once",
        once_limit_s=settings.once_limit_s,
        for_s=settings.for_s,
        asked_at=pending.asked_at,
        expires_at=pending.expires_at,
        remaining_ms=max(0, int((pending.expires_at - now).total_seconds() * 1000)),
        digest=digest_of(subject),
        claims_hidden=hidden,
    )
