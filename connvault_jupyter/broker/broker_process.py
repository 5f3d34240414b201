"""The owner's side of a broker process: spawns it, talks to it, restarts it. It never sees a key.

Uses threads and futures, no event loop, so that a server (by `call_soon_threadsafe`), a command line and a test can
all use it. The code of the spawned process is in `main`. This module does not import pydantic, because a server
imports it while starting and needs the contracts only later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    BrokerUnavailable,
    ConnvaultError,
    ProcessTraced,
    StorageBusy,
)
from .operator_client import MAX_PENDING, START_ID, OperatorClient, environment, settle
from .pid_namespaces import PidNamespaces
from .spawn import Spawned, Spawner

if TYPE_CHECKING:
    from ..contracts.events import Event
    from ..contracts.supervision import BrokerReady, BrokerSettings
    from .locks import Held
    from .refusing_listener import RefusingListener

# A crash at start must not keep a processor busy; a crash once a day should go unnoticed.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_HEALTHY_AFTER_S = 30.0

# Failed starts in a row, half a minute with the pauses, after which there is no automatic restart. Temporary causes (a
# busy database, a debugger) are over by then.
_MAX_STARTS = 12
_PASSING = (ProcessTraced, StorageBusy)

# A person who reloads the page may have fixed the cause; a page that polls must not restart it in a loop.
_AGAIN_AFTER_S = 5.0

_NEVER_UP = (
    "connvault's broker stops as soon as it starts. See the server log, then reload the page to try again."
)

START = "start"

# A broker loses these when it dies; the last body of each is sent to the next one.
_TOLD_AGAIN = frozenset({"supervision.kernels", "supervision.approvers", "supervision.activity_stream"})

PROGRAM = ("-m", "connvault_jupyter.broker")


class BrokerProcess:
    """Keeps one broker running from `start` to `stop`.

    `on_event` receives what the broker publishes; `on_restart` is called when a new process has replaced a dead one.
    Both run in a thread of this object and must be quick.
    """

    def __init__(
        self,
        *,
        on_event: Callable[[Event], None] = lambda _: None,
        on_restart: Callable[[BrokerReady], None] = lambda _: None,
        log: logging.Logger,
        spawn: Callable[[Mapping[str, str]], Spawned] | None = None,
    ) -> None:
        self.ready: Future[BrokerReady] = Future()
        """Done when the first broker process answers, or failed with the reason when starting is given up."""
        self._on_event = on_event
        self._on_restart = on_restart
        self._log = log
        self._spawn = spawn or Spawner(PROGRAM)
        self._lock = threading.Lock()
        self._client: OperatorClient | None = None
        self._reason: ConnvaultError | None = None
        self._told: dict[str, Mapping[str, Any]] = {}
        # Calls made before the first process exists; `None` from then on.
        self._early: list[tuple[str, Mapping[str, Any], str, Future[dict[str, Any]]]] | None = []
        self._stopping = threading.Event()
        # About the latest start: whether the process got as far as serving, and whether another start would fail the
        # same way.
        self._came_up = False
        self._lasting = False
        self._ending = False
        self._given_up_at: float | None = None
        self._wanted = threading.Event()
        self._door: RefusingListener | None = None
        self._namespace: Held | None = None
        self._supervisor: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the process that has the keys now; `None` between two processes."""
        with self._lock:
            return self._client.pid if self._client else None

    def start(self, settings: BrokerSettings) -> None:
        """Spawns the broker in the background and returns at once; calls made before it answers wait for it.

        Raises:
            BrokerUnavailable: the process could not be spawned at all.
            StorageError: the vault's folder can't be used.
        """
        spawned: Future[None] = Future()
        # The thread that spawns lives as long as the supervision, as the broker dies with it (see `hardening`).
        self._supervisor = threading.Thread(
            target=self._supervise, args=(settings, spawned), name="connvault-supervisor", daemon=True
        )
        self._supervisor.start()
        spawned.result()

    def call(self, operation: str, body: Mapping[str, Any], *, actor: str = "") -> Future[dict[str, Any]]:
        """The body of the answer, or the typed error. Never blocks; calls before `start` wait for it.

        When the broker dies, all pending calls fail with `BrokerUnavailable`. After starting was given up, a person's
        call tries once more and waits for the outcome.
        """
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            if operation in _TOLD_AGAIN:
                self._told[operation] = body
            if self._client is None and self._early is None and self._may_try_again(operation):
                self._early = [(told, known, "", Future()) for told, known in self._told.items()]
                self._given_up_at = None
                self._wanted.set()
            if self._client is not None:
                self._client.ask(operation, body, actor, answer)
            elif self._early is not None and len(self._early) < MAX_PENDING:
                self._early.append((operation, body, actor, answer))
            else:
                answer.set_exception(self._reason or BrokerUnavailable())
        return answer

    def refuse(self, reason: ConnvaultError, socket_path: Path | None = None) -> None:
        """Does not start a broker: every call fails with this error, and so does every request at `socket_path`."""
        self._reason = reason
        self.ready.set_exception(reason)
        self._refuse_early()
        if socket_path is not None:
            self._open_door(socket_path, reason)

    def stop(self, grace_s: float = 5.0) -> None:
        """Ends the broker: by closing its channel, or by force if it still runs after `grace_s`."""
        self._stopping.set()
        self._wanted.set()
        with self._lock:
            client = self._client
        if client is not None:
            client.hang_up()
        if self._supervisor is not None:
            self._supervisor.join(grace_s)
            if self._supervisor.is_alive() and client is not None:
                client.kill()
                self._supervisor.join(grace_s)
        self._close_door()
        self._settle_ready(self._reason or BrokerUnavailable())
        self._refuse_early()

    def _supervise(self, settings: BrokerSettings, spawned: Future[None]) -> None:
        try:
            while not self._stopping.is_set():
                self._try(settings, spawned)
                if self._stopping.is_set():
                    return
                self._give_up(settings)
                # Whoever called `start` learns of it through `ready`.
                if not spawned.done():
                    spawned.set_exception(self._reason or BrokerUnavailable())
                self._wanted.wait()
                self._wanted.clear()
                self._close_door()
        finally:
            if self._namespace is not None:
                self._namespace.release()

    def _try(self, settings: BrokerSettings, spawned: Future[None]) -> None:
        """Starts it, and restarts it whenever it has ended; returns when starting is given up."""
        pause_s, starts = _FIRST_PAUSE_S, 0
        while True:
            began = time.monotonic()
            self._run_once(settings, spawned)
            starts = 0 if self._came_up else starts + 1
            if self._stopping.is_set() or self._lasting or starts >= _MAX_STARTS or not spawned.done():
                return
            if time.monotonic() - began > _HEALTHY_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            self._log.warning(
                "connvault's broker has stopped%s; restarting it in %.2f s", self._because(), pause_s
            )
            self._stopping.wait(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _because(self) -> str:
        return f": {self._reason.message}" if self._reason else ""

    def _run_once(self, settings: BrokerSettings, spawned: Future[None]) -> None:
        """One broker process, from its start to its end."""
        self._reason, self._came_up, self._lasting, self._ending = None, False, False, False
        try:
            if self._namespace is None:
                # Before there is any broker, so that none ever runs in a namespace whose lock nobody holds.
                self._namespace = PidNamespaces(Path(settings.data_dir)).enter()
            client = OperatorClient(self._spawn(environment()))
        except ConnvaultError as exc:
            self._refused(exc)
        except OSError as exc:
            self._reason = BrokerUnavailable(
                f"connvault's broker process can't be started ({exc.strerror or type(exc).__name__})."
            )
        else:
            self._serve(client, settings, spawned)

    def _refused(self, reason: ConnvaultError) -> None:
        """The cause (a newer database, say) is more helpful than the fact that it does not run."""
        self._reason = reason
        self._lasting = not isinstance(reason, _PASSING)

    def _give_up(self, settings: BrokerSettings) -> None:
        reason = self._reason or BrokerUnavailable(_NEVER_UP)
        self._reason = reason
        self._log.error("connvault's broker does not start: %s", reason.message)
        self._open_door(Path(settings.socket_path), reason)
        with self._lock:
            self._given_up_at = time.monotonic()
        self._settle_ready(reason)
        self._refuse_early()

    def _may_try_again(self, operation: str) -> bool:
        # What a server sends on its own is not a sign of a person.
        return (
            self._given_up_at is not None
            and not operation.startswith("supervision.")
            and time.monotonic() - self._given_up_at >= _AGAIN_AFTER_S
        )

    def _open_door(self, path: Path, reason: ConnvaultError) -> None:
        from .refusing_listener import RefusingListener

        try:
            self._door = RefusingListener(path, reason)
        except ConnvaultError as exc:
            self._log.error("connvault can't tell notebooks about this: %s", exc.message)

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    def _settle_ready(self, reason: ConnvaultError) -> None:
        if not self.ready.done():
            self.ready.set_exception(reason)

    def _serve(self, client: OperatorClient, settings: BrokerSettings, spawned: Future[None]) -> None:
        started: Future[dict[str, Any]] = Future()
        started.add_done_callback(self._started)
        with self._lock:
            client.ask(START, settings.model_dump(mode="json"), "", started, number=START_ID)
            if self._early is None:
                for operation, body in self._told.items():
                    client.ask(operation, body, "", Future())
            else:
                for operation, body, actor, answer in self._early:
                    client.ask(operation, body, actor, answer)
                self._early = None
            self._client = client
        if not spawned.done():
            spawned.set_result(None)
        if self._stopping.is_set():
            client.hang_up()
        try:
            client.meet()
            client.read(self._publish)
        except ConnvaultError as exc:
            self._reason = exc
        finally:
            with self._lock:
                self._client = None
            self._ending = True
            client.close(self._reason or BrokerUnavailable())

    def _refuse_early(self) -> None:
        with self._lock:
            early, self._early = self._early or [], None
        for *_, answer in early:
            settle(answer, self._reason or BrokerUnavailable())

    def _started(self, answer: Future[dict[str, Any]]) -> None:
        from ..contracts.supervision import BrokerReady

        error = answer.exception()
        if error is not None:
            # Calls still pending at its end were never sent.
            if isinstance(error, ConnvaultError) and not self._ending:
                self._refused(error)
            return
        self._came_up = True
        ready = BrokerReady.model_validate(answer.result())
        if not self.ready.done():
            self.ready.set_result(ready)
            return
        try:
            self._on_restart(ready)
        except Exception as exc:  # noqa: BLE001 -- a listener's mistake must not end the supervision
            self._log.error("a listener for broker restarts failed: %s", type(exc).__name__)

    def _publish(self, message: Any) -> None:
        from pydantic import ValidationError

        from ..contracts.events import Event

        try:
            self._on_event(Event.model_validate(message))
        except ValidationError:
            self._log.error("connvault's broker published something that is not an event")
        except Exception as exc:  # noqa: BLE001 -- as above
            self._log.error("a listener for broker events failed: %s", type(exc).__name__)
