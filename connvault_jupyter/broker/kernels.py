"""The kernels of this server as last pushed, matched to real processes. No peer is asked here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..contracts.supervision import KernelRow, KernelTable
from .os_processes import Processes, Running


@dataclass(frozen=True, eq=False)
class KnownKernel:
    """A row with the process that it names. `seen_at` is the monotonic time at which this run was first reported.
    Instances are only equal to themselves: what is found out about one is valid until the next table.
    """

    row: KernelRow
    process: Running
    seen_at: float


class Kernels:
    """Safe to use from several threads. `monotonic` is in seconds."""

    def __init__(self, *, processes: Processes, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._processes = processes
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._by_pid: dict[int, KnownKernel] = {}
        self._remote = False
        self._told = False

    @property
    def told(self) -> bool:
        """Whether a table has arrived at all."""
        return self._told

    @property
    def some_are_remote(self) -> bool:
        """Whether the server has kernels on other machines."""
        return self._remote

    def replace(self, table: KernelTable) -> list[KnownKernel]:
        """Takes the new table; returns the runs that are no longer in it."""
        now = self._monotonic()
        with self._changed:
            before = self._by_pid
            after: dict[int, KnownKernel] = {}
            for row in table.kernels:
                # The pid of a kernel on another machine belongs to some other process here.
                process = self._processes.running(row.pid) if row.local and row.pid else None
                if process is None:
                    continue
                old = before.get(process.pid)
                known = old is not None and _same_run(old, row, process)
                after[process.pid] = KnownKernel(row, process, old.seen_at if old and known else now)
            self._by_pid = after
            self._remote = any(not row.local for row in table.kernels)
            self._told = True
            self._changed.notify_all()
        return [
            old
            for pid, old in before.items()
            if pid not in after or not _same_run(old, after[pid].row, after[pid].process)
        ]

    def at(self, process: Running) -> KnownKernel | None:
        """The kernel whose process this is."""
        found = self._by_pid.get(process.pid)
        return found if found and found.process.started == process.started else None

    def wait_for_change(self, seconds: float) -> None:
        """Waits until a table arrives or the time has passed."""
        with self._changed:
            self._changed.wait(seconds)


def _same_run(old: KnownKernel, row: KernelRow, process: Running) -> bool:
    return old.row.kernel_id == row.kernel_id and old.process.started == process.started
