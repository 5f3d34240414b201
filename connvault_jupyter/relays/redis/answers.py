"""Forwards a Redis server's answers to the client: inserts our own, masks some, removes secrets from others. It knows
no commands."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..masking.holding import Holding
from ..masking.masker import Masker
from .markers import Markers

# A client that has turned off answers (CLIENT REPLY OFF) gets none to markers either: from then on nothing is masked
# for it.
_MAX_WAITING = 64

# All settings of a server have some 10 KiB; there may be thousands of users.
_MAX_ANSWER_BYTES = 4 * 1024 * 1024


class Answers:
    """A filter to the client (`copying.Held`). Everything between the answers to two markers of `masked` is masked,
    and everything from `masked_from_now` up to one."""

    def __init__(self, mask: Masker) -> None:
        self._mask = mask
        self._markers = Markers(self._through)
        self._masked = 0
        self._holding: Holding | None = None
        self._collected: bytearray | None = None

    @property
    def held_until(self) -> float:
        return math.inf if self._holding is None else self._holding.held_until

    def __call__(self, data: bytes) -> bytes:
        shown = self._markers(data)
        if not data and self._holding is not None:
            shown += self._holding(b"")
        return shown

    def release(self) -> bytes:
        return b"" if self._holding is None else self._holding.release()

    def given(self, answer: bytes) -> bytes:
        """What to send instead of a command that is answered here. Raises: OSError: too many are pending."""
        return self._markers.new(answer)

    def masked(self, command: bytes) -> bytes:
        """What to send for a command whose answer is masked."""
        if len(self._markers) >= _MAX_WAITING:
            return command
        return self._markers.new(self._begin) + command + self._markers.new(self._end)

    def rewritten(self, command: bytes, rewrite: Callable[[bytes], bytes]) -> bytes | None:
        """What to send for a command whose whole answer is passed to `rewrite`, whose result is then masked; `None`:
        its answer could not be separated from others. Answers longer than 4 MiB are cut."""
        if len(self._markers) >= _MAX_WAITING:
            return None
        new = self._markers.new
        # In sending order.
        before = new(self._begin) + new(self._collect)
        return before + command + new(lambda: self._rewritten(rewrite)) + new(self._end)

    def masked_from_now(self, command: bytes) -> bytes:
        """Like `masked`, if nothing can be sent before it."""
        if len(self._markers) >= _MAX_WAITING:
            return command
        self._begin()
        return command + self._markers.new(self._end)

    def _begin(self) -> bytes:
        self._masked += 1
        if self._holding is None:
            self._holding = Holding(self._mask, lines=False)
        return b""

    def _end(self) -> bytes:
        self._masked -= 1
        if self._masked or self._holding is None:
            return b""
        holding, self._holding = self._holding, None
        return holding(b"")

    def _collect(self) -> bytes:
        self._collected = bytearray()
        return b""

    def _rewritten(self, rewrite: Callable[[bytes], bytes]) -> bytes:
        collected, self._collected = self._collected, None
        # Without the first marker there is no answer: the client has turned answers off.
        return b"" if collected is None else self._through(rewrite(bytes(collected)))

    def _through(self, data: bytes) -> bytes:
        if self._collected is not None:
            if len(self._collected) <= _MAX_ANSWER_BYTES:
                self._collected += data
            return b""
        return data if self._holding is None else self._holding(data)
