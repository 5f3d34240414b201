"""What the broker remembers for a short time about asking: pauses after a no, and what was just allowed once.

In memory only: after a restart of the broker nobody has to wait. No stored permission belongs here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K")

# Room for every notebook of a busy server; code that invents keys can't make it grow.
MAX_REMEMBERED = 4096


class Until(Generic[K]):
    """Keys that are remembered until a time each."""

    def __init__(self) -> None:
        self._until: dict[K, datetime] = {}

    def remember(self, key: K, now: datetime, seconds: float) -> None:
        """Remembers `key` for `seconds` from `now`."""
        if len(self._until) >= MAX_REMEMBERED:
            self._until = {kept: until for kept, until in self._until.items() if until > now}
            while len(self._until) >= MAX_REMEMBERED:
                del self._until[next(iter(self._until))]
        self._until[key] = now + timedelta(seconds=seconds)

    def remaining_s(self, key: K, now: datetime) -> float:
        """Seconds that `key` is still remembered; 0 if it is not."""
        until = self._until.get(key)
        return 0.0 if until is None else max(0.0, (until - now).total_seconds())

    def first(self, key: K, now: datetime, seconds: float) -> bool:
        """True if `key` was not remembered; it is from now on. So that repeated refusals make one row, not a flood."""
        if self.remaining_s(key, now) > 0:
            return False
        self.remember(key, now, seconds)
        return True


class Often(Generic[K]):
    """Keys with the times at which something happened to each: tells when that was oftener than `limit` in a while."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._times: dict[K, list[datetime]] = {}

    def once_more(self, key: K, now: datetime, seconds: float) -> bool:
        """Notes that it happened `now`; whether that was oftener than `limit` in the last `seconds`."""
        since = now - timedelta(seconds=seconds)
        times = [at for at in self._times.pop(key, []) if at > since][-self._limit :]
        while len(self._times) >= MAX_REMEMBERED:
            del self._times[next(iter(self._times))]
        self._times[key] = [*times, now]
        return len(times) >= self._limit
