"""Every state of a question and everything that can happen to it."""

from __future__ import annotations

from itertools import product

import pytest

from connvault_jupyter.errors import AccessRequestDecided
from connvault_jupyter.services.consent.question import TABLE, Happening, State, after

# Written out by hand, apart from the table: the two must agree.
_FROM_PENDING = {
    "ALLOWED": "GRANTED",
    "REFUSED": "DENIED",
    "TIMED_OUT": "EXPIRED",
    "UNATTENDED": "EXPIRED",
    "ABANDONED": "WITHDRAWN",
    "CUT_OFF": "INTERRUPTED",
}


@pytest.mark.parametrize("happening", list(Happening))
def test_when_pending_each_happening_leads_to_its_state(happening: Happening) -> None:
    """An open question can end in every way."""
    assert after(State.PENDING, happening) is State[_FROM_PENDING[happening.name]]


@pytest.mark.parametrize(
    ("state", "happening"), [*product([one for one in State if one is not State.PENDING], Happening)]
)
def test_when_closed_nothing_happens_any_more(state: State, happening: Happening) -> None:
    """A closed question is never opened, and never changes its end."""
    with pytest.raises(AccessRequestDecided):
        after(state, happening)


def test_the_table_has_nothing_else() -> None:
    """The two tests above are all there is."""
    assert len(TABLE) == len(Happening) == len(_FROM_PENDING)
    assert len(State) == 6
