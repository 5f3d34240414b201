"""Which processors the processes of a measurement run on. Linux; elsewhere the scheduler chooses.

A round trip of 15 us between two processes that share a processor takes 85 us when each has its own, because one that
sleeps has to be woken across. Left alone, the scheduler chooses for each pair, and changes its mind within a second:
two direct connections side by side differ by as much. So what is compared is placed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Places:
    """Processes by number, each with all that it has started and will start. `between`: relays and proxies."""

    client: int
    servers: tuple[int, ...]
    between: tuple[int, ...]

    def in_turn(self) -> Iterator[str]:
        """Two placements, by what the figures' ids say of them; then the scheduler chooses again."""
        everywhere = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
        one, other = {min(everywhere)}, {max(everywhere)}
        self._place(one, one, one)
        yield "_together"
        # What is between them where there is room.
        self._place(one, other, everywhere)
        yield ""
        self._place(everywhere, everywhere, everywhere)

    def _place(self, client: set[int], servers: set[int], between: set[int]) -> None:
        _run_on(client, self.client)
        _run_on(servers, *self.servers)
        _run_on(between, *self.between)


def _run_on(processors: set[int], *pids: int) -> None:
    if sys.platform != "linux":
        return
    for above in map(psutil.Process, pids):
        for process in (above, *above.children(recursive=True)):
            # What ends meanwhile needs no place.
            with suppress(psutil.NoSuchProcess):
                for thread in process.threads():
                    with suppress(ProcessLookupError):
                        os.sched_setaffinity(thread.id, processors)
