"""Logs questions: asked, decided, ended, or left open by a broker that died. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ...contracts.access import DecisionKind, Grant
from ...contracts.audit import AuditType
from ...errors import ConsentInterrupted
from ..audit.service import AuditService, Outcome
from ..ports import OpenQuestion, OpenQuestionStore, Transactions
from .question import Happening, Pending

_RECORDED: dict[Happening, tuple[AuditType, Outcome]] = {
    Happening.ALLOWED: ("access:granted", "ok"),
    Happening.REFUSED: ("access:denied", "refused"),
    Happening.TIMED_OUT: ("access:expired", "refused"),
    Happening.UNATTENDED: ("access:expired", "failed"),
    Happening.ABANDONED: ("access:withdrawn", "refused"),
    Happening.CUT_OFF: ("access:interrupted", "failed"),
}


class QuestionLog:
    """`broker` names this process in the questions that it may leave open."""

    def __init__(
        self,
        *,
        open_questions: OpenQuestionStore,
        transactions: Transactions,
        audit: AuditService,
        broker: str,
    ) -> None:
        self._open_questions = open_questions
        self._transactions = transactions
        self._audit = audit
        self._broker = broker

    def together(self) -> AbstractContextManager[None]:
        """A transaction for a question's sealed claims and its event: another server could change the keys in
        between."""
        return self._transactions.transaction()

    def asked(self, pending: Pending) -> None:
        """On disk when it returns, so that an unanswered question is never lost. Raises: StorageError."""
        subject = pending.subject
        with self._transactions.transaction():
            event = self._audit.record(
                "access:asked",
                connection=subject.connection,
                requester=subject.requester,
                agent=None if subject.agent is None else subject.agent.sealed,
                mode=subject.mode,
                question_id=pending.id,
                reason=pending.reasons[0].sealed if pending.reasons else None,
            )
            self._open_questions.add(OpenQuestion(pending.id, self._broker, event))

    def granted(self, pending: Pending, decision: DecisionKind, actor: str, grant: Grant | None) -> None:
        """To be called in the transaction that stores the grant. Raises: StorageError."""
        self._open_questions.remove(pending.id)
        self._record(pending, Happening.ALLOWED, None, decision, actor, grant)

    def ended(
        self,
        pending: Pending,
        happening: Happening,
        code: str,
        *,
        decision: DecisionKind | None,
        actor: str | None,
        also: Callable[[], object],
    ) -> None:
        """Logs an end without a grant, and does `also` whether or not that can be logged.

        Raises: StorageError: not even `also` could be stored.
        """

        def effect() -> None:
            also()
            self._open_questions.remove(pending.id)

        self._audit.effect_first(
            effect, lambda: self._record(pending, happening, code, decision, actor, None)
        )

    def close_orphans(self, alive: Callable[[str], bool]) -> None:
        """Logs the questions of brokers that died as interrupted. `alive`: whether the broker of this name runs.

        Raises: StorageError.
        """
        for orphan in self._open_questions.all():
            if orphan.broker == self._broker or alive(orphan.broker):
                continue
            with self._transactions.transaction():
                # Another server may be closing the same orphan right now: one event per question.
                if self._open_questions.remove(orphan.question_id):
                    self._audit.follow_up(
                        # Unsealed claims come from an earlier version: they are not written again.
                        orphan.event.model_copy(update={"agent": None, "reason_claim": None}),
                        "access:interrupted",
                        outcome="failed",
                        code=ConsentInterrupted.code,
                    )

    def _record(
        self,
        pending: Pending,
        happening: Happening,
        code: str | None,
        decision: DecisionKind | None,
        actor: str | None,
        grant: Grant | None,
    ) -> None:
        subject = pending.subject
        kind, outcome = _RECORDED[happening]
        self._audit.record(
            kind,
            outcome=outcome,
            code=code,
            connection=subject.connection,
            requester=subject.requester,
            grant=grant,
            agent=None if subject.agent is None else subject.agent.sealed,
            mode=subject.mode,
            decision=decision,
            decided_by=actor,
            question_id=pending.id,
            reason=pending.reasons[0].sealed if pending.reasons else None,
        )
