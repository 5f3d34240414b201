"""Masks what a server sends over a WebSocket (RFC 6455), message by message. The other direction is not handled here.

A message is forwarded when it is complete, so its timing does not depend on its content; a control frame at once. One
that is too large, or takes too long, continues as a stream with a fixed delay. So does anything that is not a server's
frame.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..masking.holding import HOLD_S, Holding
from ..masking.masker import Masker

# The default limit of Python's `websockets` for a message.
_MAX_MESSAGE_BYTES = 1 << 20

_FIN, _RESERVED, _OPCODE, _MASKED = 0x80, 0x70, 0x0F, 0x80
_CONTINUATION, _TEXT, _BINARY, _CONTROL = 0x0, 0x1, 0x2, 0x8
_MAX_CONTROL_BYTES = 125


class Messages:
    """A filter for a stream (`copying.Held`): `b""` is its end."""

    def __init__(self, mask: Masker, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._mask = mask
        self._clock = clock
        # Unparsed from `_at` on: a part of a frame's head, or of a control frame.
        self._unread = b""
        self._at = 0
        self._frame_left = 0
        self._last_frame = True
        self._message = _Message()
        # For messages that are not held completely, and for everything after an invalid frame.
        self._stream: Holding | None = None
        self._broken = False

    @property
    def held_until(self) -> float:
        """When `release` will have data, by the clock."""
        return self._message.due if self._stream is None else self._stream.held_until

    def __call__(self, data: bytes) -> bytes:
        """What can be forwarded."""
        if not data:
            rest, self._unread = self._unread, b""
            return self._all() + self._mask.whole(rest)
        if self._broken:
            return self._streamed(data)
        self._unread += data
        shown = []
        while self._at < len(self._unread) and (piece := self._step()) is not None:
            shown.append(piece)
        self._unread, self._at = self._unread[self._at :], 0
        if self._message.size > _MAX_MESSAGE_BYTES and self._stream is None:
            shown.append(self._goes_on_as_stream())
        return b"".join(shown)

    def release(self) -> bytes:
        """The data that was held long enough."""
        if self._stream is not None:
            return self._message.woven(self._stream.release())
        if self._clock() < self._message.due:
            return b""
        shown = self._mask.whole(self._message.taken())
        self._stream = Holding(self._mask, lines=False, clock=self._clock)
        return self._message.woven(shown)

    def _step(self) -> bytes | None:
        """What can be forwarded after parsing one more part; `None`: more data is needed."""
        if self._frame_left:
            content = self._cut(min(self._frame_left, len(self._unread) - self._at))
            self._frame_left -= len(content)
            return self._content(content)
        head = _head(self._unread, self._at)
        if head is None:
            return None
        if not head.possible:
            return self._break()
        if head.opcode >= _CONTROL:
            if len(self._unread) - self._at < head.size + head.length:
                return None
            frame = self._cut(head.size + head.length)
            frame = frame[: head.size] + self._mask.whole(frame[head.size :])
            if self._stream is None:
                # None of the surrounding message has been forwarded.
                return frame
            self._message.mark(frame)
            return self._message.woven(b"")
        frame_head = self._cut(head.size)
        if self._message.due == math.inf:
            self._message.due = self._clock() + HOLD_S
        self._message.mark(frame_head)
        self._frame_left, self._last_frame = head.length, head.last
        return self._content(b"")

    def _cut(self, size: int) -> bytes:
        """The next bytes; unread data is only sliced once per block, however many frames it contains."""
        start, self._at = self._at, self._at + size
        return self._unread[start : self._at]

    def _content(self, data: bytes) -> bytes:
        self._message.size += len(data)
        if self._stream is None:
            self._message.parts.append(data)
            shown = b""
        else:
            shown = self._stream(data) if data else b""
        if not self._frame_left and self._last_frame:
            return self._message.woven(shown) + self._all()
        return self._message.woven(shown) if self._stream is not None else b""

    def _all(self) -> bytes:
        """The end of a message."""
        whole = self._stream is None
        found = self._message.woven(self._mask.whole(self._message.taken()) if whole else self._streamed(b""))
        if not self._broken:
            self._message, self._stream = _Message(), None
        return found

    def _goes_on_as_stream(self) -> bytes:
        self._stream = Holding(self._mask, lines=False, clock=self._clock)
        return self._message.woven(self._stream(self._message.taken()))

    def _break(self) -> bytes:
        """From here on nothing is known to be a frame."""
        rest = self._cut(len(self._unread) - self._at)
        before = self._all()
        self._broken = True
        self._stream = Holding(self._mask, lines=False, clock=self._clock)
        return before + self._streamed(rest)

    def _streamed(self, data: bytes) -> bytes:
        assert self._stream is not None  # noqa: S101 -- for the type checker; there is one since it broke
        return self._stream(data)


class _Message:
    """The received part of one. `due`: when it need not be held any more."""

    def __init__(self) -> None:
        self.due = math.inf
        self.size = 0
        self.parts: list[bytes] = []
        self._woven = 0
        # The heads of its frames, and what else is between them, by the amount of content before them.
        self._marks: deque[tuple[int, bytes]] = deque()

    def taken(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)

    def mark(self, frame: bytes) -> None:
        self._marks.append((self.size, frame))

    def woven(self, content: bytes) -> bytes:
        """This next content, with what belongs in between."""
        found, start = [], 0
        while self._marks and self._marks[0][0] <= self._woven + len(content):
            place, frame = self._marks.popleft()
            found += [content[start : place - self._woven], frame]
            start = place - self._woven
        found.append(content[start:])
        self._woven += len(content)
        return b"".join(found)


@dataclass(frozen=True)
class _Head:
    """`size` is its own, `length` of what follows."""

    opcode: int
    last: bool
    size: int
    length: int
    possible: bool


def _head(data: bytes, at: int) -> _Head | None:
    """RFC 6455 5.2; `None`: it is incomplete."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    more = {126: 2, 127: 8}.get(second & 0x7F, 0)
    if len(data) < at + 2 + more:
        return None
    length = int.from_bytes(data[at + 2 : at + 2 + more], "big") if more else second & 0x7F
    opcode, last = first & _OPCODE, bool(first & _FIN)
    known = opcode in (_CONTINUATION, _TEXT, _BINARY) or (
        opcode >= _CONTROL and last and length <= _MAX_CONTROL_BYTES
    )
    # No extension was negotiated, and a server does not mask (5.1).
    return _Head(opcode, last, 2 + more, length, known and not first & _RESERVED and not second & _MASKED)
