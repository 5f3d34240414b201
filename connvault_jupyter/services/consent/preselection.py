"""What the dialog preselects: once; until the kernel stops, if the same was allowed once just before."""

from __future__ import annotations

from datetime import datetime

from ...contracts.access import Duration
from ..short_memory import Until
from .question import Key


class Preselection:
    """`repeat_s`: what is asked again within so many seconds of a "once" is worth a longer permission."""

    def __init__(self, *, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._allowed_once: Until[Key] = Until()

    def allowed_once(self, key: Key, now: datetime) -> None:
        """A person has just allowed this once."""
        self._allowed_once.remember(key, now, self._repeat_s)

    def of(self, key: Key, now: datetime) -> Duration:
        """For a question that is asked now."""
        return "session" if self._allowed_once.remaining_s(key, now) > 0 else "once"
