"""Reports at once when a process has ended (Linux, by pidfd). The consequences are decided elsewhere.

Children of a kernel may outlive it, with connections that belong to the kernel: a check once a second would be too
late for them. Without pidfd, the timer of `supervision` has to suffice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable


class ProcessExits:
    """`ended` is called in a separate thread, once per name, with the name under which the process was watched."""

    def __init__(self, *, ended: Callable[[str], None], log: logging.Logger) -> None:
        self._ended = ended
        self._log = log
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._names: dict[int, str] = {}
        self._watched: set[str] = set()
        self._woken, self._bell = os.pipe()
        self._poll.register(self._woken, select.POLLIN)
        self._closed = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="broker-ends", daemon=True).start()

    def watch(self, name: str, pid: int) -> None:
        """Watches the process that has this pid now, unless one is watched under this name already."""
        if not hasattr(os, "pidfd_open") or pid <= 0:
            return
        with self._lock:
            if name in self._watched or self._closed:
                return
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:
                # Already gone, or too many open files: the timer will notice.
                return
            self._watched.add(name)
            self._names[descriptor] = name
            self._poll.register(descriptor, select.POLLIN)
        self._ring()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._ring()

    def _ring(self) -> None:
        # poll(2) does not see descriptors that are registered while it waits.
        with contextlib.suppress(OSError):
            os.write(self._bell, b"!")

    def _run(self) -> None:
        while not self._closed:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._woken:
                    os.read(self._woken, 4096)
                    continue
                with self._lock:
                    name = self._names.pop(descriptor)
                    self._watched.discard(name)
                    self._poll.unregister(descriptor)
                    os.close(descriptor)
                try:
                    self._ended(name)
                except Exception as exc:  # noqa: BLE001 -- the others still have to be watched
                    self._log.error("the end of a process could not be noted: %s", type(exc).__name__)
