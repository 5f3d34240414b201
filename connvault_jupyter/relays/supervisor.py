"""The port `Relays`: keeps the zygote and the lanes, and ends what may not stay open. It runs inside the broker.

What may stay open is looked at anew whenever anything has changed, in this server or in another one on the vault, so
no path by which a permission ends can be forgotten here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..contracts.access import Delivered
from ..contracts.frames import MAX_SOCKET_PATH_BYTES
from ..errors import BrokerUnavailable, ConnvaultError, StorageError
from ..services.ports import Clock, Lock, RelayOrder, RelayPlace
from .forks import Forks, StartZygote
from .lane import Lane, refused
from .option_files import OptionFiles
from .worker import HAND_OVER_SOCKET, SOCKET, SOCKETS

# Another server's revoke is noticed this late; one of this broker at once.
_LOOK_EVERY_S = 0.2

Login = Callable[[socket.socket, RelayOrder], Delivered]
"""(a client's socket, the handle's order) -> a login, after the client was found out. Raises: ConnvaultError."""

_LaneKey = tuple[str, str, str]

Sighted = Callable[[RelayOrder], None]
"""A secret was masked in what a client of this handle got. Raises nothing."""


@dataclass
class _Open:
    order: RelayOrder
    lane: Lane
    directory: Path
    token: str = field(repr=False)
    port: int | None = None


class RelaySupervisor:
    """`directory` is made for the handles' sockets, if it is not too deep for them.

    `still_good` is called with `lock` held; `version` changes when anything has changed that it could depend on, but
    the time and which runs are alive.
    """

    def __init__(
        self,
        *,
        start_zygote: StartZygote,
        directory: Path,
        login: Login,
        sighted: Sighted,
        still_good: Callable[[RelayOrder], bool],
        version: Callable[[], object],
        alive: Callable[[str], bool],
        clock: Clock,
        lock: Lock,
        log: logging.Logger,
    ) -> None:
        self._start_zygote = start_zygote
        self._wanted = directory
        self._login = login
        self._sighted = sighted
        self._still_good = still_good
        self._version = version
        self._alive = alive
        self._clock = clock
        self._broker_lock = lock
        self._log = log
        self._lock = threading.Lock()
        # One for each lane: a stuck worker holds up its own handles only.
        self._turns: dict[_LaneKey, threading.Lock] = {}
        self._forks: Forks | None = None
        self._lanes: dict[_LaneKey, Lane] = {}
        self._open: dict[str, _Open] = {}
        self._base: Path | None = None
        self._option_files = OptionFiles()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._seen: object = None

    def start(self) -> None:
        """Begins to look after what is open. Returns at once."""
        threading.Thread(target=self._look, name="relay-watch", daemon=True).start()

    def changed(self) -> None:
        """Something has changed: what is open is looked at, now. Never blocks."""
        self._changed.set()

    def warm(self) -> None:
        """Starts the zygote, if it does not run. Never blocks."""
        if self._forks is None or self._forks.over:
            threading.Thread(target=self._warm, name="relay-warm", daemon=True).start()

    def open(self, order: RelayOrder) -> RelayPlace:
        """The place of a handle. Raises: BrokerUnavailable."""
        handle = handle_id(order.ref, order.grant_id)
        with self._lock:
            turn = self._turns.setdefault(_key(order), threading.Lock())
        with turn:
            found = self._listening(handle, order)
        name = SOCKETS.get(order.protocol, SOCKET)
        place = RelayPlace(
            directory=str(found.directory),
            socket=str(found.directory / name),
            port=found.port if order.tcp else None,
            token=found.token,
            hand_over=hasattr(socket, "SO_PEERCRED"),
        )
        try:
            self._option_files.write(order.protocol, place, run=order.requester.instance)
        except OSError as exc:
            raise BrokerUnavailable("The option files of a handle can't be written.") from exc
        return place

    def try_login(self, protocol: str, login: Mapping[str, Any], timeout_s: float) -> str:
        """Logs in once, in a worker of its own that ends with it: what the server calls itself.

        Raises: UpstreamError and its kinds, BrokerUnavailable.
        """
        lane = self._new_lane(protocol, None)
        try:
            return lane.try_login(login, timeout_s)
        finally:
            lane.end()

    def close(self) -> None:
        """Ends everything."""
        self._closed.set()
        self._changed.set()
        with self._lock:
            lanes, self._lanes = list(self._lanes.values()), {}
            self._open = {}
            forks, self._forks = self._forks, None
        for lane in lanes:
            lane.end()
        if forks is not None:
            forks.end()
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)

    def _listening(self, handle: str, order: RelayOrder) -> _Open:
        """The worker is asked each time: one that is just being killed would still take a client, and lose it."""
        before = self._open.get(handle)
        found = self._joined(handle, order) if before is None or before.lane.over else before
        try:
            self._ask_to_listen(handle, found, tcp=order.tcp)
        except BrokerUnavailable:
            if not found.lane.over:
                raise
            # It has ended; or another handle of its lane was cut, and it was killed for not following in time.
            found = self._joined(handle, order)
            self._ask_to_listen(handle, found, tcp=order.tcp)
        if found is not before:
            # The permission may have ended while the place was made.
            self._changed.set()
        return found

    def _joined(self, handle: str, order: RelayOrder) -> _Open:
        key = _key(order)
        with self._lock:
            # At one go: a lane whose last handle ends just now is ended with it.
            lane = self._lanes.get(key)
            if lane is not None and not lane.over:
                return self._entered(handle, order, lane)
        lane = self._new_lane(order.protocol, key)
        with self._lock:
            self._lanes[key] = lane
            return self._entered(handle, order, lane)

    def _ask_to_listen(self, handle: str, found: _Open, *, tcp: bool) -> None:
        try:
            found.port = found.lane.listen(
                handle,
                directory=str(found.directory),
                token=found.token,
                fields=found.order.fields,
                tcp=tcp,
            )
        except ConnvaultError:
            self._drop(handle, found)
            raise

    def _entered(self, handle: str, order: RelayOrder, lane: Lane) -> _Open:
        """Before it listens: the first client may ask for its login at once. Called with the own lock."""
        token = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        found = self._open[handle] = _Open(order, lane, self._directory(handle), token)
        return found

    def _new_lane(self, protocol: str, key: _LaneKey | None) -> Lane:
        """`key`: whose logins it may ask for; `None`: nobody's."""
        forks = self._running()
        pid: Future[int] = Future()

        def kill() -> None:
            if pid.done() and pid.exception() is None:
                forks.kill(pid.result())

        return Lane(
            fork=lambda descriptor: forks.fork(protocol, descriptor, pid),
            kill=kill,
            answer=lambda handle, client: self._answer(key, handle, client),
            sighted=self._note_sight,
            log=self._log,
        )

    def _answer(self, key: _LaneKey | None, handle: str, client: socket.socket) -> Mapping[str, Any]:
        found = self._open.get(handle)
        if found is None or _key(found.order) != key:
            raise refused()
        delivered = self._login(client, found.order)
        return {
            "fields": dict(delivered.fields),
            "secrets": {name: secret.get_secret_value() for name, secret in delivered.secrets.items()},
            "revision": delivered.revision,
            "rotation": delivered.rotation,
        }

    def _note_sight(self, handle: str) -> None:
        found = self._open.get(handle)
        if found is not None:
            self._sighted(found.order)

    def _running(self) -> Forks:
        with self._lock:
            if self._closed.is_set():
                raise BrokerUnavailable
            if self._forks is None or self._forks.over:
                try:
                    self._forks = Forks(self._start_zygote)
                except OSError as exc:
                    raise BrokerUnavailable("The relays' process can't be started.") from exc
            return self._forks

    def _warm(self) -> None:
        with contextlib.suppress(BrokerUnavailable):
            self._running()

    def _directory(self, handle: str) -> Path:
        """Called with the own lock."""
        if self._base is None:
            self._base = self._made(handle)
        directory = self._base / handle
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        return directory

    def _made(self, handle: str) -> Path:
        """The folder for all handles' own."""
        longest = max(map(len, (*SOCKETS.values(), HAND_OVER_SOCKET)))
        if len(os.fsencode(self._wanted)) + len(handle) + longest + 2 > MAX_SOCKET_PATH_BYTES:
            return Path(tempfile.mkdtemp(prefix="cv-", dir="/tmp"))  # 0700, and short everywhere
        # What a broker that was killed has left there is nobody's any more.
        shutil.rmtree(self._wanted, ignore_errors=True)
        self._wanted.mkdir(mode=0o700)
        return self._wanted

    def _look(self) -> None:
        while not self._closed.is_set():
            poked = self._changed.wait(_LOOK_EVERY_S)
            self._changed.clear()
            try:
                self._cut_what_ended(poked=poked)
                self._option_files.tidy(self._alive)
            except Exception as exc:  # noqa: BLE001 -- the watch must go on
                self._log.error("the relays' watch failed: %s", type(exc).__name__)

    def _cut_what_ended(self, *, poked: bool) -> None:
        with self._lock:
            opened = dict(self._open)
        if not opened:
            return
        # Time and the end of a run need neither the broker's lock nor its database, which other processes can hold.
        now = self._clock()
        runs = {one.order.requester.instance for one in opened.values()}
        over = {instance for instance in runs if not self._alive(instance)}
        for handle, one in tuple(opened.items()):
            expires_at = one.order.expires_at
            if one.order.requester.instance in over or (expires_at is not None and expires_at <= now):
                del opened[handle]
                self._drop(handle, one)
        with self._broker_lock:
            try:
                version = self._version()
            except StorageError:
                # As if everything had changed, each time, until it can be read again.
                version, poked = None, True
            if not poked and version == self._seen:
                return
            ended = [
                (handle, one)
                for handle, one in opened.items()
                if one.lane.over or not self._still_good(one.order)
            ]
            self._seen = version
        for handle, one in ended:
            self._drop(handle, one)

    def _drop(self, handle: str, found: _Open) -> None:
        with self._lock:
            if self._open.get(handle) is not found:
                # Opened again meanwhile, in the same directory.
                return
            del self._open[handle]
            shutil.rmtree(found.directory, ignore_errors=True)
            last = not any(one.lane is found.lane for one in self._open.values())
            if last:
                for key in [key for key, lane in self._lanes.items() if lane is found.lane]:
                    del self._lanes[key]
                    self._turns.pop(key, None)
        if last:
            # Nobody may use what it keeps (warm logins, tokens) any more.
            found.lane.retire(handle)
        else:
            found.lane.cut(handle)


def _key(order: RelayOrder) -> _LaneKey:
    # What a worker keeps (warm logins, access tokens, sockets that came back and of which code may have copies) was
    # opened under one grant, and nobody else's client gets it.
    return order.requester.instance, order.connection_id, order.grant_id


def handle_id(ref: str, grant_id: str) -> str:
    """The name of a handle between broker and worker, and of its directory. The same after a restart.

    A ref whose row was led to another grant is another handle, and the one that was opened before ends.
    """
    return hashlib.sha256(f"connvault-handle-2\0{ref}\0{grant_id}".encode()).hexdigest()[:12]
