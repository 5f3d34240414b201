"""Accepts clients, each in a thread of its own: whoever accepts one serves it. No protocol and no handle is known here.

A client that one thread accepts and another one serves waits for the second one to wake up. So some threads wait at the
door; whoever goes in to serve sees to it that somebody still does, and comes back to the door afterwards.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor

# Of the threads that come back, so many wait for the next client; the others are free for other doors.
_AT_THE_DOOR = 2

# Without a free descriptor nobody can be let in: by then some client may have left.
_FULL_PAUSE_S = 0.05


class Listener:
    """`serve` gets each client's socket, blocking, and closes it; it raises nothing. `close` may be called anywhere."""

    def __init__(
        self, listening: socket.socket, *, serve: Callable[[socket.socket], None], threads: Executor
    ) -> None:
        self._listening = listening
        self._serve = serve
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting = 1
        self._closed = False
        threads.submit(self._run)

    def close(self) -> None:
        """Nobody is accepted any more; who has been is served on."""
        with self._lock:
            self._closed = True
            # Wakes those who wait. They close it: its number must be nobody else's while they may still use it.
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            if not self._waiting:
                self._listening.close()

    def _run(self) -> None:
        """In a thread that is counted as waiting."""
        stays = True
        while stays:
            stream = self._accept()
            with self._lock:
                self._waiting -= 1
                if self._closed:
                    if not self._waiting:
                        self._listening.close()
                    if stream is not None:
                        stream.close()
                    return
                if not self._waiting:
                    self._waiting += 1
                    self._threads.submit(self._run)
            if stream is not None:
                self._serve(stream)
            with self._lock:
                stays = self._waiting < _AT_THE_DOOR and not self._closed
                self._waiting += stays

    def _accept(self) -> socket.socket | None:
        try:
            return self._listening.accept()[0]
        except OSError:
            # It is closed, or there is no descriptor left.
            time.sleep(0 if self._closed else _FULL_PAUSE_S)
            return None
