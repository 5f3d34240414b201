"""The broker's end of the operator channel: many requests at once, answers in any order, events in between.

Only the owner's socketpair is connected, so there is no hello and no identification. It does not interpret operations.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..contracts.events import Event
from ..contracts.frames import MAX_ANSWER_BYTES, Reader, encode
from ..contracts.problem import problem_of
from ..errors import ConnvaultError, MalformedFrame, RequestTooLarge

# A key derivation, a connection test and a verification at the same time, with some reserve.
_WAITING_THREADS = 8

# An owner that does not read for that long will fetch the lists again anyway: events only carry ids.
_MAX_EVENTS = 4096

Answer = Callable[[str, Any, str], dict[str, Any]]
"""(operation, body, actor) -> `{"ok": ...}`; never raises."""


class OperatorChannel:
    """Reads requests and answers them. `waits`: whether an operation needs its own thread."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._reader = Reader(stream)
        self._sending = threading.Lock()
        self._events: queue.Queue[Event] = queue.Queue(_MAX_EVENTS)
        threading.Thread(target=self._push, name="operator-events", daemon=True).start()

    def publish(self, event: Event) -> None:
        """Pushes an event; never blocks, never raises."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            return

    def first(self) -> tuple[Any, Any] | None:
        """(id, body) of the first frame: the settings. `None` if the owner is already gone."""
        message = self._reader.receive()
        return None if message is None else (message.get("id"), message.get("body"))

    def answer(self, number: Any, message: dict[str, Any]) -> None:
        """Sends one answer. `serve` notices if the owner is gone."""
        try:
            frame = encode({"id": number, **message}, max_bytes=MAX_ANSWER_BYTES)
        except RequestTooLarge as exc:
            frame = encode({"id": number, **refusal(exc)})
        self._send(frame)

    def serve(self, answer: Answer, waits: Callable[[str], bool]) -> None:
        """Answers until the owner disconnects or is gone."""
        # Not a `with` block, which would wait at its end for a test that nobody needs any more.
        pool = ThreadPoolExecutor(_WAITING_THREADS, thread_name_prefix="operator")
        try:
            while self._next(answer, waits, pool):
                pass
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _next(self, answer: Answer, waits: Callable[[str], bool], pool: ThreadPoolExecutor) -> bool:
        try:
            message = self._reader.receive()
        except MalformedFrame as exc:
            if self._reader.usable:
                self.answer(None, refusal(exc))
            return self._reader.usable
        except (ConnvaultError, OSError):
            return False
        if message is None:
            return False
        number, operation, actor = message.get("id"), message.get("op"), message.get("actor", "")
        if not isinstance(operation, str) or not isinstance(actor, str):
            self.answer(number, refusal(MalformedFrame()))
        elif waits(operation):
            pool.submit(self._perform, answer, number, operation, message.get("body"), actor)
        else:
            self._perform(answer, number, operation, message.get("body"), actor)
        return True

    def _perform(self, answer: Answer, number: Any, operation: str, body: Any, actor: str) -> None:
        self.answer(number, answer(operation, body, actor))

    def _push(self) -> None:
        while True:
            event = self._events.get()
            self._send(encode({"event": event.model_dump(mode="json")}))

    def _send(self, frame: bytes) -> None:
        try:
            with self._sending:
                self._stream.sendall(frame)
        except OSError:
            return


def refusal(error: ConnvaultError) -> dict[str, Any]:
    """The answer that carries `error` as a Problem."""
    return {"ok": False, "problem": problem_of(error).model_dump(mode="json")}
