"""What the extension adds to the start of a Jupyter Server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.jupyter_server import serve

from .figures import Figure, Plan

IDS = ("server_start_added_ms",)


def measure(plan: Plan) -> Iterator[Figure]:
    taken: dict[bool, list[float]] = {False: [], True: []}
    for index in range(-1, plan.rounds_or(9)):
        for enabled in (False, True) if index % 2 else (True, False):
            # A home for each: the second and later starts find their own vault, as on any working day.
            ms = _start_ms(plan.home / str(int(enabled)), enabled=enabled)
            if index >= 0:
                taken[enabled].append(ms)
    added = median(with_it - without for with_it, without in zip(taken[True], taken[False], strict=True))
    yield Figure("server_start_added_ms", added, median(taken[False]))


def _start_ms(home: Path, *, enabled: bool) -> float:
    """From before the spawn to the first answered /api/status. It is asked each 20 ms, in both cases."""
    config: dict[str, dict[str, Any]] = {
        "Application": {"log_level": "INFO"},
        "ServerApp": {"jpserver_extensions": {"connvault_jupyter": enabled}},
    }
    before = time.perf_counter_ns()
    with serve(home, app="server", config=config):
        return (time.perf_counter_ns() - before) / 1e6
