"""`make bench`: measures what the design has a budget for, prints the table, writes build/bench.json.

    python tests/bench/run.py [--only ID,ID] [--rounds N] [--output FILE]

A missed budget is a row that says so and no failure of the run; a measurement that could not be made is both.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Instead of this folder, whose files are no top-level modules.
sys.path[0] = str(ROOT)

import pytest  # noqa: E402 -- after the path

from tests.bench.figures import BUDGETS, Figure, Plan, row, table  # noqa: E402

# In this order; each has IDS and measure(plan). Imported one by one: a browser is not needed for a socket.
MEASUREMENTS = (
    "resolve",
    "resolve_keyring",
    "resolve_rest",
    "resolve_busy",
    "kernel_imports",
    "broker_start",
    "server_start",
    "list_thousand",
    "vault_keys",
    "dialog",
    "panel_thousand",
    "relay_postgresql",
    "relay_http",
    "secret_timing",
    "masking",
)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Figures against their budgets.")
    parser.add_argument("--only", metavar="ID,ID", help="these figures, and only these in the file")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="rounds of each measurement (default: its own)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench.json")
    arguments = parser.parse_args(argv)
    wanted = set(arguments.only.split(",")) if arguments.only else set(BUDGETS)
    if unknown := wanted - BUDGETS.keys():
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(BUDGETS)}")
    os.chdir(ROOT)
    found: dict[str, Figure] = {}
    failed = False
    for name in MEASUREMENTS:
        module = importlib.import_module(f"tests.bench.{name}")
        if wanted.isdisjoint(module.IDS):
            continue
        began = time.monotonic()
        try:
            for figure in _measure(module, arguments.rounds):
                found[figure.id] = figure
        # pytest.fail, by which the fixtures say what is not installed, is no Exception.
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 -- the other figures are still wanted
            failed = True
            traceback.print_exc()
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    rows = [row(figure_id, found.get(figure_id)) for figure_id in BUDGETS if figure_id in wanted]
    _write(arguments.output, rows)
    print(table(rows))
    budgets = [each for each in rows if each["budget"]]
    met = sum(1 for each in budgets if each["met"])
    print(f"\n{met} of {len(budgets)} budgets met; written to {arguments.output.name}")
    # On a machine that others work on too, the same figures are larger.
    print(f"{os.cpu_count()} processors; load average {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    return int(failed)


def _measure(module: Any, rounds: int | None) -> Iterator[Figure]:
    # Short: Unix sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="cvb-", ignore_cleanup_errors=True) as home:
        yield from module.measure(Plan(Path(home), rounds))


def _write(output: Path, rows: Sequence[dict[str, Any]]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
