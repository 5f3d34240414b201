"""What the broker remembers briefly: that something just happened, and how often.

In memory only: after a restart of the broker all of it is gone. No stored permission belongs here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, TypeVar

from ..contracts.access import Requester

K = TypeVar("K")

# Enough for every notebook of a busy server; code that invents keys can't make it grow.
MAX_REMEMBERED = 4096

# A process below a kernel always has its kernel's identity. Others choose theirs: each new process is another detached
# one, each new copy of a file another script. So they share one identity in these counts.
_NAMED_BY_A_KERNEL = frozenset({"notebook", "console", "server"})
_OUTSIDE_OF_KERNELS = "outside"


def throttle_key(requester: Requester) -> str:
    """Who is throttled: the requester, or all processes outside kernels together."""
    return requester.key if requester.kind in _NAMED_BY_A_KERNEL else _OUTSIDE_OF_KERNELS


class Until(Generic[K]):
    """Keys, each remembered until its own time."""

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
        """True if `key` was not remembered; it is from now on. Repeated refusals make one event, not a flood."""
        if self.remaining_s(key, now) > 0:
            return False
        self.remember(key, now, seconds)
        return True


class Often(Generic[K]):
    """Keys with the times of their occurrences: tells when there were more than `limit` of them recently."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._times: dict[K, list[datetime]] = {}

    def once_more(self, key: K, now: datetime, seconds: float) -> bool:
        """Notes an occurrence at `now`; whether there were more than `limit` in the last `seconds`."""
        since = now - timedelta(seconds=seconds)
        times = [at for at in self._times.pop(key, []) if at > since][-self._limit :]
        while len(self._times) >= MAX_REMEMBERED:
            del self._times[next(iter(self._times))]
        self._times[key] = [*times, now]
        return len(times) >= self._limit
