"""Connections to one origin, kept open between requests under one grant. It does not know what is sent over them."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass

from ...errors import HandleInvalid
from ..downstream import Downstream
from ..limits import Limits
from ..upstream import connect, encrypt, shut
from .origin import Origin

# Servers and the proxies before them close an idle connection after 60 s or more, some after 5. Checked when one is
# taken.
_IDLE_S = 55.0
_IDLE_CONNECTIONS = 32

# How long a read waits before checking whether anybody still waits for the answer.
TICK_S = 1.0


@dataclass(eq=False)
class UpstreamConnection:
    """`used`: it has carried a request, so the server may be just closing it."""

    stream: socket.socket
    used: bool = False
    idle_since: float = 0.0

    def alive(self) -> bool:
        """Whether the server has neither closed it nor sent anything unrequested."""
        poll = select.poll()
        poll.register(self.stream, select.POLLIN)
        return not poll.poll(0)


class Pool:
    """`take` returns an open connection or a new one; `give` returns it to the pool when it is ready for the next
    request."""

    def __init__(self, *, origin: Origin, limits: Limits) -> None:
        self.origin = origin
        self._limits = limits
        self._lock = threading.Lock()
        self._idle: list[UpstreamConnection] = []
        self._closed = False

    def take(self) -> UpstreamConnection:
        """The most recently used one, or a new one. Raises: as `open`."""
        while True:
            with self._lock:
                found = self._idle.pop() if self._idle else None
            if found is None:
                return self.open()
            if time.monotonic() - found.idle_since < _IDLE_S and found.alive():
                return found
            shut(found.stream)

    def open(self) -> UpstreamConnection:
        """A new one. Raises: UpstreamUnreachable, UpstreamRefused, UpstreamTimeout, UpstreamTlsFailed."""
        origin = self.origin
        stream = connect(origin.host, origin.port, timeout_s=self._limits.connect_s)
        if origin.encrypted:
            fields = {"host": origin.host, "sslmode": "verify-full", "ca_certificate": origin.ca_certificate}
            try:
                stream = encrypt(stream, fields, timeout_s=self._limits.login_s)
            except BaseException:
                shut(stream)
                raise
        return UpstreamConnection(block(stream, self._limits))

    def give(self, connection: UpstreamConnection) -> None:
        """Keeps it; if there are too many, closes the oldest."""
        connection.idle_since = time.monotonic()
        connection.used = True
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                too_many = self._idle.pop(0) if len(self._idle) > _IDLE_CONNECTIONS else None
            else:
                too_many = connection
        if too_many is not None:
            shut(too_many.stream)

    def close(self) -> None:
        """Closes idle connections, and each one that is given from now on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            shut(connection.stream)


class Hold:
    """One client's upstream connection, kept from request to request; cutting the client ends it.

    At most one at a time. The caller knows what is sent over it, and whether it may be used again.
    """

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream
        self._held: tuple[Pool, UpstreamConnection] | None = None

    def connection(self, pool: Pool) -> UpstreamConnection:
        """The connection of the last request, if it is still usable; else one from the pool.

        Raises: HandleInvalid: the client was cut. As `Pool.open`.
        """
        held, self._held = self._held, None
        if held is not None:
            if held[0] is pool and held[1].alive():
                self._held = held
                return held[1]
            self._drop(held[1])
        connection = pool.take()
        try:
            self._downstream.adopt(connection.stream)
        except HandleInvalid:
            shut(connection.stream)
            raise
        self._held = pool, connection
        return connection

    def let_go(self) -> None:
        """Closes it: it can't be used for another request."""
        held, self._held = self._held, None
        if held is not None:
            self._drop(held[1])

    def give_back(self) -> None:
        """The client is served: a usable connection goes back to the pool."""
        held, self._held = self._held, None
        if held is not None:
            pool, connection = held
            if self._downstream.disown(connection.stream):
                pool.give(connection)
            else:
                shut(connection.stream)

    def _drop(self, connection: UpstreamConnection) -> None:
        self._downstream.disown(connection.stream)
        shut(connection.stream)


def block(stream: socket.socket, limits: Limits) -> socket.socket:
    """Limits reads to `TICK_S` (then BlockingIOError or TimeoutError) and sends to `stalled_s`.

    By socket options: Python's own time-outs cost one more system call for each read.
    """
    if isinstance(stream, ssl.SSLSocket):
        stream.settimeout(TICK_S)
        return stream
    stream.setblocking(True)
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(TICK_S))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(limits.stalled_s))
    return stream


def _timeval(seconds: float) -> bytes:
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
