"""Keeps the place of an answer that a Redis relay gives itself, among those of the server. It judges no command.

Instead of the client's command goes a marker, the name of no command. The server's answer to it is an error with this
name in it (`-ERR unknown command ...`), whatever state the connection is in, and is replaced. A server that does not
say the name in its error gives its own error to the client, in the same place.
"""

from __future__ import annotations

import secrets
from collections import deque

from .resp import encode

# Answers that are waited for. Thousands in one pipeline are no client's way to log in.
_MAX_WAITING = 4096
# A server's error is a line of some hundred bytes.
_MAX_LINE_BYTES = 8192


class Markers:
    """Commands that no server has, and what their answers are replaced by."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._held = b""
        self._at_line = True

    def new(self, answer: bytes) -> bytes:
        """A command to send, whose answer will be this one. Raises: OSError: too many are waited for."""
        if len(self._waiting) == _MAX_WAITING:
            raise OSError("the client waits for no answer")
        # Digits: a server that names it in capitals names it right. Nobody can guess it, and nobody is told.
        marker = b"%039d" % secrets.randbits(128)
        self._waiting.append((marker, answer))
        return encode([marker])

    def __call__(self, data: bytes) -> bytes:
        """Answers with the markers' replaced; the last line is held back if it could be one. `b""`: the end."""
        if not self._waiting and not self._held:
            if data:
                self._at_line = data.endswith(b"\n")
            return data
        held, self._held = self._held, b""
        if not data:
            return held
        # What is held back is the beginning of a line.
        at_line = self._at_line or bool(held)
        data = held + data
        shown = []
        start = 0
        while self._waiting:
            found = self._next(data, start)
            if found is None:
                break
            line, end, answer = found
            shown += [data[start:line], answer]
            start = end
            at_line = True
        data = data[start:]
        last = data.rfind(b"\n") + 1
        begins = at_line if last == 0 else True
        if self._waiting and begins and data.startswith(b"-", last) and len(data) - last < _MAX_LINE_BYTES:
            data, self._held = data[:last], data[last:]
        self._at_line = data.endswith(b"\n") if data else at_line
        return b"".join(shown) + data

    def _next(self, data: bytes, start: int) -> tuple[int, int, bytes] | None:
        """Where the next marker's line begins and ends, and its answer. Earlier markers were never answered."""
        for number, (marker, answer) in enumerate(self._waiting):
            at = data.find(marker, start)
            if at < 0:
                continue
            end = data.find(b"\r\n", at)
            line = data.rfind(b"\n", start, at) + 1 or start
            if end < 0 or data[line : line + 1] != b"-":
                return None
            for _ in range(number + 1):
                self._waiting.popleft()
            return line, end + 2, answer
        return None
