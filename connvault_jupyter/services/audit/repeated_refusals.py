"""Logs wrong passphrases and proofs, which whoever has the server's token can send as fast as it likes: a few events,
then one for all of half a minute, so that a loop can't push everything else out of the log.

A broker that is killed loses the counts of the last half minute. What named requesters cause is logged by
`access.refusal_log`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeAlias

from ...contracts.audit import AuditType
from ...errors import StorageError
from ..ports import Clock
from ..short_memory import Often

SUMMED_EVERY_S = 30

# In that time. More than a person mistypes.
MAX_ALONE = 5

Refusal: TypeAlias = tuple[AuditType, str, str]
"""The event's type and code, and whose decision it was not."""

Record: TypeAlias = Callable[[Refusal, int | None], object]
"""(refusal, how often; `None`: it is one of its own). Raises: StorageError."""


class RepeatedRefusals:
    """Called with the lock held."""

    def __init__(self, *, record: Record, clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self._recent: Often[Refusal] = Often(limit=MAX_ALONE)
        self._sums: dict[Refusal, tuple[datetime, int]] = {}

    def note(self, refusal: Refusal) -> None:
        """Raises: StorageError: nothing was logged."""
        now = self._clock()
        if not self._recent.once_more(refusal, now, SUMMED_EVERY_S):
            self._record(refusal, None)
            return
        due, count = self._sums.get(refusal, (now + timedelta(seconds=SUMMED_EVERY_S), 0))
        self._sums[refusal] = due, count + 1

    def sum_up(self, *, all_of_them: bool = False) -> None:
        """Logs the counts whose half minute has passed. What can't be logged stays counted."""
        now = self._clock()
        for refusal, (due, count) in tuple(self._sums.items()):
            if all_of_them or now >= due:
                with suppress(StorageError):
                    self._record(refusal, count)
                    del self._sums[refusal]
