"""The owner's side of a broker process: spawns it, talks to it, starts it again. It never sees a key.

Threads and futures, no event loop, so that a server (by `call_soon_threadsafe`), a command line and a test can all use
it. What runs inside the spawned process is in `main`. Importing this imports no pydantic: a server does so while it
starts, and needs the contracts later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ..errors import BrokerUnavailable, ConnvaultError
from .link import MAX_PENDING, START_ID, Link, environment, settle
from .spawn import Spawned, Spawner

if TYPE_CHECKING:
    from ..contracts.events import Event
    from ..contracts.supervision import BrokerReady, BrokerSettings

# A crash on start must not eat a processor; a crash once a day must not be felt.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_HEALTHY_AFTER_S = 30.0

START = "start"

# The broker forgets these when it dies; the last body of each is told to the next one.
_TOLD_AGAIN = frozenset({"supervision.kernels", "supervision.approvers"})

PROGRAM = ("-m", "connvault_jupyter.broker")


class BrokerProcess:
    """One broker that is kept running from `start` to `stop`.

    `on_event` gets what the broker publishes, `on_restart` is called when a new process has taken the place of a dead
    one. Both run in a thread of this object and must be quick.
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
        """Done when the first broker process answers."""
        self._on_event = on_event
        self._on_restart = on_restart
        self._log = log
        self._spawn = spawn or Spawner(PROGRAM)
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._reason: ConnvaultError | None = None
        self._told: dict[str, Mapping[str, Any]] = {}
        # What was asked before the first process is there; `None` from then on.
        self._early: list[tuple[str, Mapping[str, Any], str, Future[dict[str, Any]]]] | None = []
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that has the keys now; `None` between two."""
        with self._lock:
            return self._link.pid if self._link else None

    def start(self, settings: BrokerSettings) -> None:
        """Spawns the broker in the background and returns at once; calls made before it answers wait for it.

        Raises:
            BrokerUnavailable: the process could not be spawned at all.
        """
        spawned: Future[None] = Future()
        # The spawning thread lives as long as the supervision: the broker dies with it (see hardening).
        self._supervisor = threading.Thread(
            target=self._supervise, args=(settings, spawned), name="connvault-supervisor", daemon=True
        )
        self._supervisor.start()
        spawned.result()

    def call(self, operation: str, body: Mapping[str, Any], *, actor: str = "") -> Future[dict[str, Any]]:
        """The answer's body, or the typed error. Never blocks; what is asked before `start` waits for it.

        When the broker dies, everything pending fails with `BrokerUnavailable`.
        """
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            if operation in _TOLD_AGAIN:
                self._told[operation] = body
            if self._link is not None:
                self._link.ask(operation, body, actor, answer)
            elif self._early is not None and len(self._early) < MAX_PENDING:
                self._early.append((operation, body, actor, answer))
            else:
                answer.set_exception(self._reason or BrokerUnavailable())
        return answer

    def refuse(self, reason: ConnvaultError) -> None:
        """Never starts: every call fails with this."""
        self._reason = reason
        self.ready.set_exception(reason)
        self._refuse_early()

    def stop(self, grace_s: float = 5.0) -> None:
        """Ends the broker: by closing its channel, and by force if it is still there after `grace_s`."""
        self._stopping.set()
        with self._lock:
            link = self._link
        if link is not None:
            link.hang_up()
        if self._supervisor is not None:
            self._supervisor.join(grace_s)
            if self._supervisor.is_alive() and link is not None:
                link.kill()
                self._supervisor.join(grace_s)
        if not self.ready.done():
            self.ready.set_exception(self._reason or BrokerUnavailable())
        self._refuse_early()

    def _supervise(self, settings: BrokerSettings, spawned: Future[None]) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                link = Link(self._spawn(environment()))
            except OSError as exc:
                self._log.error("connvault's broker can't be started: %s", type(exc).__name__)
                if not spawned.done():
                    self._refuse_early()
                    spawned.set_exception(BrokerUnavailable("The broker process can't be started."))
                    return
            else:
                self._serve(link, settings, spawned)
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _HEALTHY_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            self._log.warning("connvault's broker has ended; it is started again in %.2f s", pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _serve(self, link: Link, settings: BrokerSettings, spawned: Future[None]) -> None:
        started: Future[dict[str, Any]] = Future()
        started.add_done_callback(self._started)
        with self._lock:
            link.ask(START, settings.model_dump(mode="json"), "", started, number=START_ID)
            if self._early is None:
                for operation, body in self._told.items():
                    link.ask(operation, body, "", Future())
            else:
                for operation, body, actor, answer in self._early:
                    link.ask(operation, body, actor, answer)
                self._early = None
            self._link = link
        if not spawned.done():
            spawned.set_result(None)
        if self._stopping.is_set():
            link.hang_up()
        try:
            link.meet()
            link.read(self._publish)
        except ConnvaultError as exc:
            self._reason = exc
            self._log.error("connvault's broker does not start: %s", exc.message)
        finally:
            with self._lock:
                self._link = None
            link.close(self._reason or BrokerUnavailable())

    def _refuse_early(self) -> None:
        with self._lock:
            early, self._early = self._early or [], None
        for *_, answer in early:
            settle(answer, self._reason or BrokerUnavailable())

    def _started(self, answer: Future[dict[str, Any]]) -> None:
        from ..contracts.supervision import BrokerReady

        error = answer.exception()
        if error is not None:
            if error is self._reason:
                # It did not come so far as to be told anything.
                return
            if isinstance(error, ConnvaultError) and not isinstance(error, BrokerUnavailable):
                # Why it does not run (a newer database, say) helps more than that it does not run.
                self._reason = error
                self._log.error("connvault's broker refuses to start: %s", error.message)
            return
        self._reason = None
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
            self._log.error("connvault's broker published something that is no event")
        except Exception as exc:  # noqa: BLE001 -- as above
            self._log.error("a listener for broker events failed: %s", type(exc).__name__)
