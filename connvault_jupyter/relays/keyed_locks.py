"""A lock per key. Nothing is kept for a key that nobody holds or waits for."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted_by: int = 0


class KeyedLocks(Generic[K]):
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[K, _Turn] = {}

    @contextmanager
    def of(self, key: K) -> Iterator[None]:
        """A block that only one thread at a time enters for the same key. Waits for its turn."""
        with self._lock:
            turn = self._turns.setdefault(key, _Turn())
            turn.wanted_by += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._lock:
                turn.wanted_by -= 1
                if turn.wanted_by == 0:
                    del self._turns[key]
