"""Masks a stream: holds back what could be the start of a secret, by rules that don't depend on any secret.

How much is held depends on where lines end, or is a fixed length; it is released after a fixed time. It is searched
when some of it is forwarded, so small pieces are not searched one by one. A secret whose first part was released,
because the rest came later, is not masked.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from .masker import Masker

# The longest spelling that is found wherever a stream is cut. Most servers accept no longer header.
HOLD_BYTES = 8 * 1024

# Far longer than the parts of one write take to arrive, and short enough for people who wait for a prompt.
HOLD_S = 0.25

# Data that arrives within this time of another piece is released with it.
_TOGETHER_S = HOLD_S / 8


class Holding:
    """A filter for a stream (`copying.Held`): `b""` is its end. `lines`: data that ends with a line end is never
    held."""

    def __init__(self, mask: Masker, *, lines: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._mask = mask
        self._lines = lines
        self._clock = clock
        self._held = b""
        # How much had arrived, and when it need not be held any more.
        self._came = 0
        self._due: deque[tuple[float, int]] = deque()

    @property
    def held_until(self) -> float:
        """When `release` will have data, by the clock."""
        return self._due[0][0] if self._due else math.inf

    def __call__(self, data: bytes) -> bytes:
        """What can be forwarded."""
        if not data:
            return self._passed(0)
        self._came += len(data)
        due = self._clock() + HOLD_S
        if self._due and due - self._due[-1][0] < _TOGETHER_S:
            due, _ = self._due.pop()
        self._due.append((due, self._came))
        self._held += data
        return self._passed(self._kept())

    def look(self) -> None:
        """Searches what is held, so that it is known whether something in it is masked."""
        self._held = self._mask.whole(self._held)

    def _kept(self) -> int:
        """How much of the data is still held."""
        size = len(self._held)
        end = 1 + max(self._held.rfind(b"\n"), self._held.rfind(b"\r")) if self._lines else 0
        if end:
            return min(size - end, HOLD_BYTES)
        # Not byte by byte: everything held is searched for each part that is forwarded.
        return size if size < 2 * HOLD_BYTES else HOLD_BYTES

    def release(self) -> bytes:
        """The data that was held long enough."""
        now, until = self._clock(), 0
        for due, came in self._due:
            if due > now:
                break
            until = came
        return self._passed(min(len(self._held), self._came - until))

    def _passed(self, keep: int) -> bytes:
        if keep == len(self._held):
            return b""
        self.look()
        passed = self._held[: len(self._held) - keep]
        self._held = self._held[len(passed) :]
        while self._due and self._due[0][1] <= self._came - keep:
            self._due.popleft()
        return passed
