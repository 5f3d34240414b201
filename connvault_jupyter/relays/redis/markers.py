"""Marks positions in the answers of a Redis server, for answers that a relay gives itself or inspects. It judges no
commands.

A marker is sent upstream instead of a client's command, or before and after one; its name is not a command's. The
server's answer to it is an error with this name (`-ERR unknown command ...`), whatever the connection's state, and is
replaced. If a server's error does not contain the name, the client gets that error in the same position.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

from .resp import encode

# The limit of pending answers. No client logs in with thousands in one pipeline.
_MAX_WAITING = 4096
# A server's error is a line of some hundred bytes.
_MAX_LINE_BYTES = 8192

Answer = bytes | Callable[[], bytes]
"""The replacement of a marker, or a function that returns it when its position is reached."""


class Markers:
    """Commands that no server has, and replacements of their answers. `through` receives everything between them."""

    def __init__(self, through: Callable[[bytes], bytes] | None = None) -> None:
        self._through = through or (lambda data: data)
        self._waiting: deque[tuple[bytes, Answer]] = deque()
        self._held = b""
        self._at_line = True

    def __len__(self) -> int:
        """The number of pending markers."""
        return len(self._waiting)

    def new(self, answer: Answer) -> bytes:
        """A command to send, whose answer will be replaced by this one. Raises: OSError: too many are pending."""
        if len(self._waiting) == _MAX_WAITING:
            raise OSError("the client waits for no answer")
        # Digits: a server that names it in capitals names it right. Nobody can guess it, and nobody is told.
        marker = b"%039d" % secrets.randbits(128)
        self._waiting.append((marker, answer))
        return encode([marker])

    def __call__(self, data: bytes) -> bytes:
        """The answers, with those of markers replaced; the last line is held back if it could be one. `b""`: the
        end."""
        if not self._waiting and not self._held:
            if data:
                self._at_line = data.endswith(b"\n")
            return self._through(data) if data else b""
        held, self._held = self._held, b""
        if not data:
            return self._through(held) if held else b""
        # Only the start of a line is held back.
        at_line = self._at_line or bool(held)
        data = held + data
        shown = []
        start = 0
        while self._waiting:
            found = self._next(data, start)
            if found is None:
                break
            line, end, count = found
            if line > start:
                shown.append(self._through(data[start:line]))
            shown.append(self._answered(count))
            start = end
            at_line = True
        data = data[start:]
        last = data.rfind(b"\n") + 1
        begins = at_line if last == 0 else True
        if self._waiting and begins and data.startswith(b"-", last) and len(data) - last < _MAX_LINE_BYTES:
            data, self._held = data[:last], data[last:]
        self._at_line = data.endswith(b"\n") if data else at_line
        if data:
            shown.append(self._through(data))
        return b"".join(shown)

    def _next(self, data: bytes, start: int) -> tuple[int, int, int] | None:
        """Where the next marker's line begins and ends, and its number among the pending ones, from 1."""
        for number, (marker, _) in enumerate(self._waiting):
            at = data.find(marker, start)
            if at < 0:
                continue
            end = data.find(b"\r\n", at)
            line = data.rfind(b"\n", start, at) + 1 or start
            if end < 0 or data[line : line + 1] != b"-":
                return None
            return line, end + 2, number + 1
        return None

    def _answered(self, count: int) -> bytes:
        """The replacement for the last of them; earlier ones were never answered, but their positions are reached
        too."""
        found = []
        for left in reversed(range(count)):
            _, answer = self._waiting.popleft()
            if callable(answer):
                found.append(answer())
            elif not left:
                found.append(answer)
        return b"".join(found)
