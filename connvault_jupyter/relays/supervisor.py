"""The port `Relays`: runs the zygote and the workers, and ends connections that may not stay open. It runs inside the
broker.

Open connections are checked again whenever anything has changed, in this server or in another one on the vault, so no
way in which a permission ends can be missed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..contracts.relay_wire import SOCKET, SOCKETS
from ..errors import BrokerUnavailable, ConnvaultError, StorageError
from ..services.ports import Clock, Lock
from ..services.relay_ports import RelayEndpoint, RelayOrder
from .broker_answers import BrokerAnswers
from .ended_ports import EndedPorts
from .handle_directories import HandleDirectories
from .keyed_locks import KeyedLocks
from .option_files import OptionFiles
from .worker_client import WorkerClient, gone, refused
from .zygote_client import StartZygote, ZygoteClient

# A revoke by another server is noticed within this time, one by this broker at once.
_LOOK_EVERY_S = 0.2

# Ended handles for which a slow worker may still listen.
_DROPPED = 256

_WorkerKey = tuple[str, str, str]


@dataclass
class _Open:
    order: RelayOrder
    worker: WorkerClient
    directory: Path
    token: str = field(repr=False)
    port: int | None = None


class RelaySupervisor:
    """`directory` is created for the handles' sockets, unless it is too deep for them. `lock` is the broker's."""

    def __init__(
        self,
        *,
        start_zygote: StartZygote,
        directory: Path,
        broker: BrokerAnswers,
        clock: Clock,
        lock: Lock,
        log: logging.Logger,
    ) -> None:
        self._start_zygote = start_zygote
        self._directories = HandleDirectories(directory)
        self._broker = broker
        self._clock = clock
        self._broker_lock = lock
        self._log = log
        self._lock = threading.Lock()
        # One for each worker: a stuck worker delays only its own handles.
        self._openings: KeyedLocks[_WorkerKey] = KeyedLocks()
        self._zygote: ZygoteClient | None = None
        self._workers: dict[_WorkerKey, WorkerClient] = {}
        self._open: dict[str, _Open] = {}
        # Their workers may not have reacted yet.
        self._dropped: dict[str, RelayOrder] = {}
        self._ended_ports = EndedPorts()
        self._option_files = OptionFiles()
        # Two threads check: the holder of the broker's lock may be waiting for a blocked database, and handles that
        # are known to have ended must not wait for that.
        self._ended = threading.Event()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._seen: object = None

    def start(self) -> None:
        """Starts checking open connections. Returns at once."""
        for name, poke, look in (
            ("relay-watch-ended", self._ended, self._cut_what_ended),
            ("relay-watch-changed", self._changed, self._cut_what_changed),
        ):
            threading.Thread(target=self._look, args=(poke, look), name=name, daemon=True).start()

    def changed(self) -> None:
        """Something has changed: checks open connections now. Never blocks."""
        self._ended.set()
        self._changed.set()

    def warm(self) -> None:
        """Starts the zygote unless it runs. Never blocks."""
        if self._zygote is None or self._zygote.over:
            threading.Thread(target=self._warm, name="relay-warm", daemon=True).start()

    def open(self, order: RelayOrder) -> RelayEndpoint:
        """The endpoint of a handle. Raises: BrokerUnavailable."""
        handle = handle_id(order.ref, order.grant_id)
        with self._openings.of(_key(order)):
            found = self._listening(handle, order)
        name = SOCKETS.get(order.protocol, SOCKET)
        endpoint = RelayEndpoint(
            directory=str(found.directory),
            socket=str(found.directory / name),
            port=found.port if order.tcp else None,
            token=found.token,
            hand_over=hasattr(socket, "SO_PEERCRED"),
        )
        try:
            self._option_files.write(order.protocol, endpoint, run=order.requester.instance)
        except OSError as exc:
            raise BrokerUnavailable("The option files of a handle can't be written.") from exc
        return endpoint

    def in_use(self) -> Collection[str]:
        """See `services.relay_ports.Relays`."""
        opened = self._opened()
        busy = {worker: worker.in_use() for worker in {one.worker for one in opened.values()}}
        return {one.order.ref for handle, one in opened.items() if handle in busy[one.worker]}

    def try_login(self, protocol: str, login: Mapping[str, Any], timeout_s: float) -> str:
        """Logs in once, in a worker that ends with it; returns the server's product and version.

        Raises: UpstreamError and its kinds, BrokerUnavailable.
        """
        worker = self._new_worker(protocol, None)
        try:
            return worker.try_login(login, timeout_s)
        finally:
            worker.end()

    def close(self) -> None:
        """Ends everything."""
        self._closed.set()
        self.changed()
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
            self._open = {}
            zygote, self._zygote = self._zygote, None
        for worker in workers:
            worker.end()
        self._ended_ports.close()
        if zygote is not None:
            zygote.end()
        self._directories.remove()

    def _listening(self, handle: str, order: RelayOrder) -> _Open:
        """Asks the worker each time: one that is being killed would still accept a client, and lose it."""
        before = self._open.get(handle)
        found = self._joined(handle, order) if before is None or before.worker.over else before
        try:
            self._ask_to_listen(handle, found, tcp=order.tcp)
        except BrokerUnavailable:
            if not found.worker.over:
                raise
            # It has ended in the meantime.
            found = self._joined(handle, order)
            self._ask_to_listen(handle, found, tcp=order.tcp)
        if found is not before:
            # The permission may have ended while the endpoint was created.
            self.changed()
        return found

    def _joined(self, handle: str, order: RelayOrder) -> _Open:
        key = _key(order)
        with self._lock:
            # Atomically: a worker whose last handle is just ending ends with it.
            worker = self._workers.get(key)
            if worker is not None and not worker.over:
                return self._entered(handle, order, worker)
        worker = self._new_worker(order.protocol, key)
        with self._lock:
            if not self._closed.is_set():
                self._workers[key] = worker
                return self._entered(handle, order, worker)
        # `close` has missed it.
        worker.end()
        raise BrokerUnavailable

    def _ask_to_listen(self, handle: str, found: _Open, *, tcp: bool) -> None:
        try:
            found.port = found.worker.listen(
                handle,
                directory=str(found.directory),
                token=found.token,
                fields=found.order.fields,
                tcp=tcp,
            )
        except ConnvaultError:
            self._drop(handle, found)
            raise

    def _entered(self, handle: str, order: RelayOrder, worker: WorkerClient) -> _Open:
        """Before it listens, as the first client may ask for its login at once. Called with `self._lock` held."""
        token = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        found = self._open[handle] = _Open(order, worker, self._directories.fresh(handle), token)
        return found

    def _new_worker(self, protocol: str, key: _WorkerKey | None) -> WorkerClient:
        """`key`: for which logins it may ask; `None`: none."""
        zygote = self._running()
        pid: Future[int] = Future()

        def kill() -> None:
            if pid.done() and pid.exception() is None:
                zygote.kill(pid.result())

        return WorkerClient(
            fork=lambda descriptor: zygote.fork(protocol, descriptor, pid),
            kill=kill,
            answer=lambda handle, client: self._answer(key, handle, client),
            sighted=self._note_sight,
            left=self._keep_port,
            log=self._log,
        )

    def _answer(self, key: _WorkerKey | None, handle: str, client: socket.socket) -> Mapping[str, Any]:
        found = self._open.get(handle)
        if found is None or _key(found.order) != key:
            self._say_why_not(key, handle, client)
            raise refused()
        delivered = self._broker.login(client, found.order)
        return {
            "fields": dict(delivered.fields),
            "secrets": {name: secret.get_secret_value() for name, secret in delivered.secrets.items()},
            "revision": delivered.revision,
            "rotation": delivered.rotation,
        }

    def _say_why_not(self, key: _WorkerKey | None, handle: str, client: socket.socket) -> None:
        """Raises: ConnvaultError: why a handle has ended that a slow worker still listens for."""
        order = self._dropped.get(handle)
        if order is not None and _key(order) == key:
            self._broker.login(client, order)

    def _note_sight(self, handle: str) -> None:
        found = self._open.get(handle)
        if found is not None:
            self._broker.sighted(found.order)

    def _keep_port(self, handle: str, listening: socket.socket) -> None:
        order = self._dropped.get(handle)
        if order is None:
            listening.close()
            return
        from .http.problem_responses import form_of, problem_answer

        form = form_of(order.fields)
        self._ended_ports.keep(
            listening,
            lambda accepts, body: problem_answer(gone(), form=form, accepts=[accepts], body=body, close=True),
        )

    def _running(self) -> ZygoteClient:
        with self._lock:
            if self._closed.is_set():
                raise BrokerUnavailable
            if self._zygote is None or self._zygote.over:
                try:
                    self._zygote = ZygoteClient(self._start_zygote)
                except OSError as exc:
                    raise BrokerUnavailable(
                        "The relays' process can't be started. See the server log."
                    ) from exc
            return self._zygote

    def _warm(self) -> None:
        with contextlib.suppress(BrokerUnavailable):
            self._running()

    def _look(self, poke: threading.Event, look: Callable[[bool], None]) -> None:
        while not self._closed.is_set():
            poked = poke.wait(_LOOK_EVERY_S)
            poke.clear()
            try:
                look(poked)
            except Exception as exc:  # noqa: BLE001 -- the watch must go on
                self._log.error("the relays' watch failed: %s", type(exc).__name__)

    def _cut_what_ended(self, _poked: bool) -> None:
        """Uses neither the broker's lock nor its database, which other processes can block."""
        opened = self._opened()
        now = self._clock()
        runs = {one.order.requester.instance for one in opened.values()}
        over = {instance for instance in runs if not self._broker.alive(instance)}
        self._end(
            {
                handle: one
                for handle, one in opened.items()
                if one.order.requester.instance in over
                or (one.order.expires_at is not None and one.order.expires_at <= now)
                or self._broker.has_ended(one.order)
            }
        )
        self._option_files.tidy(self._broker.alive)

    def _cut_what_changed(self, poked: bool) -> None:
        opened = self._opened()
        if not opened:
            return
        with self._broker_lock:
            try:
                version = self._broker.version()
            except StorageError:
                # Treats everything as changed until the database can be read again.
                version, poked = None, True
            if not poked and version == self._seen:
                return
            ended = {
                handle: one
                for handle, one in opened.items()
                if one.worker.over or not self._broker.still_good(one.order)
            }
            self._seen = version
        self._end(ended)

    def _end(self, ended: Mapping[str, _Open]) -> None:
        # Ends all of them before waiting for any worker.
        for handle, one in ended.items():
            one.worker.shut(handle)
        for handle, one in ended.items():
            self._drop(handle, one)

    def _opened(self) -> dict[str, _Open]:
        with self._lock:
            return dict(self._open)

    def _drop(self, handle: str, found: _Open) -> None:
        with self._lock:
            if self._open.get(handle) is not found:
                # Reopened in the meantime, in the same directory.
                return
            del self._open[handle]
            self._dropped[handle] = found.order
            if len(self._dropped) > _DROPPED:
                del self._dropped[next(iter(self._dropped))]
            shutil.rmtree(found.directory, ignore_errors=True)
            last = not any(one.worker is found.worker for one in self._open.values())
            if last:
                for key in [key for key, worker in self._workers.items() if worker is found.worker]:
                    del self._workers[key]
        if last:
            # Nobody may use what it still keeps (warm logins, tokens).
            found.worker.retire(handle)
        else:
            found.worker.cut(handle)


def _key(order: RelayOrder) -> _WorkerKey:
    # What a worker keeps (warm logins, access tokens, returned sockets of which code may have copies) was opened under
    # one grant, so no client of another grant may get it.
    return order.requester.instance, order.connection_id, order.grant_id


def handle_id(ref: str, grant_id: str) -> str:
    """The name of a handle between broker and worker, and of its directory. The same after a restart.

    A ref whose row now names another grant is another handle, and the one opened earlier ends.
    """
    return hashlib.sha256(f"connvault-handle-2\0{ref}\0{grant_id}".encode()).hexdigest()[:12]
