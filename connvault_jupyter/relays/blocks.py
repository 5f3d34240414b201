"""How much to read at once: a small block until a large one would be filled. No I/O.

Memory for more than malloc's mmap threshold (128 KiB, mallopt(3)) comes from the system for each read and goes back
after it: 13 us for each small answer, and all threads of a process wait for each other meanwhile.
"""

from __future__ import annotations

_SMALL_BYTES = 64 * 1024


class ReadSize:
    """`bytes` is how much to read next, at most `largest`; `came` is told how much the last read has brought."""

    def __init__(self, largest: int) -> None:
        self._small = min(_SMALL_BYTES, largest)
        self._largest = largest
        self.bytes = self._small

    def came(self, count: int) -> None:
        self.bytes = self._largest if count >= self._small else self._small
