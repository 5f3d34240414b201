"""The content of an answer as a client gets it: decoded, masked, in chunks if it is framed so. No I/O, no heads."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..masking.holding import Holding
from ..masking.masker import Masker
from .bodies import chunk
from .encodings import Decoding


class Shown:
    """`mask` `None`: nothing need be masked, and nothing is held. `lines`: see `Holding`."""

    def __init__(self, mask: Masker | None, *, codings: tuple[str, ...], coded: bool, lines: bool) -> None:
        self._mask = mask
        self._decoding = Decoding(codings) if codings else None
        self._coded = coded
        self._holding = None if mask is None else Holding(mask, lines=lines)
        self._begun = False

    @property
    def held_until(self) -> float:
        """When `release` has something to give (`time.monotonic`)."""
        return math.inf if self._holding is None else self._holding.held_until

    def feed(self, content: bytes, *, last: bool) -> Iterator[bytes]:
        """What can be shown of the next content, piece by piece. Raises: BadCoding."""
        whole = last and not self._begun
        self._begun = True
        if self._decoding is not None:
            for piece in self._decoding.feed(content):
                yield self._framed(self._masked(piece))
        elif whole and self._mask is not None:
            # Nothing of it need be held.
            yield self._framed(self._mask.whole(content))
        elif content:
            yield self._framed(self._masked(content))

    def look(self) -> None:
        """Looks through what is held: see `Holding.look`."""
        if self._holding is not None:
            self._holding.look()

    def release(self) -> bytes:
        """What has been held long enough."""
        return b"" if self._holding is None else self._framed(self._holding.release())

    def rest(self) -> bytes:
        """What is held yet."""
        return b"" if self._holding is None else self._framed(self._holding(b""))

    def finish(self) -> None:
        """All has come. Raises: BadCoding: something is missing."""
        if self._decoding is not None:
            self._decoding.finish()

    def _masked(self, content: bytes) -> bytes:
        return content if self._holding is None or not content else self._holding(content)

    def _framed(self, content: bytes) -> bytes:
        return chunk(content) if self._coded else content
