"""Accepts clients, each in a thread of its own: whoever accepts one serves it. No protocol and no handle is known here.

A client that one thread accepts and another one serves waits for the second one to wake up. So some threads wait, at
all acceptors; who lets a client in and serves it sees to it that somebody still waits, and comes back afterwards.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor

# A client that asks for its upstream's socket comes with a second connection, and none of the two wakes a thread then.
_WAITING = 3

# Without a free descriptor nobody can be let in: by then some client may have left.
_FULL_PAUSE_S = 0.05

Serve = Callable[[socket.socket], None]
"""Gets a client's socket, blocking, and closes it. Raises nothing."""


class Acceptor:
    """Safe to use from several threads, also while clients come."""

    def __init__(self, *, threads: Executor) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._waiting = 0
        self._ended = False
        self._bell, ring = socket.socketpair()
        self._ring = ring
        self._selector.register(self._bell, selectors.EVENT_READ)

    def open(self, listening: socket.socket, serve: Serve) -> None:
        """From now on clients are let in there."""
        listening.setblocking(False)
        with self._lock:
            self._selector.register(listening, selectors.EVENT_READ, (listening, serve))
            self._see_that_somebody_waits()

    def close(self, listening: socket.socket) -> None:
        """Nobody is let in there any more; who has been is served on. Harmless a second time."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(listening)
        listening.close()

    def leave(self, listening: socket.socket) -> None:
        """As `close`, but whoever comes waits: somebody else goes on to listen there."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(listening)

    def end(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._ended = True
            # All who wait wake up.
            self._ring.close()
            self._tidy()

    def _tidy(self) -> None:
        if self._ended and not self._waiting:
            self._selector.close()
            self._bell.close()

    def _see_that_somebody_waits(self) -> None:
        if not self._waiting and not self._ended:
            self._waiting += 1
            self._threads.submit(self._run)

    def _run(self) -> None:
        stays = True
        while stays:
            client = self._next()
            with self._lock:
                self._waiting -= 1
                self._see_that_somebody_waits()
                self._tidy()
            if client is not None:
                stream, serve = client
                serve(stream)
            with self._lock:
                stays = self._waiting < _WAITING and not self._ended
                self._waiting += stays

    def _next(self) -> tuple[socket.socket, Serve] | None:
        """Waits for a client; `None`: it is over."""
        while not self._ended:
            for key, _ in self._selector.select():
                if key.data is None:
                    continue
                listening, serve = key.data
                try:
                    stream, _ = listening.accept()
                except BlockingIOError:
                    # Another thread was faster.
                    continue
                except OSError:
                    # Closed just now, or there is no descriptor left.
                    time.sleep(_FULL_PAUSE_S)
                    continue
                stream.setblocking(True)
                return stream, serve
        return None
