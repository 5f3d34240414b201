"""The channel to one spawned broker process, and its pending calls. Restarting is up to broker_process.py.

Answers come as futures, in any order; events in between.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any

from ..contracts.frames import MAX_ANSWER_BYTES, Reader, encode
from ..errors import BrokerUnavailable, ConnvaultError, from_problem
from .spawn import Spawned

# More than that wait only if something loops; each holds its frame in memory.
MAX_PENDING = 1000

START_ID = 0


class OperatorClient:
    """One broker process, the channel to it and its pending calls. Calls made before `meet` wait for it."""

    def __init__(self, process: Spawned) -> None:
        self._process = process
        self._stream: socket.socket | None = None
        self.pid: int | None = None
        """The pid of the process that has the keys; `None` until it has answered."""
        self._pending: dict[int, Future[dict[str, Any]]] = {}
        self._pending_lock = threading.Lock()
        self._closed_by: ConnvaultError | None = None
        self._number = START_ID
        # A separate writer thread: callers (an event loop) must not block when the broker reads slowly.
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def meet(self) -> None:
        """Waits for the process, then sends the calls made so far. Raises: ProcessTraced, BrokerUnavailable."""
        self._stream, self.pid = self._process.meet()
        threading.Thread(
            target=self._write, args=(self._stream,), name="connvault-operator-writer", daemon=True
        ).start()

    def ask(
        self,
        operation: str,
        body: Mapping[str, Any],
        actor: str,
        answer: Future[dict[str, Any]],
        *,
        number: int | None = None,
    ) -> None:
        with self._pending_lock:
            if number is None:
                self._number += 1
                number = self._number
            error = self._closed_by
            if error is None and len(self._pending) >= MAX_PENDING:
                error = BrokerUnavailable("Too many requests are waiting for the broker. Try again.")
            if error is None:
                self._pending[number] = answer
        if error is not None:
            answer.set_exception(error)
            return
        try:
            frame = encode({"id": number, "op": operation, "body": body, "actor": actor})
        except ConnvaultError as exc:
            self._settle(number, exc)
            return
        self._outbox.put(frame)

    def read(self, publish: Callable[[Any], None]) -> None:
        """Distributes answers and events until the broker is gone. Call it after `meet`."""
        assert self._stream is not None  # noqa: S101 -- as the docstring says
        reader = Reader(self._stream, max_bytes=MAX_ANSWER_BYTES)
        while True:
            try:
                message = reader.receive()
            except (ConnvaultError, OSError):
                return
            if message is None:
                return
            if "event" in message:
                publish(message["event"])
            elif message.get("ok") is True:
                self._settle(message.get("id"), message.get("body"))
            else:
                self._settle(message.get("id"), _error(message.get("problem")))

    def hang_up(self) -> None:
        """Sends what is queued, then closes our direction, so that the broker finishes and exits."""
        self._outbox.put(None)

    def close(self, error: ConnvaultError) -> None:
        """Reaps the process and fails pending calls."""
        with self._pending_lock:
            self._closed_by = error
            pending, self._pending = self._pending, {}
        for answer in pending.values():
            settle(answer, error)
        self._outbox.put(None)
        if self._stream is None:
            # Nothing may be sent to it any more.
            self.kill()
        else:
            self._stream.close()
        try:
            self._process.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            # It closed its channel but still runs, so nothing could reach it any more.
            self.kill()
            self._process.process.wait()

    def kill(self) -> None:
        """Ends the process by force."""
        self._process.process.kill()

    def _settle(self, number: Any, outcome: Any) -> None:
        with self._pending_lock:
            answer = self._pending.pop(number, None) if isinstance(number, int) else None
        if answer is not None:
            settle(answer, outcome if isinstance(outcome, dict | ConnvaultError) else {})

    def _write(self, stream: socket.socket) -> None:
        while True:
            frame = self._outbox.get()
            try:
                if frame is None:
                    stream.shutdown(socket.SHUT_WR)
                    return
                stream.sendall(frame)
            except OSError:
                return


def settle(answer: Future[dict[str, Any]], outcome: dict[str, Any] | ConnvaultError) -> None:
    """Completes the future, unless the caller has given up."""
    try:
        if isinstance(outcome, ConnvaultError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
    except InvalidStateError:
        # The caller has given up (a cancelled HTTP request).
        return


def _error(problem: Any) -> ConnvaultError:
    if not isinstance(problem, dict):
        return BrokerUnavailable()
    error = from_problem(problem)
    if problem.get("errors"):
        error.details["errors"] = problem["errors"]
    return error


def environment() -> dict[str, str]:
    """The environment of the broker: the owner's, without Jupyter's own variables (which may hold its token)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_"))}
    # Pydantic plugins of any installed package can see what is validated, and here that includes secrets.
    return {**kept, "PYDANTIC_DISABLE_PLUGINS": "__all__"}
