"""Accepts clients, each in its own thread: the thread that accepts one serves it. It knows no protocols and no
handles.

If one thread accepted a client and another one served it, the client would wait for the second one to wake up. So
several threads wait for all listeners; one that accepts a client makes sure that another one still waits, serves the
client, and then returns.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor

# A client that takes over its upstream socket makes a second connection, and neither of them should have to start a
# thread.
_WAITING = 3

# Without a free descriptor nobody can be accepted; after this time some client may have left.
_FULL_PAUSE_S = 0.05

Serve = Callable[[socket.socket], None]
"""Receives a client's socket, blocking, and closes it. Never raises."""


class Acceptor:
    """Thread-safe, also while clients connect."""

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
        """Starts accepting clients there."""
        listening.setblocking(False)
        with self._lock:
            self._selector.register(listening, selectors.EVENT_READ, (listening, serve))
            self._see_that_somebody_waits()

    def close(self, listening: socket.socket) -> None:
        """Stops accepting clients there; those already accepted are still served. Harmless when called again."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(listening)
        listening.close()

    def leave(self, listening: socket.socket) -> None:
        """Like `close`, but new clients wait, as somebody else continues to listen there."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(listening)

    def end(self) -> None:
        """Ends all waiting threads."""
        with self._lock:
            self._ended = True
            # All waiting threads wake up.
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
        """Waits for a client; `None`: the acceptor has ended."""
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
                    # Just closed, or no descriptor is left.
                    time.sleep(_FULL_PAUSE_S)
                    continue
                stream.setblocking(True)
                return stream, serve
        return None
