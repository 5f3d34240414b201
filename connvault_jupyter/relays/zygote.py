"""Forks workers: one process that has imported everything, so that each worker is a copy that takes milliseconds.

    broker                                   zygote
    {"fork": number, "protocol"} + a socket ->
                                         <-  {"forked": number, "pid"} | {"forked": number, "missing": module}
    {"kill": pid}                        ->

It has no threads and never holds a secret: those go directly from the broker to a worker. It is the workers' parent,
so a pid that it kills still belongs to a worker. The end of the pipe ends it and them.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

from . import worker
from .pipe import Pipe, close_all

# Less than the broker waits for the zygote's end, more than a worker needs for its last messages (`FAREWELL_S`).
_FAREWELL_S = 1.5


def run(stream: socket.socket, in_child: Callable[[], object]) -> None:
    """Serves until the broker disconnects. `in_child` is called first in each worker (to redo what a fork undoes)."""
    reaped, ring = os.pipe()
    os.set_blocking(ring, False)
    os.set_blocking(reaped, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    zygote = _Zygote(Pipe(stream), in_child, (reaped, ring))
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    poll.register(reaped, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if reaped in ready:
            zygote.reap()
        if stream.fileno() in ready and not zygote.told():
            zygote.end()
            return


class _Zygote:
    def __init__(self, pipe: Pipe, in_child: Callable[[], object], descriptors: tuple[int, int]) -> None:
        self._pipe = pipe
        self._in_child = in_child
        self._descriptors = descriptors
        self._children: set[int] = set()

    def told(self) -> bool:
        try:
            received = self._pipe.receive()
        except OSError:
            return False
        if received is None:
            return False
        message, descriptors = received
        try:
            if "fork" in message and len(descriptors) == 1:
                self._fork(message["fork"], message["protocol"], descriptors[0])
            elif message.get("kill") in self._children:
                os.kill(message["kill"], signal.SIGKILL)
        finally:
            close_all(descriptors)
        return True

    def reap(self) -> None:
        """Reaps the workers that have ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptors[0], 4096)
        for pid in tuple(self._children):
            found, _ = os.waitpid(pid, os.WNOHANG)
            if found:
                self._children.discard(pid)

    def end(self) -> None:
        """The workers notice the end of their pipes too, and first cut the sockets that they have handed over, which
        nobody else can.

        Also continues stopped ones. A worker that takes too long is killed.
        """
        for pid in self._children:
            os.kill(pid, signal.SIGCONT)
        ends_at = time.monotonic() + _FAREWELL_S
        reaped = select.poll()
        reaped.register(self._descriptors[0], select.POLLIN)
        while self._children and (left_s := ends_at - time.monotonic()) > 0:
            reaped.poll(left_s * 1000)
            self.reap()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, number: int, protocol: str, descriptor: int) -> None:
        # Imported here, so that it is already imported for the next worker of this protocol.
        try:
            worker.module_of(protocol)
        except ImportError as exc:
            self._pipe.send({"forked": number, "missing": exc.name or protocol})
            return
        # Existing objects are shared with the children as long as no garbage collector writes to them.
        gc.collect()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._become_worker(protocol, descriptor)
        self._children.add(pid)
        self._pipe.send({"forked": number, "pid": pid})

    def _become_worker(self, protocol: str, descriptor: int) -> None:
        status = 1
        try:
            self._in_child()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            stream = socket.socket(fileno=os.dup(descriptor))
            close_all([descriptor, self._pipe.fileno(), *self._descriptors])
            worker.run(stream, protocol)
            status = 0
        except BaseException as exc:  # noqa: BLE001 -- never back into the zygote's loop
            print(f"connvault relay: {type(exc).__name__}", file=sys.stderr, flush=True)  # noqa: T201
        finally:
            os._exit(status)
