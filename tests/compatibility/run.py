"""`make compatibility`: people's libraries and the suites of drivers, through handles; writes docs/compatibility.md.

    python tests/compatibility/run.py [--only NAME,NAME] [--last]

Fails when a suite differs in a way for which `known_differences.json` has no reason, or when a library does otherwise
than `libraries.json` says. What was not run keeps the results that it had.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Instead of this folder, whose files are no top-level modules.
sys.path[0] = str(ROOT)

from tests.compatibility import document, results  # noqa: E402 -- after the path
from tests.compatibility.environments import EnvironmentFailed  # noqa: E402
from tests.compatibility.kernels import Kernel, kernel  # noqa: E402
from tests.compatibility.library_runs import libraries, tried  # noqa: E402
from tests.compatibility.places import Places  # noqa: E402
from tests.compatibility.sources import Unavailable  # noqa: E402
from tests.compatibility.suite_runs import NothingRan, compared, last  # noqa: E402
from tests.compatibility.suites.every import SUITES  # noqa: E402

_FOLDER = ROOT / "build" / "compatibility"

Failures = Iterator[str]
"""Each in a line; they come as the run goes on."""


def main(argv: Sequence[str]) -> int:
    names = [suite.name for suite in SUITES] + [library.name for library in libraries()]
    parser = argparse.ArgumentParser(prog="make compatibility")
    parser.add_argument("--only", metavar="NAME,NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument(
        "--last",
        action="store_true",
        help="compare what the suites' last runs have left once more, run nothing",
    )
    arguments = parser.parse_args(argv)
    only = arguments.only
    wanted = set(only.split(",")) if only else set(names)
    if unknown := wanted - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    # So that what was started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _FOLDER.mkdir(parents=True, exist_ok=True)
    failed = False
    for failure in _compare_again(wanted) if arguments.last else _run(wanted):
        failed = True
        print(failure, file=sys.stderr, flush=True)
    document.write(results.load())
    return int(failed)


def _run(wanted: Container[str]) -> Failures:
    with kernel() as process:
        yield from _libraries(wanted, process)
        yield from _suites(wanted, process)


def _compare_again(wanted: Container[str]) -> Failures:
    for suite in SUITES:
        if suite.name in wanted and (_FOLDER / suite.name / "through.jsonl").exists():
            yield from _kept(suite.name, last(suite, _FOLDER))


def _kept(suite: str, row: dict[str, Any]) -> Failures:
    results.keep("suites", suite, row)
    yield from (f"{suite}: {test}: {text}" for test, text in row["unknown"].items())


def _suites(wanted: Container[str], process: Kernel) -> Failures:
    for suite in SUITES:
        if suite.name not in wanted:
            continue
        began = time.monotonic()
        try:
            row = compared(suite, process, _FOLDER)
        except (Unavailable, EnvironmentFailed, NothingRan) as exc:
            yield f"{suite.name}: {exc}"
            continue
        took = time.monotonic() - began
        print(f"{suite.name}: {row['direct']}, through a handle {row['through']}, {took:.0f} s", flush=True)
        yield from _kept(suite.name, row)


def _libraries(wanted: Container[str], process: Kernel) -> Failures:
    with tempfile.TemporaryDirectory(prefix="cv-") as folder, Places(process, Path(folder)) as places:
        for library in libraries():
            if library.name not in wanted:
                continue
            try:
                row = tried(library, process, places, _FOLDER)
            except EnvironmentFailed as exc:
                yield f"{library.name}: {exc}"
                continue
            results.keep("libraries", library.name, row)
            print(f"{library.name} {row['version']}: {_outcome(row)}", flush=True)
            if row["works"] == bool(row["fails"]):
                yield f"{library.name}: {row['told'] or 'works now: libraries.json says that it does not'}"


def _outcome(row: dict[str, Any]) -> str:
    return "works" if row["works"] else "does not work"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
