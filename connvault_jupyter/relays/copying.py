"""Copies bytes both ways between a client and its upstream, in one thread, until they end. It knows no protocol.

Reading stops while the other side accepts nothing, so at most one block per direction waits here. A half-close is
forwarded. An encrypted side can't be half-closed (Python's ssl has no call for it): it is ended after `half_close_s`,
or as soon as the other direction has ended too. A client that is gone altogether is not waited for: where poll can
detect that (on a Unix socket), everything ends once its data is forwarded.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from .limits import Limits

Filter = Callable[[bytes], bytes]
"""Returns what to send for what was read; for `b""`, the end of the stream, what was held back. May raise to end the
copying."""

_SMALL_BYTES = 64 * 1024


class ReadSize:
    """How much to read at once: small blocks until a large one would be filled.

    Memory above malloc's mmap threshold (128 KiB, mallopt(3)) is mapped for each read and unmapped after it: 13 us for
    each small answer, while all threads of the process wait for each other. `bytes` is how much to read next, at most
    `largest`; tell `came` how much the last read returned.
    """

    def __init__(self, largest: int) -> None:
        self._small = min(_SMALL_BYTES, largest)
        self._largest = largest
        self.bytes = self._small

    def came(self, count: int) -> None:
        self.bytes = self._largest if count >= self._small else self._small


class Held(Protocol):
    """A filter that holds data back for a while. `held_until`: when to call `release` (`time.monotonic`)."""

    @property
    def held_until(self) -> float: ...

    def __call__(self, data: bytes, /) -> bytes: ...

    def release(self) -> bytes:
        """The data that need not be held any more."""


Outcome = Literal["ended", "stopped"]


class Stop:
    """Stops the copying from another thread, at a moment when it is idle.

    Its caller must know whether it is idle at the start.
    """

    def __init__(self, *, at_rest: bool = False) -> None:
        # Held by the copying while it is not idle.
        self.lock = threading.Lock()
        self.at_rest = at_rest
        self.called = False
        self._changed = threading.Condition(self.lock)
        self._awaited = False
        self._over = False

    def __call__(self, patience_s: float) -> bool:
        """Stops it; returns whether it is stopped: neither side is used any more, though its thread may not have
        noticed yet."""
        with self.lock:
            if not self.called:
                self._awaited = True
                self._changed.wait_for(lambda: self.at_rest or self._over, patience_s)
                self.called = self.at_rest and not self._over
            return self.called

    def over(self) -> None:
        """The copying has ended: nobody needs to wait for it."""
        with self.lock:
            self._over = True
            self._changed.notify_all()

    def rest(self) -> None:
        """Marks it as idle. The lock is held."""
        self.at_rest = True
        if self._awaited:
            self._changed.notify_all()


def copy_both(
    client: socket.socket,
    upstream: socket.socket,
    *,
    limits: Limits,
    stop: Stop | None = None,
    to_upstream: Filter | None = None,
    to_client: Filter | None = None,
    held: Held | None = None,
) -> Outcome:
    """`ended`: both directions have ended, or a limit was reached; the caller closes both sockets.

    `stopped`: by `stop`, as soon as there is activity on one side. Until then both sides are non-blocking. `held` is
    also a filter for data to the client, instead of `to_client`.

    Raises: OSError: one side failed; and what a filter raises.
    """
    stop = stop or Stop()
    up = _Direction(client, upstream, to_upstream, ReadSize(limits.block_bytes))
    down = _Direction(upstream, client, held or to_client, ReadSize(limits.block_bytes), held)
    poll = select.poll()
    asked: dict[int, int | None] = {}
    ready: list[tuple[int, int]] = []
    ends_at = time.monotonic() + limits.lifetime_s
    while True:
        with stop.lock:
            if stop.called:
                return "stopped"
            stop.at_rest = False
            if not asked:
                # Not earlier: once it is stopped, both sides belong to somebody else.
                client.setblocking(False)
                upstream.setblocking(False)
            if any(asked[descriptor] == 0 for descriptor, _ in ready):
                return "ended"
            down.release()
            for direction in (up, down):
                # Poll does not see data that TLS has already decrypted.
                while not direction.over and direction.step():
                    pass
            if up.over and down.over:
                return "ended"
            _ask(poll, asked, client.fileno(), _wanted(up, down))
            _ask(poll, asked, upstream.fileno(), _wanted(down, up))
            now = time.monotonic()
            wait_s = min(ends_at - now, _patience_s(up, down, limits, now))
            if wait_s <= 0:
                return "ended"
            wait_s = min(wait_s, down.holds_s(now))
            if up.pending is None and down.pending is None:
                stop.rest()
        ready = poll.poll(wait_s * 1000 + 1)


@dataclass
class _Direction:
    source: socket.socket
    target: socket.socket
    transform: Filter | None
    read_size: ReadSize
    held: Held | None = None
    pending: memoryview | None = None
    # The events that each side needs for the next step: TLS may have to write in order to read.
    source_wants: int = select.POLLIN
    target_wants: int = select.POLLOUT
    read_all: bool = False
    over: bool = False
    moved_at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0

    def holds_s(self, now: float) -> float:
        """How much longer its filter holds data that could be sent."""
        if self.held is None or self.over or self.pending is not None:
            return math.inf
        return max(0.0, self.held.held_until - now)

    def release(self) -> None:
        """Takes the data that its filter need not hold any more."""
        if self.held is not None and not self.holds_s(time.monotonic()):
            data = self.held.release()
            self.pending = memoryview(data) if data else None

    def step(self) -> bool:
        """Sends waiting data, or reads the next block; returns whether more can be done at once."""
        if self.pending is not None:
            return self._send()
        if self.read_all:
            self._close_half()
            return False
        try:
            data = self.source.recv(self.read_size.bytes)
        except (BlockingIOError, ssl.SSLWantReadError):
            self.source_wants = select.POLLIN
            return False
        except ssl.SSLWantWriteError:
            self.source_wants = select.POLLOUT
            return False
        except ssl.SSLEOFError:
            data = b""
        self.moved_at = time.monotonic()
        self.read_size.came(len(data))
        if not data:
            self.read_all = True
            self.ended_at = self.moved_at
        if self.transform is not None:
            data = self.transform(data)
        if data:
            self.pending = memoryview(data)
            return self._send()
        return True

    def _send(self) -> bool:
        assert self.pending is not None  # noqa: S101 -- for the type checker; `step` has looked
        try:
            sent = self.target.send(self.pending)
        except (BlockingIOError, ssl.SSLWantWriteError):
            self.target_wants = select.POLLOUT
            return False
        except ssl.SSLWantReadError:
            self.target_wants = select.POLLIN
            return False
        self.moved_at = time.monotonic()
        if sent < len(self.pending):
            self.pending = self.pending[sent:]
            return True
        self.pending = None
        # Poll first: a small message is rarely followed by another, and an empty read costs as much.
        return self.read_all or isinstance(self.source, ssl.SSLSocket)

    def _close_half(self) -> None:
        self.over = True
        if not isinstance(self.target, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self.target.shutdown(socket.SHUT_WR)


def _wanted(reads: _Direction, writes: _Direction) -> int | None:
    """The events to wait for on one side, from which `reads` reads and to which `writes` writes.

    0: only its end, which poll always reports. `None`: not even that.
    """
    wanted = 0
    if not reads.over and reads.pending is None and not reads.read_all:
        wanted |= reads.source_wants
    if writes.pending is not None:
        wanted |= writes.target_wants
    return wanted if wanted or reads.over else None


def _ask(poll: select.poll, asked: dict[int, int | None], descriptor: int, wanted: int | None) -> None:
    if asked.get(descriptor) == wanted:
        return
    asked[descriptor] = wanted
    # A side with nothing to wait for is not polled at all: poll would report its hang-up again and again.
    if wanted is not None:
        poll.register(descriptor, wanted)
    else:
        poll.unregister(descriptor)


def _patience_s(up: _Direction, down: _Direction, limits: Limits, now: float) -> float:
    """How long until a limit is reached without further activity."""
    left = [limits.idle_s - (now - max(up.moved_at, down.moved_at))]
    for direction, other in ((up, down), (down, up)):
        if direction.pending is not None:
            left.append(limits.stalled_s - (now - direction.moved_at))
        if direction.over and not other.over:
            left.append(limits.half_close_s - (now - max(direction.ended_at, other.moved_at)))
    return min(left)
