"""What the extension adds to the start of a Jupyter Server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.browser.jupyter_server import serve

from .figures import Figure, Plan
from .processes import cpu_s

IDS = ("server_start_added_ms", "server_start_added_cpu_ms")


def measure(plan: Plan) -> Iterator[Figure]:
    taken: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for index in range(-1, plan.rounds_or(9)):
        for enabled in (False, True) if index % 2 else (True, False):
            # A home for each: the second and later starts find their own vault, as on any working day.
            start = _start(plan.home / str(int(enabled)), enabled=enabled)
            if index >= 0:
                taken[enabled].append(start)
    for place, name in enumerate(IDS):
        pairs = zip(taken[True], taken[False], strict=True)
        added = median(with_it[place] - without[place] for with_it, without in pairs)
        yield Figure(name, added, median(without[place] for without in taken[False]))


def _start(home: Path, *, enabled: bool) -> tuple[float, float]:
    """From before the spawn to the first answered /api/status, which is asked each 20 ms in both cases.

    In ms: by the clock, and as processor time of the server itself, in which the machine's other work does not show.
    """
    config: dict[str, dict[str, Any]] = {
        "Application": {"log_level": "INFO"},
        "ServerApp": {"jpserver_extensions": {"connvault_jupyter": enabled}},
    }
    before = time.perf_counter_ns()
    with serve(home, app="server", config=config) as server:
        by_clock = (time.perf_counter_ns() - before) / 1e6
        return by_clock, cpu_s(server.pid) * 1000
