"""The broker's end of the zygote: starts it, requests workers, has them killed. It does not know what they do."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Protocol

from ..errors import BrokerUnavailable, ConnvaultError
from .pipe import Pipe, close_all

_FORK_S = 10.0

# The part of the server's environment for workers: how to find libraries and certificates. PG*, AWS_* and proxies
# could send a secret elsewhere, and workers don't need the server's tokens.
_PASSED_ON = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


class StartedProcess(Protocol):
    """A process that is being started, and to which nothing is sent before it has hardened itself."""

    def meet(self) -> tuple[socket.socket, int]:
        """The channel to it, and the pid at the other end. Waits for it. Raises: ConnvaultError."""

    def kill(self) -> None:
        """Ends it by force."""

    def reap(self) -> None:
        """Returns when it has ended, whose channel was closed; by force where it does not follow."""


StartZygote = Callable[[Mapping[str, str]], StartedProcess]
"""(its environment) -> the process. Raises: OSError."""


class ZygoteClient:
    """`over`: the zygote and its workers have ended."""

    def __init__(self, start: StartZygote) -> None:
        """Raises: OSError: it can't be started."""
        self._started = start(environment())
        self._pipe: Future[Pipe] = Future()
        self._lock = threading.Lock()
        self._workers = itertools.count(1)
        self._zygote: dict[int, Future[int]] = {}
        self.over = False
        threading.Thread(target=self._read, name="relay-zygote", daemon=True).start()

    def fork(self, protocol: str, descriptor: socket.socket, pid: Future[int]) -> None:
        """A new worker with this descriptor as its pipe. Raises: BrokerUnavailable."""
        worker = next(self._workers)
        with self._lock:
            self._zygote[worker] = pid
        try:
            pipe = self._pipe.result(_FORK_S)
            pipe.send({"fork": worker, "protocol": protocol}, [descriptor.fileno()])
            pid.result(_FORK_S)
        except (OSError, FutureTimeout):
            raise BrokerUnavailable("A relay can't be started. See the server log.") from None
        finally:
            with self._lock:
                self._zygote.pop(worker, None)

    def kill(self, pid: int) -> None:
        """Ends a worker. It is the zygote's child, so the pid can't belong to another process."""
        with contextlib.suppress(OSError):
            # There is a worker, so there is a pipe.
            self._pipe.result(0).send({"kill": pid})

    def end(self) -> None:
        """Ends the zygote and, through it, its workers; returns when it is gone."""
        try:
            self._pipe.result(0).end()
        except (ConnvaultError, FutureTimeout):
            # It has no workers yet.
            self._started.kill()
        self._started.reap()

    def _read(self) -> None:
        try:
            stream, _ = self._started.meet()
        except ConnvaultError as exc:
            self.over = True
            self._pipe.set_exception(exc)
            self._started.kill()
        else:
            pipe = Pipe(stream)
            self._pipe.set_result(pipe)
            self._listen(pipe)
        # Whoever comes first reaps it.
        self._started.reap()

    def _listen(self, pipe: Pipe) -> None:
        for message, descriptors in pipe.messages():
            close_all(descriptors)
            with self._lock:
                waiting = self._zygote.get(message.get("forked", 0))
            if waiting is None or waiting.done():
                continue
            if "missing" in message:
                waiting.set_exception(_missing(message["missing"]))
            else:
                waiting.set_result(message["pid"])
        self.over = True
        pipe.close()
        with self._lock:
            zygote, self._zygote = self._zygote, {}
        for waiting in zygote.values():
            if not waiting.done():
                waiting.set_exception(OSError("the zygote has ended"))


def _missing(module: object) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The Python package {str(module)[:60]!r} is missing in the Jupyter server's environment. Install "
        "it there; the documentation of connvault-jupyter names the extra."
    )


def environment() -> dict[str, str]:
    """Of the zygote, and so of each worker."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **kept,
        # numpy's linear algebra, which is not used here, would start a thread for each processor, and there must be
        # none when a worker is forked.
        "OPENBLAS_NUM_THREADS": "1",
        # Makes malloc reuse memory for the blocks that are read, searched and sent: mapping new memory for each costs
        # as much as searching it (mallopt(3); free memory beyond that is returned).
        "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
    }
