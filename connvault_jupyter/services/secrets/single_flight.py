"""One caller at a time, for work that takes long and must not hold the broker's lock. It does not know the work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from ..ports import Lock


class SingleFlight:
    """Lets one caller in at a time; the others wait. Built from the broker's lock and a Future, so it starts no
    thread."""

    def __init__(self, *, lock: Lock) -> None:
        self._lock = lock
        self._busy: Future[None] | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Called without the lock. Not re-entrant."""
        mine: Future[None] = Future()
        while True:
            with self._lock:
                other = self._busy
                if other is None:
                    self._busy = mine
                    break
            other.result()
        try:
            yield
        finally:
            with self._lock:
                self._busy = None
            mine.set_result(None)
