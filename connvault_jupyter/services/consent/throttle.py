"""The pause after a no, and after too many questions without an answer.

In memory only: after a restart of the broker nobody has to wait.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil

from ...errors import AccessDenied
from ..grants.service import Subject
from ..short_memory import Often, Until, throttle_key
from .question import Happening

# In the other cases nobody saw a dialog, so nobody needs a pause before the next one.
_PAUSING = frozenset({Happening.REFUSED, Happening.TIMED_OUT})

# Whoever interrupts a cell may run it again at once, and so may whoever has just opened a tab. More than that within
# one pause is not a person: dialogs that come and go in a loop are a flood too, and questions that nobody could see
# would fill the log.
_UNANSWERED = frozenset({Happening.ABANDONED, Happening.UNATTENDED})
MAX_UNANSWERED = 5

# Questions of one requester that ended without a yes within one pause, over all connections: more than a notebook has
# that asks for all of its connections at once and is interrupted.
MAX_UNANSWERED_IN_ALL = 20


class Throttle:
    """Who has to wait before a question like the last one is asked again. `pause_s`: for how long."""

    def __init__(self, *, pause_s: float) -> None:
        self._pause_s = pause_s
        self._pausing: Until[tuple[str, str]] = Until()
        self._pausing_in_all: Until[str] = Until()
        self._unanswered: Often[tuple[str, str]] = Often(limit=MAX_UNANSWERED)
        self._unanswered_in_all: Often[str] = Often(limit=MAX_UNANSWERED_IN_ALL)

    def check(self, subject: Subject, now: datetime) -> None:
        """Raises: AccessDenied (`cooldown`): this is not asked yet."""
        remaining_s = max(
            self._pausing.remaining_s(_key(subject), now),
            self._pausing_in_all.remaining_s(throttle_key(subject.requester), now),
        )
        if remaining_s > 0:
            raise AccessDenied(
                "The last request like this was not allowed. Wait a little, then run the cell again.",
                reason="cooldown",
                retry_after_s=ceil(remaining_s),
            )

    def ended(self, subject: Subject, happening: Happening, now: datetime) -> None:
        """Notes how a question ended without a yes."""
        if happening is Happening.CUT_OFF:
            return
        key, who = _key(subject), throttle_key(subject.requester)
        too_often = happening in _UNANSWERED and self._unanswered.once_more(key, now, self._pause_s)
        if happening in _PAUSING or too_often:
            self._pausing.remember(key, now, self._pause_s)
        if self._unanswered_in_all.once_more(who, now, self._pause_s):
            self._pausing_in_all.remember(who, now, self._pause_s)


def _key(subject: Subject) -> tuple[str, str]:
    return throttle_key(subject.requester), subject.connection.id
