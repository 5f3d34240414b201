"""What a store of open questions must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from ...errors import StorageError
from ...services.ports import OpenQuestion
from ..stores import Stores
from .samples import event, refusing


def _question(identity: str, sequence: int = 1) -> OpenQuestion:
    asked = event(sequence, type="access:asked", question_id=identity, reason_claim="monthly report")
    return OpenQuestion(question_id=identity, broker="4711:123456", event=asked)


class OpenQuestionStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_what_was_added_is_listed_oldest_first(self, stores: Stores) -> None:
        """With everything that closing it needs."""
        stores.questions.add(_question("q1", sequence=2))
        stores.questions.add(_question("q2", sequence=1))
        assert stores.questions.all() == [_question("q2", sequence=1), _question("q1", sequence=2)]

    def test_removing_tells_whether_there_was_one(self, stores: Stores) -> None:
        """Of two who close a question, one did."""
        stores.questions.add(_question("q1"))
        assert stores.questions.remove("q1")
        assert not stores.questions.remove("q1")
        assert stores.questions.all() == []

    def test_an_id_is_given_once(self, stores: Stores) -> None:
        """A second one must not cover the first."""
        stores.questions.add(_question("q1"))
        with refusing(StorageError):
            stores.questions.add(_question("q1", sequence=2))
        assert stores.questions.all() == [_question("q1")]
