"""The content of an answer for a client: decoded, masked, in chunks if framed like that. No I/O, no heads."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..masking.holding import Holding
from ..masking.masker import Masker
from .bodies import chunk
from .encodings import Decoding


class Shown:
    """`mask` `None`: nothing has to be masked, and nothing is held. `lines`: see `Holding`. `most`: of how many bytes
    at least; what comes after the block in which they end is forwarded as it is."""

    def __init__(
        self,
        mask: Masker | None,
        *,
        codings: tuple[str, ...],
        coded: bool,
        lines: bool,
        most: float = math.inf,
    ) -> None:
        self._mask = mask
        self._decoding = Decoding(codings) if codings else None
        self._coded = coded
        self._holding = None if mask is None else Holding(mask, lines=lines)
        self._left = most
        self._begun = False

    @property
    def held_until(self) -> float:
        """When `release` will have data (`time.monotonic`)."""
        return math.inf if self._holding is None else self._holding.held_until

    def feed(self, content: bytes, *, last: bool) -> Iterator[bytes]:
        """What can be forwarded of the next content, in pieces. Raises: BadCoding."""
        whole = last and not self._begun
        self._begun = True
        if self._decoding is not None:
            for piece in self._decoding.feed(content):
                yield self._framed(self._masked(piece))
        elif whole and self._mask is not None:
            # None of it has to be held.
            yield self._framed(self._mask.whole(content))
        elif content:
            yield self._framed(self._masked(content))

    def look(self) -> None:
        """Searches what is held: see `Holding.look`."""
        if self._holding is not None:
            self._holding.look()

    def release(self) -> bytes:
        """The data that was held long enough."""
        return b"" if self._holding is None else self._framed(self._holding.release())

    def rest(self) -> bytes:
        """What is still held."""
        return b"" if self._holding is None else self._framed(self._holding(b""))

    def finish(self) -> None:
        """To be called at the end. Raises: BadCoding: something is missing."""
        if self._decoding is not None:
            self._decoding.finish()

    def _masked(self, content: bytes) -> bytes:
        if self._holding is None or not content:
            return content
        self._left -= len(content)
        passed = self._holding(content)
        if self._left <= 0:
            passed += self._holding(b"")
            self._holding = None
        return passed

    def _framed(self, content: bytes) -> bytes:
        return chunk(content) if self._coded else content
