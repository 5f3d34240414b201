"""The states of a question and what moves it: a pure table. Who may cause what, and what follows, is consent.py's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from ..errors import AccessRequestDecided


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
    """The last caller went away."""
    CUT_OFF = "cut_off"
    """The broker ends, or what was asked for is gone."""


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
        AccessRequestDecided: the question is closed already; nothing can reopen or change it.
    """
    found = TABLE.get((state, happening))
    if found is None:
        raise AccessRequestDecided
    return found
