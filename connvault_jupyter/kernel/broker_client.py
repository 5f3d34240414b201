"""The requester's end of the channel: finds the broker, keeps connections to it, sends requests. It does not interpret
operations.

Each call has a connection of its own, so a thread that waits for a person blocks no other one. A connection is never
shared with a forked child, because the broker identifies the requester once per connection. Requests and answers are
not kept, because answers may contain secrets.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .._version import __version__
from ..contracts import frames
from ..errors import BrokerUnavailable, ConnvaultError, InvalidRequest, MalformedFrame, from_problem

# The broker needs at most 2 s to identify a new kernel; anything longer than this is a hang.
ANSWER_TIMEOUT_S = 5.0

# A broker that died is restarted within 0.5 s; a caller must get an error within 1 s.
RECONNECT_S = 0.8
_RETRY_EVERY_S = 0.04

# A signal that arrives just before a system call is only handled when that call returns. So no wait is longer than
# this, and the stop button always works.
_SLICE_S = 0.25

# The broker answers within 100 us. In a virtual machine, waking up takes as long again, so polling for that long first
# pays off: 140 instead of 230 us for a deliver.
_MOMENT_NS = 200_000
_give_way = getattr(os, "sched_yield", lambda: None)

# Above this number, idle connections are closed: a burst of threads must not keep its sockets for ever.
_MAX_IDLE = 8

# These are idempotent.
_REPEATABLE = frozenset(
    {
        "connections.list",
        "providers.list",
        # A repeated suggestion of the same run counts as one.
        "connections.propose",
        "access.deliver",
        "access.open",
        "access.check",
        "access.release",
        "access.revoke_own",
        "audit.list_own",
    }
)

_HOW_TO_START = (
    "This process does not know a connvault broker. Start JupyterLab or Notebook 7 with connvault-jupyter "
    "installed in the server's environment, and open the notebook there."
)


class _Dropped(Exception):
    """The connection ended before an answer came."""


def socket_path_from_environment() -> str | None:
    """The broker's socket path, as set by the server extension; `None` outside such a server."""
    return os.environ.get(frames.SOCKET_VARIABLE) or None


def _look_a_moment(stream: socket.socket) -> None:
    """Returns when there is something to read, or after `_MOMENT_NS`."""
    readable = select.poll()
    readable.register(stream, select.POLLIN)
    until = time.perf_counter_ns() + _MOMENT_NS
    while not readable.poll(0) and time.perf_counter_ns() < until:
        # On a single processor, let the broker run.
        _give_way()


def _wait_for_person(stream: socket.socket, timeout_s: float) -> None:
    """Returns when there is something to read.

    Raises:
        TimeoutError: after `timeout_s`.
    """
    readable = select.poll()
    readable.register(stream, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while not readable.poll(_SLICE_S * 1000):
        if time.monotonic() > deadline:
            raise TimeoutError


class BrokerClient:
    """Sends requests to the broker. Thread-safe, and safe after a fork.

    `locate` is called for the socket's path at each new connection; `None` means that there is no broker.
    """

    def __init__(self, *, locate: Callable[[], str | None] = socket_path_from_environment) -> None:
        self._locate = locate
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._all: set[socket.socket] = set()
        # Also at the end of the process, when nobody else closes idle connections.
        weakref.finalize(self, _end_all, self._all)
        if hasattr(os, "register_at_fork"):
            # Weak: the hook can't be unregistered, and must not keep a client alive.
            reference = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _after_fork(reference))

    def ask(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        timeout_s: float = ANSWER_TIMEOUT_S,
        reconnect_s: float = RECONNECT_S,
    ) -> dict[str, Any]:
        """The body of the broker's answer.

        An idempotent operation is retried once if the broker died in the meantime. An interrupt closes the connection,
        which cancels the request, and continues as `KeyboardInterrupt`. `reconnect_s`: how long to retry while nobody
        listens.

        Raises:
            BrokerUnavailable: there is none, it does not answer within `timeout_s`, or it ended (noticed within 1 s).
            VersionMismatch: the broker belongs to another version of this package.
            ConnvaultError: the broker's error, as its own type.
        """
        request = {"op": operation, "body": dict(body)}
        deadline = time.monotonic() + reconnect_s
        tries = 2 if operation in _REPEATABLE else 1
        while True:
            stream = self._take(deadline, min(timeout_s, ANSWER_TIMEOUT_S))
            failure: BaseException
            try:
                answer = self._exchange(stream, request, timeout_s)
            except _Dropped:
                tries -= 1
                failure = BrokerUnavailable()
            except KeyboardInterrupt:
                # A new exception: the old one's traceback has frames with parts of a secret in their variables.
                tries, failure = 0, KeyboardInterrupt()
            except ConnvaultError as exc:
                tries, failure = 0, exc
            else:
                if answer.get("ok") is True and isinstance(answer.get("body"), dict):
                    self._give_back(stream)
                    found: dict[str, Any] = answer["body"]
                    return found
                if isinstance(answer.get("problem"), dict):
                    self._give_back(stream)
                    raise _problem(answer)
                # The other end speaks another protocol.
                tries, failure = 0, BrokerUnavailable()
            self._discard(stream)
            if tries <= 0:
                raise failure from None

    def close(self) -> None:
        """Closes all connections, which cancels open requests. The client can be used again."""
        with self._lock:
            streams = list(self._all)
            self._all.clear()
            self._idle.clear()
        _end_all(streams)

    def _exchange(self, stream: socket.socket, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        try:
            stream.settimeout(timeout_s)
            frames.send(stream, request)
            if timeout_s > ANSWER_TIMEOUT_S:
                _wait_for_person(stream, timeout_s)
            else:
                _look_a_moment(stream)
            answer = frames.receive(stream, max_bytes=frames.MAX_ANSWER_BYTES)
        except TimeoutError:
            raise BrokerUnavailable(
                f"connvault's broker did not answer within {timeout_s:g} s. See the server log."
            ) from None
        # ValueError: another thread has just closed it, so it has no descriptor.
        except (OSError, ValueError, MalformedFrame):
            raise _Dropped from None
        if answer is None:
            raise _Dropped
        return answer

    def _take(self, deadline: float, hello_s: float) -> socket.socket:
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            if idle is None:
                return self._open(deadline, hello_s)
            if _still_open(idle):
                return idle
            self._discard(idle)

    def _open(self, deadline: float, hello_s: float) -> socket.socket:
        if sys.platform == "win32" or not hasattr(socket, "AF_UNIX"):
            raise BrokerUnavailable(
                "connvault needs Unix sockets with peer credentials. On Windows, use WSL: run JupyterLab "
                "there."
            )
        path = self._locate()
        if path is None:
            raise BrokerUnavailable(_HOW_TO_START)
        frames.check_socket_path(path)
        while True:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with self._lock:
                self._all.add(stream)
            try:
                stream.settimeout(hello_s)
                stream.connect(path)
                answer = self._exchange(
                    stream, {"protocol": frames.PROTOCOL, "version": __version__}, hello_s
                )
                if answer.get("ok") is not True:
                    raise _problem(answer)
                return stream
            except (OSError, _Dropped):
                # Nobody listens (yet): the broker may be restarting on the same path.
                self._discard(stream)
                if time.monotonic() >= deadline:
                    raise BrokerUnavailable from None
                time.sleep(_RETRY_EVERY_S)
            except BaseException:
                self._discard(stream)
                raise

    def _give_back(self, stream: socket.socket) -> None:
        with self._lock:
            if stream in self._all and len(self._idle) < _MAX_IDLE:
                self._idle.append(stream)
                return
        self._discard(stream)

    def _discard(self, stream: socket.socket) -> None:
        with self._lock:
            self._all.discard(stream)
        _end(stream)

    def _forget_after_fork(self) -> None:
        """Closes the child's copies without a shutdown, which would end the parent's connections."""
        streams = list(self._all)
        # The lock may have been held by a thread that the child does not have.
        self._lock = threading.Lock()
        self._idle.clear()
        self._all.clear()
        for stream in streams:
            stream.close()


def _after_fork(reference: weakref.ref[BrokerClient]) -> None:
    client = reference()
    if client is not None:
        client._forget_after_fork()


def _problem(answer: Mapping[str, Any]) -> ConnvaultError:
    problem = answer.get("problem")
    if not isinstance(problem, dict):
        return BrokerUnavailable()
    error = from_problem(problem)
    errors = problem.get("errors")
    if isinstance(error, InvalidRequest) and isinstance(errors, list) and errors:
        error.details["errors"] = errors
    return error


def _still_open(stream: socket.socket) -> bool:
    """Whether the other end is still there: between two requests, it can only have closed the connection."""
    stream.settimeout(0)
    try:
        stream.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _end_all(streams: Iterable[socket.socket]) -> None:
    for stream in tuple(streams):
        _end(stream)


def _end(stream: socket.socket) -> None:
    # Shut down, not only closed: a child may still have a copy, and the broker must notice at once.
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()
