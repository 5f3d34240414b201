"""How many pages could show a question, and how long one waits while there is none."""

from __future__ import annotations

from datetime import datetime, timedelta


class Approvers:
    """`grace_s`: how long a question waits without a page, in seconds; `now`: since when there is none."""

    def __init__(self, *, grace_s: float, now: datetime) -> None:
        self._grace = timedelta(seconds=grace_s)
        self._count = 0
        self._none_since = now

    def are(self, count: int, now: datetime) -> None:
        """So many pages could show a question from now on."""
        if self._count > 0 and count == 0:
            self._none_since = now
        self._count = count

    def gave_up(self, asked_at: datetime, now: datetime) -> bool:
        """Whether a question asked then has waited long enough for a page."""
        # Counted from the request at the earliest: a page that is being reloaded returns within the grace period.
        return self._count == 0 and now >= max(self._none_since, asked_at) + self._grace
