"""What a kernel pays before its first connection: the import, the extension, and the first call as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from .children import fresh
from .figures import Figure, Plan
from .sample import NAME, broker_with_connection

IDS = ("import_ms", "load_ext_ms", "first_connection_ms")

_CELLS = {
    "bare": "pass",
    "import_ms": "from connvault_jupyter import connection, connections",
    "load_ext_ms": "%load_ext connvault_jupyter",
}

# A file, and below the root: only such a script can have a permission that outlives its process.
_SCRIPT = f"""
import time
before = time.perf_counter_ns()
from connvault_jupyter import connection
handle = connection({NAME!r})
taken = time.perf_counter_ns() - before
print(taken / 1e6)
"""


def measure(plan: Plan) -> Iterator[Figure]:
    rounds = plan.rounds_or(15)
    taken: dict[str, list[float]] = {name: [] for name in _CELLS}
    home = plan.home / "child"
    for index in range(-1, rounds):
        for name, cell in _CELLS.items():
            ms = fresh(["-m", "tests.bench.shell_cell", cell], home=home)
            if index >= 0:
                taken[name].append(ms)
    bare = median(taken["bare"])
    for name in ("import_ms", "load_ext_ms"):
        yield Figure(name, median(taken[name]) - bare, bare)
    yield Figure("first_connection_ms", _first_connection(plan, rounds))


def _first_connection(plan: Plan, rounds: int) -> float:
    script = plan.home / "report.py"
    script.write_text(_SCRIPT)
    with broker_with_connection(plan.home, rule=lambda _: "always") as (operator, socket_path):
        env = {"CONNVAULT_SOCKET": socket_path}
        # The first run is asked for, and makes the grant.
        taken: list[float] = [
            fresh([str(script)], home=plan.home / "child", env=env) for _ in range(rounds + 1)
        ][1:]
        assert len(operator.asked) == 1, "the grant was not used"
    return median(taken)
