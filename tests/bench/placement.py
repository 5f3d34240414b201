"""Which processors the processes of a measurement run on. Linux; elsewhere the scheduler chooses.

A round trip of 15 us between two processes that share a processor takes 85 us when each has its own, because one that
sleeps has to be woken across. Left alone, the scheduler chooses for each pair, and changes its mind within a second:
two direct connections side by side differ by as much. So what is compared is placed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Processes by number, each with all that it has started and will start. `between`: relays and proxies."""

    client: int
    servers: tuple[int, ...]
    between: tuple[int, ...]

    def together(self) -> None:
        """All on one processor."""
        _place((self.client, *self.servers, *self.between), {min(_processors())})

    def apart(self) -> None:
        """The client on one processor, the servers on another, what is between them where there is room."""
        processors = _processors()
        _place((self.client,), {min(processors)})
        _place(self.servers, {max(processors)})
        _place(self.between, processors)

    def anywhere(self) -> None:
        """As the scheduler chooses."""
        _place((self.client, *self.servers, *self.between), _processors())


def children(pid: int) -> list[int]:
    """The processes that one has started and that still run."""
    found: list[int] = []
    for task in _tasks(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def _tasks(pid: int) -> list[int]:
    """None of a process that has ended meanwhile."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(task) for task in os.listdir(f"/proc/{pid}/task")]
    return []


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def _place(pids: Iterable[int], processors: set[int]) -> None:
    if sys.platform != "linux":
        return
    for pid in pids:
        for task in _tasks(pid):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(task, processors)
        _place(children(pid), processors)
