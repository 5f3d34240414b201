"""What a Redis server answers, on its way to the client: answers of ours put in, some masked, some without their
secrets. It knows no command."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..masking.holding import Holding
from ..masking.masker import Masker
from .markers import Markers

# A client that wants no answers (CLIENT REPLY OFF) gets none to markers either: from then on nothing is masked for it.
_MAX_WAITING = 64

# All settings of a server are some 10 KiB; of users there may be thousands.
_MAX_ANSWER_BYTES = 4 * 1024 * 1024


class Answers:
    """A filter to the client (`copying.Held`). What is between the answers to two markers of `masked` is masked, and
    what comes after `masked_from_now` up to one."""

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
        """What to send instead of a command that is answered here. Raises: OSError: too many are waited for."""
        return self._markers.new(answer)

    def masked(self, command: bytes) -> bytes:
        """What to send for a command whose answer is masked."""
        if len(self._markers) >= _MAX_WAITING:
            return command
        return self._markers.new(self._begin) + command + self._markers.new(self._end)

    def rewritten(self, command: bytes, rewrite: Callable[[bytes], bytes]) -> bytes | None:
        """What to send for a command whose whole answer is given to `rewrite`, and what that makes of it masked;
        `None`: its answer could not be told from others. What is longer than 4 MiB is cut there."""
        if len(self._markers) >= _MAX_WAITING:
            return None
        new = self._markers.new
        # In the order in which they are sent.
        before = new(self._begin) + new(self._collect)
        return before + command + new(lambda: self._rewritten(rewrite)) + new(self._end)

    def masked_from_now(self, command: bytes) -> bytes:
        """As `masked`, where nothing can be sent before it."""
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
        # Without a beginning there is no answer: the server was told to give none.
        return b"" if collected is None else self._through(rewrite(bytes(collected)))

    def _through(self, data: bytes) -> bytes:
        if self._collected is not None:
            if len(self._collected) <= _MAX_ANSWER_BYTES:
                self._collected += data
            return b""
        return data if self._holding is None else self._holding(data)
