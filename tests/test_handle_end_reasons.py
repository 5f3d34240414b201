"""Why a handle is good no more: each reason has words of its own, which lead back to it."""

from __future__ import annotations

import pytest

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.handle_end_reasons import WORDS, end_of
from connvault_jupyter.kernel.relay_errors import said_in


@pytest.mark.parametrize("why", WORDS)
def test_each_reason_says_what_happened_and_what_to_do(why: str) -> None:
    """In two sentences; the reason is beside them."""
    error = HandleInvalid(reason=why)
    what, then = error.message.split(". ", 1)
    assert what
    assert then.endswith(".")
    assert error.details == {"reason": why}


def test_no_two_reasons_have_the_same_words() -> None:
    """Else they could not be told apart where a protocol carries words only."""
    assert len(set(WORDS.values())) == len(WORDS)
    assert [end_of(words) for words in WORDS.values()] == list(WORDS)


@pytest.mark.parametrize("why", WORDS)
def test_the_reason_comes_through_a_protocol_that_has_words_only(why: str) -> None:
    """MySQL, Redis and PostgreSQL have an error's text."""
    said = HandleInvalid(reason=why)
    error = said_in(f"(1045, 'connvault {said.code}: {said.message}", connection="warehouse")
    assert isinstance(error, HandleInvalid)
    assert error.details == {"reason": why, "connection": "warehouse"}


def test_a_sentence_of_anything_else_is_no_end_of_a_handle() -> None:
    """A handle's token that is missing, say."""
    error = said_in("connvault handle_invalid: This port is for the owner.", connection="warehouse")
    assert error is not None
    assert error.details == {"connection": "warehouse"}
