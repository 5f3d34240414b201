"""The broker's end of one worker: its handles, requests for logins, and handed-over sockets. It decides nothing.

A worker is for one connection under one grant, in one run: memory, warm logins and crashes are never shared with
others, and everything opened in it ends with its last handle, even if others have copies.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from ..contracts.relay_wire import problem_of
from ..errors import (
    BrokerUnavailable,
    ConnvaultError,
    HandleInvalid,
    from_problem,
)
from .client_sockets import ClientSockets, ended
from .pipe import Pipe, close_all
from .upstream import shut
from .worker import FAREWELL_S, KEPT

# A worker answers at once; one that doesn't is stuck.
_ANSWER_S = 5.0

# Cutting takes a worker a millisecond, 20 on a very busy machine. The promise is 100 ms: after its last handle, a
# worker that takes longer is killed.
_CUT_S = 0.08

# A session that waits in the worker for the next handle.
_NO_HANDLE = ""

Answer = Callable[[str, socket.socket], Mapping[str, Any]]
"""(handle, the client's socket) -> the login as it crosses the pipe. Raises: ConnvaultError."""

Sighted = Callable[[str], None]
"""(handle): its worker has masked a secret in what a client received. Never raises."""

Left = Callable[[str, socket.socket], None]
"""(handle, its port's socket): the worker no longer listens there; the receiver must close the socket."""


class WorkerClient:
    """`fork` gives the descriptor to a new worker; `kill` ends it by force. Thread-safe."""

    def __init__(
        self,
        *,
        fork: Callable[[socket.socket], None],
        kill: Callable[[], None],
        answer: Answer,
        sighted: Sighted,
        left: Left,
        log: logging.Logger,
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                fork(theirs)
            except BaseException:
                ours.close()
                raise
        self._pipe = Pipe(ours)
        self._kill = kill
        self._answer = answer
        self._sighted = sighted
        self._left = left
        self._log = log
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[tuple[str, object], Future[dict[str, Any]]] = {}
        self._handed: dict[int, tuple[str, socket.socket]] = {}
        self._clients = ClientSockets()
        self._telling = threading.Lock()
        self._untold: deque[str] = deque()
        self._over = False
        threading.Thread(target=self._read, name="relay-worker-client", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether its worker has ended."""
        return self._over

    def listen(
        self, handle: str, *, directory: str, token: str, fields: Mapping[str, Any], tcp: bool
    ) -> int | None:
        """Lets the worker listen for a handle, or also on TCP; returns the port. Raises: BrokerUnavailable."""
        answer = self._ask(
            ("listening", handle),
            {"listen": handle, "directory": directory, "token": token, "fields": dict(fields), "tcp": tcp},
            _ANSWER_S,
        )
        if answer.get("failed"):
            raise BrokerUnavailable("A socket for this handle can't be created. Check JUPYTER_RUNTIME_DIR.")
        port = answer["port"]
        return port if isinstance(port, int) else None

    def try_login(self, login: Mapping[str, Any], timeout_s: float) -> str:
        """Logs in once and disconnects; returns the server's product and version. Raises: UpstreamError ...,
        BrokerUnavailable."""
        number = next(self._numbers)
        answer = self._ask(("tried", number), {"try": number, "login": login}, timeout_s)
        if "problem" in answer:
            raise from_problem(answer["problem"])
        return str(answer["server"])

    def in_use(self) -> Collection[str]:
        """The handles with a logged-in client."""
        with self._lock:
            handed = {of for of, stream in self._handed.values() if of != _NO_HANDLE and not ended(stream)}
            return handed.union(self._clients.owners())

    def shut(self, handle: str) -> None:
        """Ends the clients of a handle with the broker's own copies, without the worker."""
        with self._lock:
            handed = [stream for of, stream in self._handed.values() if of == handle]
            self._clients.end(handle)
        for stream in handed:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def cut(self, handle: str) -> None:
        """Ends the clients of a handle, and tells the worker. Never waits, so that its other handles continue."""
        self.shut(handle)
        self._untold.append(handle)
        # The holder of the lock tells the worker, now or with its next message; no more logins are given for this
        # handle anyway.
        if self._telling.acquire(blocking=False):
            try:
                self._tell_of_cuts(self._pipe.offer)
            except OSError:
                pass  # It has ended.
            finally:
                self._telling.release()

    def retire(self, handle: str) -> None:
        """Cuts its last handle and lets the worker end on its own, which takes a moment. If it does not end, it is
        killed, as a query of it may still be running at the server."""
        self.shut(handle)
        try:
            self._ask(("cut", handle), {"cut": handle}, _CUT_S, send=self._offered)
        except BrokerUnavailable:
            self.end()
            return
        killing = threading.Timer(2 * FAREWELL_S, self._kill)
        killing.daemon = True
        killing.start()
        self._pipe.end()
        self._forget()

    def end(self) -> None:
        """Ends the worker and everything that it has opened or handed over, at once."""
        self._kill()
        self._pipe.end()
        self._forget()

    def _tell_of_cuts(self, send: Callable[[Mapping[str, Any]], bool]) -> None:
        while self._untold and send({"cut": self._untold[0]}):
            self._untold.popleft()

    def _sent(self, message: Mapping[str, Any]) -> bool:
        self._pipe.send(message)
        return True

    def _offered(self, message: Mapping[str, Any]) -> bool:
        if not self._pipe.offer(message):
            raise OSError("the worker does not read")
        return True

    def _ask(
        self,
        sign: tuple[str, object],
        message: Mapping[str, Any],
        timeout_s: float,
        *,
        send: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> dict[str, Any]:
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._over:
                raise BrokerUnavailable
            self._waiting[sign] = answer
        send = send or self._sent
        try:
            if not self._telling.acquire(timeout=timeout_s):
                raise BrokerUnavailable
            try:
                # In order, as a handle that was cut may be opened again.
                self._tell_of_cuts(send)
                send(message)
            finally:
                self._telling.release()
            return answer.result(timeout_s)
        except (OSError, FutureTimeout):
            raise BrokerUnavailable from None
        finally:
            with self._lock:
                self._waiting.pop(sign, None)

    def _read(self) -> None:
        for message, descriptors in self._pipe.messages():
            try:
                self._told(message, descriptors)
            except OSError:
                # It does not read, or is gone: the next receive will tell.
                continue
            except Exception as exc:  # noqa: BLE001 -- a worker's nonsense must not end the broker's thread
                self._log.error("a relay sent an unknown message: %s", type(exc).__name__)
            finally:
                close_all(descriptors)
        self._forget()
        self._pipe.close()

    def _told(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "login" in message:
            self._answer_login(message["login"], *descriptors)
        elif "handed" in message:
            self._keep(message["handed"], message["handle"], *descriptors)
        elif "returned" in message:
            self._let_go(message["returned"], kept=message["kept"])
        elif "sighted" in message:
            self._sighted(message["sighted"])
        elif "left" in message:
            (listening,) = descriptors
            self._left(message["left"], socket.socket(fileno=os.dup(listening)))
        else:
            for kind in ("listening", "cut", "tried"):
                with self._lock:
                    waiting = self._waiting.get((kind, message.get(kind)))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)

    def _answer_login(self, handle: str, asks: int, waits: int) -> None:
        with socket.socket(fileno=os.dup(asks)) as client, socket.socket(fileno=os.dup(waits)) as line:
            # Before the answer, so that a handle that ends in the meantime also ends the client.
            with self._lock:
                kept = not self._over and self._clients.keep(handle, client)
            try:
                answer: dict[str, Any] = {"login": self._answer(handle, client)}
            except ConnvaultError as exc:
                answer = {"problem": problem_of(exc)}
                if kept:
                    with self._lock:
                        self._clients.drop(client)
            Pipe(line).send(answer)

    def _keep(self, number: int, handle: str, descriptor: int, waits: int) -> None:
        """The worker hands over the socket only after it is told that a copy is kept here."""
        stream = socket.socket(fileno=os.dup(descriptor))
        with self._lock:
            kept = not self._over
            if kept:
                self._close_what_ended(stream)
                self._handed[number] = (handle, stream)
        if not kept:
            shut(stream)
            return
        with socket.socket(fileno=os.dup(waits)) as line:
            line.send(KEPT)

    def _let_go(self, number: int, *, kept: bool) -> None:
        """A session that was given back belongs to the grant, not to a handle; its former user may have a copy.

        So it is ended with the worker, even if that is killed; one that was not given back is ended at once.
        """
        with self._lock:
            found = self._handed.pop(number, None)
            if found is not None and kept:
                self._handed[number] = (_NO_HANDLE, found[1])
                return
        if found is not None:
            # Shut down, not only closed: the worker may be killed before it ends the session.
            shut(found[1])

    def _close_what_ended(self, next_one: socket.socket) -> None:
        """Closes copies of sessions that were given back and are now handed over again, or have been ended by the
        worker.

        Called with the lock held."""
        again = os.fstat(next_one.fileno()).st_ino
        for number, (of, stream) in list(self._handed.items()):
            if of == _NO_HANDLE and (os.fstat(stream.fileno()).st_ino == again or ended(stream)):
                del self._handed[number]
                stream.close()

    def _forget(self) -> None:
        with self._lock:
            self._over = True
            handed, self._handed = self._handed, {}
            waiting, self._waiting = self._waiting, {}
            self._clients.end_all()
        for _, stream in handed.values():
            shut(stream)
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(OSError("the worker has ended"))


def refused() -> HandleInvalid:
    """The error for a client of a handle that the broker has already ended."""
    return HandleInvalid(reason="revoked")


def gone() -> HandleInvalid:
    """The error for a program that still connects to a handle's port; the program is no longer identified."""
    return HandleInvalid(
        "This handle has ended: it was revoked or released, its permission expired, or connvault was "
        "locked. Call connection() again.",
        reason="revoked",
    )
