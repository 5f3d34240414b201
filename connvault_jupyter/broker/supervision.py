"""What the broker notices on its own: kernels and processes that end, deadlines that pass. It answers no requester.

It runs in one timer thread, on pushes from the operator, and when a requester's process ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..contracts.access import Requester
from ..contracts.supervision import ApproverCount, DocumentsGone, KernelTable
from ..services.consent.service import ConsentService
from ..services.ports import Lock
from .kernels import Kernels
from .os_processes import Peer
from .peers import Peers
from .process_exits import ProcessExits

# The longest delay with which a question ends; the dialog counts whole seconds.
_TICK_S = 0.2

# Reads /proc once per known process. It only finds what `process_exits` could not report.
_WATCH_EVERY_S = 1.0


class Supervision:
    """Connects the runs of requesters with the services. `monotonic` is in seconds."""

    def __init__(
        self,
        *,
        consent: ConsentService,
        kernels: Kernels,
        peers: Peers,
        lock: Lock,
        log: logging.Logger,
        flush: Callable[[], None],
        lock_if_idle: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consent = consent
        self._kernels = kernels
        self._peers = peers
        self._lock = lock
        self._log = log
        self._flush = flush
        self._lock_if_idle = lock_if_idle
        self._monotonic = monotonic
        self._instances: set[str] = set()
        self._watched_at = 0.0
        self._ended = threading.Event()
        self._ends = ProcessExits(ended=self._over, log=log)

    def identify(self, peer: Peer, *, likely: Requester | None = None) -> Requester:
        """Like `Peers.identify`; the run is watched from now on. `likely`: the requester that it usually is.

        With `likely`, a kernel that has just been started is not waited for: it is another requester, and must not
        delay this one.
        """
        if likely is None:
            requester = self._peers.identify(peer)
        elif self._peers.is_run_of(peer, likely):
            return self._peers.current(likely)
        else:
            requester = self._peers.identify(peer, patience_s=0.0)
        if requester.instance not in self._instances:
            self._instances.add(requester.instance)
            self._ends.watch(requester.instance, self._peers.process_of(requester.instance))
        return requester

    def kernels(self, table: KernelTable) -> None:
        first = not self._kernels.told
        for ended in self._kernels.replace(table):
            self._end(self._peers.instance_of(ended))
        if first:
            self._consent.reconcile(self._peers.instance_alive)

    def approvers(self, body: ApproverCount) -> None:
        self._consent.approvers(body.count)

    def documents_gone(self, body: DocumentsGone) -> None:
        self._consent.documents_gone(body.paths)

    def start(self) -> None:
        threading.Thread(target=self._run, name="broker-timer", daemon=True).start()
        self._ends.start()

    def close(self) -> None:
        self._ended.set()
        self._ends.close()

    def _run(self) -> None:
        while not self._ended.wait(_TICK_S):
            # Not with the lock held: the sync may take a second on a slow disk.
            for step in (self._rules, self._lock_if_idle, self._flush):
                try:
                    step()
                except Exception as exc:  # noqa: BLE001 -- the timer must continue; a full disk is temporary
                    self._log.error("the broker's timer failed: %s", type(exc).__name__)

    def _rules(self) -> None:
        with self._lock:
            self._consent.tick()
            self._watch()

    def _watch(self) -> None:
        now = self._monotonic()
        if now - self._watched_at < _WATCH_EVERY_S:
            return
        self._watched_at = now
        for instance in tuple(self._instances):
            if not self._peers.instance_alive(instance):
                self._end(instance)

    def _over(self, instance: str) -> None:
        with self._lock:
            # Its pid may already have belonged to another process when watching began.
            if not self._peers.instance_alive(instance):
                self._end(instance)

    def _end(self, instance: str) -> None:
        self._instances.discard(instance)
        self._consent.instance_ended(instance)
