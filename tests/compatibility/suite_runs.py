"""Runs a suite twice, directly and through a handle, each time against a fresh server; and compares."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .differences import differing, explained, known_of
from .environments import ready, versions
from .kernels import Kernel
from .outcomes import Outcome, Outcomes, counts, read
from .suites.suite import Suite, Way

_PLUGINS = Path(__file__).parent / "plugins"

_RUNS = ("direct", "through", "again")

# One test that hangs must not take the others with it.
_TEST_S = 60
# What fails is run once more by itself: more than this is no accident of the order or of a busy machine.
_LOOKED_AT_AGAIN = 300


class NothingRan(Exception):
    """The suite could not even begin."""


def compared(suite: Suite, kernel: Kernel, folder: Path) -> dict[str, Any]:
    """A row of the results. `folder` keeps environment, tests and logs.

    Raises: Unavailable, EnvironmentFailed, NothingRan.
    """
    tests = suite.source.unpacked(folder / "sources")
    python = ready(folder / "environments" / suite.name, suite.requirements)
    run = _Run(suite, kernel, python, tests, folder / suite.name)
    direct = run.directly()
    if not direct:
        raise NothingRan(f"no test has run, see {run.log_of('direct')}")
    run.through_a_handle(direct)
    return last(suite, folder)


def last(suite: Suite, folder: Path) -> dict[str, Any]:
    """The row of the last run, by the reasons that are known now."""
    python = ready(folder / "environments" / suite.name, suite.requirements)
    direct, through, alone = (read(folder / suite.name / f"{name}.jsonl") for name in _RUNS)
    different = differing(direct, through)
    settled = {test for test in different if alone.get(test, different[test]).result == "passed"}
    known, unknown = explained(
        {test: outcome for test, outcome in different.items() if test not in settled}, known_of(suite.name)
    )
    return {
        "version": versions(python)[suite.source.distribution.lower()],
        "origin": suite.source.origin,
        "way": suite.way,
        "direct": counts(direct),
        "through": counts(through),
        "settled": sorted(settled),
        "known": {reason: sorted(found) for reason, found in known.items()},
        "unknown": {test: f"{outcome.result}: {outcome.text}" for test, outcome in sorted(unknown.items())},
    }


class _Run:
    def __init__(self, suite: Suite, kernel: Kernel, python: Path, tests: Path, logs: Path) -> None:
        self._suite = suite
        self._kernel = kernel
        self._python = python
        self._tests = tests
        self._logs = logs
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def directly(self) -> Outcomes:
        with self._served() as served:
            return self._pytest("direct", served.direct, self._suite.arguments)

    def through_a_handle(self, direct: Outcomes) -> None:
        """All tests; and then by themselves those that only pass directly."""
        name = f"suite-{self._suite.name}"
        with self._served() as served:
            self._kernel.define(name, self._suite.kind, served.fields, served.secrets)
            self._kernel.cell(f"h = connection({name!r})")
            found = self._pytest("through", self._way(), self._suite.arguments)
            different = differing(direct, found)
            if 0 < len(different) <= _LOOKED_AT_AGAIN:
                self._pytest("again", self._way(), [*_options(self._suite.arguments), *different])

    def _way(self) -> Way:
        return self._suite.through(self._kernel.cell)

    def _served(self) -> Any:
        folder = Path(tempfile.mkdtemp(prefix="server-", dir=self._logs))
        return self._suite.serve(folder, self._python)

    def _pytest(self, name: str, way: Way, arguments: Sequence[str]) -> Mapping[str, Outcome]:
        for path, text in way.files.items():
            (self._tests / path).write_text(text)
        outcomes = self._logs / f"{name}.jsonl"
        environment = {
            **way.environment,
            "CONNVAULT_OUTCOMES": str(outcomes),
            "PATH": f"{self._python.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin",
            "PYTHONPATH": str(_PLUGINS),
            # Ids of tests that are made from sets are the same in both runs.
            "PYTHONHASHSEED": "0",
            # SQLAlchemy's tests take their own sources otherwise, which are not compiled.
            "PYTHONNOUSERSITE": "1",
        }
        cache = f"cache_dir={self._logs / 'cache'}"
        # To show the source pytest would parse it, which Python 3.11 can't do deep within calls: the run would end.
        traces = "--tb=native"
        options = ["-p", "connvault_outcomes", "-o", cache, f"--timeout={_TEST_S}", "-q", traces]
        self._kernel.run(
            [str(self._python), "-m", "pytest", *options, *way.arguments, *arguments],
            environment=environment,
            cwd=self._tests,
            log=self.log_of(name),
            deadline_s=self._suite.deadline_s,
        )
        return read(outcomes)


def _options(arguments: Sequence[str]) -> list[str]:
    """Without the places: single tests follow. A marker's expression belongs to its option."""
    return [
        each
        for each, before in zip(arguments, ("", *arguments), strict=False)
        if each[:1] == "-" or before == "-m"
    ]
