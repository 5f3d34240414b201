"""The two sides of an exchange: reading a client's requests, and sending a body while its answer is already being
read.

It does not interpret heads. Every wait ends: by its own limit, or because the other side is gone.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import ssl
import time
from collections.abc import Callable

from ..copying import ReadSize
from ..limits import Limits
from .bodies import Body, chunk, last_chunk
from .heads import END, MAX_HEAD_BYTES, BadHead
from .pool import TICK_S, block

# A client's connection without a request. Libraries check whether it is still open before reusing it.
_KEEP_ALIVE_S = 300.0

# For a server that does not answer. Long polls and slow models reach the client's own time-out first.
_SILENT_S = 3600.0

Trailers = list[tuple[bytes, bytes]]

_WAITING = (BlockingIOError, ssl.SSLWantReadError)
_HANG_UP = select.POLLHUP | select.POLLERR
_HALF_CLOSED = getattr(select, "POLLRDHUP", 0)

# Reads and writes of an upload before checking for an answer.
_STEPS_A_TURN = 8


class Gone(OSError):
    """The client no longer waits for an answer."""


class Silent(OSError):
    """The server has not answered in time."""


class Incoming:
    """A client's bytes; `buffer` has what was read but not used yet. `idle` is called while nothing arrives."""

    def __init__(self, stream: socket.socket, *, limits: Limits, idle: Callable[[], None]) -> None:
        self.stream = block(stream, limits)
        self.buffer = b""
        self._limits = limits
        self._idle = idle
        self._half_closed_at = 0.0

    def head(self) -> bytes | None:
        """The next request's head. `None`: the client has disconnected, or was idle for too long.

        Raises: BadHead: too long. OSError: it was cut off, or took too long.
        """
        since, started = 0, time.monotonic()
        while (end := self.buffer.find(END, since)) < 0:
            if len(self.buffer) >= MAX_HEAD_BYTES:
                raise BadHead("the head is too long")
            begun = bool(self.buffer)
            data = self._read(MAX_HEAD_BYTES)
            if data == b"":
                if begun:
                    raise Gone
                return None
            if data and not begun:
                started = time.monotonic()
            # The end mark may have started in earlier data.
            since = max(0, len(self.buffer) - len(END) + 1)
            self.buffer += data or b""
            if not self._patient(time.monotonic() - started):
                return None
        head, self.buffer = self.buffer[: end + len(END)], self.buffer[end + len(END) :]
        return head

    def _read(self, count: int) -> bytes | None:
        """`None`: nothing came within `TICK_S`."""
        try:
            return self.stream.recv(count)
        except BlockingIOError:
            return None

    def _patient(self, waited_s: float) -> bool:
        """Raises: Gone: half a head, for too long."""
        if self.buffer:
            if waited_s > self._limits.greeting_s:
                raise Gone
            return True
        self._idle()
        return waited_s <= _KEEP_ALIVE_S

    def small(self, body: Body) -> bytes:
        """A whole body that is known to be small. Raises: OSError: it was cut off, or took too long."""
        content = body.feed(self.buffer) if self.buffer else b""
        self.buffer = body.rest
        ends_at = time.monotonic() + self._limits.login_s
        while not body.over:
            data = self._read(self._limits.block_bytes)
            if data == b"" or time.monotonic() > ends_at:
                raise Gone
            if data:
                content += body.feed(data)
                self.buffer = body.rest
        return content

    def more(self, ends_at: float) -> None:
        """Reads more into the buffer, until that time (`time.monotonic`). Raises: Gone: nothing came."""
        while not (data := self._read(self._limits.block_bytes)):
            if data == b"" or time.monotonic() > ends_at:
                raise Gone
        self.buffer += data

    def waits(self) -> bool:
        """Whether the client still waits for an answer. After closing its half, it may for `half_close_s`."""
        poll = select.poll()
        poll.register(self.stream, _HALF_CLOSED)
        for _, events in poll.poll(0):
            now = time.monotonic()
            self._half_closed_at = self._half_closed_at or now
            if events & _HANG_UP or now - self._half_closed_at > self._limits.half_close_s:
                return False
        return True

    def drain(self, seconds: float) -> None:
        """Reads and drops what still arrives, so that the client gets the answer and not a reset connection."""
        ends_at = time.monotonic() + seconds
        self.buffer = b""
        self.stream.shutdown(socket.SHUT_WR)
        while time.monotonic() < ends_at:
            if self._read(self._limits.block_bytes) == b"":
                return


class Upload:
    """A request's body being sent, while its answer may already arrive. Both sockets are non-blocking meanwhile."""

    def __init__(
        self,
        client: Incoming,
        upstream: socket.socket,
        body: Body,
        *,
        coded: bool,
        passing: Callable[[Trailers], Trailers],
        limits: Limits,
    ) -> None:
        self.over = False
        self.broken = False
        self._client = client
        self._upstream = upstream
        self._body = body
        self._coded = coded
        self._passing = passing
        self._pending = memoryview(b"")
        self._read_size = ReadSize(limits.block_bytes)
        self._last = False
        client.stream.setblocking(False)
        upstream.setblocking(False)

    def step(self) -> tuple[int, int]:
        """Does one step; returns the events that client and upstream need for the next one (of poll).

        Raises: BadBody. Gone: the client disconnected in the middle.
        """
        for _ in range(_STEPS_A_TURN):
            if self.over:
                return 0, 0
            wants = self._send() if self._pending else self._next()
            if wants is not None:
                return wants
        return select.POLLIN, select.POLLOUT

    def _send(self) -> tuple[int, int] | None:
        try:
            sent = self._upstream.send(self._pending)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0, select.POLLOUT
        except ssl.SSLWantReadError:
            return 0, select.POLLIN
        except OSError:
            # It may have answered before closing; the answer is read next.
            self.broken = self.over = True
            return 0, 0
        self._pending = self._pending[sent:]
        return None

    def _next(self) -> tuple[int, int] | None:
        if self._last:
            self.over = True
            return 0, 0
        data, self._client.buffer = self._client.buffer, b""
        if not data:
            try:
                data = self._client.stream.recv(self._read_size.bytes)
            except BlockingIOError:
                return select.POLLIN, 0
            if not data:
                raise Gone
            self._read_size.came(len(data))
        self._feed(data)
        return None

    def _feed(self, data: bytes) -> None:
        content = self._body.feed(data)
        if self._coded:
            content = chunk(content)
        if self._body.over:
            self._last = True
            self._client.buffer = self._body.rest
            if self._coded:
                content += last_chunk(self._passing(self._body.trailers))
        self._pending = memoryview(content)


# Only Linux has it.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Exchange:
    """Reads from the upstream and writes to the client, and continues an upload meanwhile, if there is one."""

    def __init__(self, client: Incoming, upstream: socket.socket, *, limits: Limits) -> None:
        self._client = client
        self._upstream = upstream
        self._limits = limits
        self._upload: Upload | None = None
        self._read_size = ReadSize(limits.block_bytes)
        self._begun = False

    @property
    def uploading(self) -> bool:
        """Whether a part of the request is still to be sent."""
        return self._upload is not None

    def send(self, data: bytes) -> None:
        """Sends to the upstream, before anything else. Raises: OSError."""
        if isinstance(self._upstream, ssl.SSLSocket):
            self._upstream.settimeout(self._limits.stalled_s)
            self._upstream.sendall(data)
            block(self._upstream, self._limits)
        else:
            self._upstream.sendall(data)

    def upload(self, body: Body, *, coded: bool, passing: Callable[[Trailers], Trailers]) -> None:
        """From now on this body is sent, chunked if `coded`, whenever the exchange waits.

        `passing` selects the trailers to forward.
        """
        self._upload = Upload(
            self._client, self._upstream, body, coded=coded, passing=passing, limits=self._limits
        )

    def receive(self, until: float = math.inf) -> bytes | None:
        """The next block from the upstream; `b""`: its end; `None`: none until `until` (`time.monotonic`).

        Raises: Gone: nobody waits for it. Silent: it does not answer. OSError: the connection failed.
        """
        waiting_since = 0.0
        self._acknowledge()
        while True:
            wants = select.POLLIN
            try:
                data = self._read(until)
            except (*_WAITING, TimeoutError):
                pass
            except ssl.SSLWantWriteError:
                wants = select.POLLOUT
            else:
                self._read_size.came(len(data))
                return data
            now = time.monotonic()
            if now >= until:
                return None
            waiting_since = waiting_since or now
            if self._upload is not None:
                if self._turn(self._upstream, wants, until):
                    waiting_since = now
            elif not self._client.waits():
                raise Gone
            if now - waiting_since > _SILENT_S:
                raise Silent

    def _read(self, until: float) -> bytes:
        """What has arrived, or arrives within `TICK_S` and before that time. Raises: as `recv`."""
        stream, size = self._upstream, self._read_size.bytes
        if until == math.inf or self._upload is not None:
            return stream.recv(size)
        if not isinstance(stream, ssl.SSLSocket):
            with contextlib.suppress(BlockingIOError):
                return stream.recv(size, socket.MSG_DONTWAIT)
        elif stream.pending():
            return stream.recv(size)
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        if not poll.poll(max(0.0, min(until - time.monotonic(), TICK_S)) * 1000):
            raise BlockingIOError
        return stream.recv(size)

    def _acknowledge(self) -> None:
        """Acknowledges earlier reads at once.

        A server that writes head and body in two may wait for our acknowledgement of the first before it sends the
        second (Nagle's algorithm), and we would delay it by 40 ms. It is set for the moment only (tcp(7)).
        """
        if self._begun and _QUICKACK is not None:
            self._upstream.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        self._begun = True

    def answer(self, data: bytes) -> None:
        """Sends to the client. Raises: OSError: it is gone, or accepts nothing."""
        if self._upload is None:
            self._client.stream.sendall(data)
            return
        view = memoryview(data)
        stalled_since = time.monotonic()
        while view and self._upload is not None:
            try:
                view = view[self._client.stream.send(view) :]
                stalled_since = time.monotonic()
            except BlockingIOError:
                self._turn(self._client.stream, select.POLLOUT)
                if time.monotonic() - stalled_since > self._limits.stalled_s:
                    raise Gone from None
        if view:
            # The upload has ended in the meantime, and sends block again.
            self._client.stream.sendall(view)

    def finish(self) -> bool:
        """The answer is complete; returns whether the request is too, so that both connections can be reused."""
        upload, self._upload = self._upload, None
        if upload is None:
            return True
        if not upload.over:
            # The last block may still be waiting.
            upload.step()
        block(self._client.stream, self._limits)
        block(self._upstream, self._limits)
        return upload.over and not upload.broken

    def _turn(self, stream: socket.socket, wants: int, until: float = math.inf) -> bool:
        """Waits until `stream` or the upload can continue, at most `TICK_S` and until that time; returns whether one
        can."""
        upload = self._upload
        assert upload is not None  # noqa: S101 -- for the type checker; its callers have looked
        client_wants, upstream_wants = upload.step()
        if upload.over and not upload.broken:
            self._upload = None
            block(self._client.stream, self._limits)
            block(self._upstream, self._limits)
            return True
        wanted = {self._client.stream.fileno(): client_wants, self._upstream.fileno(): upstream_wants}
        wanted[stream.fileno()] |= wants
        poll = select.poll()
        for descriptor, events in wanted.items():
            if events:
                poll.register(descriptor, events)
        wait_s = max(0.0, min(TICK_S, until - time.monotonic()))
        return bool(poll.poll(wait_s * 1000))
