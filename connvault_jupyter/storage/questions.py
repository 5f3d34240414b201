"""Stores the questions that were asked and not closed, so that none is forgotten if a broker dies. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ..contracts.audit import AuditEvent
from ..services.ports import OpenQuestion
from .database import Database, Row
from .rows import canonical, microseconds, read_all


class SqliteOpenQuestionStore:
    """Implements `services.ports.OpenQuestionStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def add(self, question: OpenQuestion) -> None:
        """Raises: StorageError: the id already exists."""
        self._database.change(
            "INSERT INTO open_questions (question_id, broker, event, asked_at) VALUES (?, ?, ?, ?)",
            (
                question.question_id,
                question.broker,
                canonical(question.event),
                microseconds(question.event.at),
            ),
        )

    def remove(self, question_id: str) -> bool:
        """Whether there was one."""
        return bool(self._database.change("DELETE FROM open_questions WHERE question_id = ?", (question_id,)))

    def all(self) -> Sequence[OpenQuestion]:
        """Oldest first. Unreadable rows are left out."""
        rows = self._database.many(
            "SELECT question_id, broker, event FROM open_questions ORDER BY asked_at, question_id"
        )
        return read_all(_question, rows, "open_questions")


def _question(row: Row) -> OpenQuestion:
    question_id, broker, event = row
    if not isinstance(question_id, str) or not isinstance(broker, str):
        raise TypeError("not a question")
    return OpenQuestion(question_id=question_id, broker=broker, event=AuditEvent.model_validate_json(event))
