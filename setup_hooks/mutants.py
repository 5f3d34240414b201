"""`make mutants`: small changes to the modules that guard secrets, one at a time, and whether a test notices each.

    python -m setup_hooks.mutants [--sample N] [--seed S] [--modules PREFIX ...] [--workers N] [--again]

Which modules, which tests are run for them, and which changes make no difference (with the reason) is in mutants.json.
Where the tests stay in one process most changes are tried there (`mutants_in_process`); the others, and what survives
there, in a copy of the checkout in build/mutants. What became of each is in build/mutants.json; the exit status is 1 if
one survived. A test that is not listed for the module may notice it all the same.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, Literal

from .generated import ROOT
from .mutations import Mutation, mutated, mutations

PLAN = Path(__file__).with_suffix(".json")
REPORT = ROOT / "build" / "mutants.json"
TREES = ROOT / "build" / "mutants"

# Of all modules together. A whole run is thousands, at some seconds each.
SAMPLE = 40

# A change that makes a loop endless is noticed by that. As a multiple of what the tests take without one, which a busy
# machine may stretch.
_TIMES_AS_LONG = 3
_AT_LEAST_S = 60

_COPIED = ("connvault_jupyter", "setup_hooks", "tests", "pyproject.toml")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "labextension", ".hypothesis")

# Plain: rewritten assertions are compiled anew each time, and nobody reads what they say.
_HOW = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "--assert=plain")

# pytest(1): all passed; some failed; stopped, which a module that can't be imported does.
_PASSED = 0
_FAILED = (1, 2)

Outcome = Literal["killed", "survived", "timed out"]


@dataclass(frozen=True)
class Mutant:
    """One change to one module. `module` is a path from the root of the checkout."""

    module: str
    mutation: Mutation

    @property
    def named(self) -> tuple[str, str, str]:
        """As the plan and the report have it, which no other line number changes."""
        return self.module, self.mutation.where, self.mutation.change


@dataclass(frozen=True)
class Result:
    module: str
    line: int
    where: str
    change: str
    outcome: Outcome


class Plan:
    """What mutants.json says."""

    def __init__(self, text: str) -> None:
        plan: dict[str, Any] = json.loads(text)
        self.tests: Mapping[str, Sequence[str]] = plan["tests"]
        """Tests by module or folder, those first that are likeliest to notice; the longest path counts."""
        self.equivalent: Mapping[tuple[str, str, str], str] = {
            (one["module"], one["where"], one["change"]): one["reason"] for one in plan["equivalent"]
        }
        """The reason for each change that makes no difference."""
        self.in_process: tuple[str, ...] = tuple(plan["in_process"])
        """Modules and folders whose tests start no process that would have to have the change."""

    def tests_of(self, module: str) -> Sequence[str]:
        """Raises: KeyError: the module is not in the plan."""
        return self.tests[
            max((path for path in self.tests if module.startswith(path)), key=len, default=module)
        ]

    def modules(self, root: Path) -> list[str]:
        """All that have tests here, and any code."""
        found = (
            one
            for path in self.tests
            for one in ([root / path] if path.endswith(".py") else (root / path).rglob("*.py"))
        )
        return sorted({path.relative_to(root).as_posix() for path in found if path.stat().st_size})


def all_of(modules: Sequence[str], root: Path) -> list[Mutant]:
    """Every mutant of these modules, equivalent ones included."""
    return [
        Mutant(module, one) for module in modules for one in mutations((root / module).read_text("utf-8"))
    ]


class Tree:
    """A copy of the checkout in which one module at a time is another. What is big or never changes is linked."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for entry in root.iterdir():
            if entry.name in _COPIED:
                copy = shutil.copy2 if entry.is_file() else _copy_folder
                copy(entry, folder / entry.name)
            elif entry.name != ".git":
                (folder / entry.name).symlink_to(entry)
        self._python = _environment(folder / "environment", folder)
        # What is not changed need not be compiled again for each change.
        compileall.compile_dir(folder / "connvault_jupyter", quiet=1)
        compileall.compile_dir(folder / "tests", quiet=1)

    def run(self, module: str, source: str, tests: Sequence[str], timeout_s: float | None) -> Outcome:
        """Whether these tests notice that the module is another.

        Raises: RuntimeError: pytest could not be run.
        """
        path = self.folder / module
        original = path.read_text("utf-8")
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(source, "utf-8")
        try:
            return self._outcome(tests, timeout_s)
        finally:
            path.write_text(original, "utf-8")

    def _outcome(self, tests: Sequence[str], timeout_s: float | None) -> Outcome:
        with subprocess.Popen(
            [self._python, "-m", "pytest", *_HOW, *tests],
            cwd=self.folder,
            # Nothing is compiled into a file that could be taken for a later change of the same second.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                return "timed out"
            finally:
                # Whatever the tests started and did not end.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode == _PASSED:
            return "survived"
        if process.returncode in _FAILED:
            return "killed"
        raise RuntimeError(f"pytest ended with {process.returncode}:\n{said}")


def _environment(folder: Path, tree: Path) -> str:
    """A Python that finds the copy of the package, and all other packages where they are. By no variable: brokers and
    relays are started without any, and would find the checkout itself, which `.venv` names."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    found = Path(sysconfig.get_path("purelib", vars=paths)) / "tree.pth"
    # As plain paths: what the second one's own files add is left out.
    found.write_text(f"{tree}\n{sysconfig.get_path('purelib')}\n")
    return str(python)


class Runner:
    """Tries mutants in copies, some at a time."""

    def __init__(self, plan: Plan, root: Path, trees: Sequence[Tree]) -> None:
        self._plan = plan
        self._root = root
        self._free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for tree in trees:
            self._free.put(tree)
        self._workers = len(trees)
        self._limits: dict[tuple[str, ...], float] = {}

    def run(self, mutants: Sequence[Mutant]) -> list[Result]:
        """Raises: RuntimeError: the tests of a module fail without any change, or pass without the module."""
        first = {tuple(self._plan.tests_of(one.module)): one.module for one in mutants}
        with ThreadPoolExecutor(self._workers) as pool:
            self._limits = dict(zip(first, pool.map(self._limit, first.values()), strict=True))
            return [*pool.map(self._try, mutants)]

    def _limit(self, module: str) -> float:
        """Seconds. On the way it is seen that the tests can pass, and that they see the copy at all."""
        tests, source = self._plan.tests_of(module), (self._root / module).read_text("utf-8")
        began = time.monotonic()
        if self._outcome(module, mutated(source, None), tests, None) != "survived":
            raise RuntimeError(f"The tests of {module} fail without any change: {' '.join(tests)}")
        took = time.monotonic() - began
        if self._outcome(module, "raise ImportError\n", tests, None) != "killed":
            raise RuntimeError(f"The tests of {module} pass without it: {' '.join(tests)}")
        print(f"{took:6.1f} s without a change: {module} and what has the same tests", flush=True)
        return max(_AT_LEAST_S, _TIMES_AS_LONG * took)

    def _try(self, mutant: Mutant) -> Result:
        module, mutation = mutant.module, mutant.mutation
        tests = self._plan.tests_of(module)
        source = mutated((self._root / module).read_text("utf-8"), mutation)
        outcome = self._outcome(module, source, tests, self._limits[tuple(tests)])
        print(f"{outcome:9} {module}:{mutation.line} {mutation.where}: {mutation.change}", flush=True)
        return _result(mutant, outcome)

    def _outcome(self, module: str, source: str, tests: Sequence[str], timeout_s: float | None) -> Outcome:
        tree = self._free.get()
        try:
            return tree.run(module, source, tests, timeout_s)
        finally:
            self._free.put(tree)


def in_process(plan: Plan, mutants: Sequence[Mutant], *, folder: Path, workers: int) -> dict[Mutant, Outcome]:
    """Those of `mutants` that a test notices without a copy.

    Raises: RuntimeError: the tests can't be run, or fail without any change.
    """
    if not mutants:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    orders, results = folder / "orders.json", folder / "results.txt"
    tests = [*dict.fromkeys(test for one in mutants for test in plan.tests_of(one.module))]
    tried = [(one.module, one.mutation.index) for one in mutants]
    orders.write_text(json.dumps({"tests": tests, "mutants": tried, "workers": workers}))
    command = [sys.executable, "-m", "setup_hooks.mutants_in_process", str(orders), str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != _PASSED:
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    told = dict(json.loads(line) for line in results.read_text().splitlines())
    return {
        mutants[number]: outcome for number, outcome in told.items() if outcome in ("killed", "timed out")
    }


def table(mutants: Sequence[Mutant], plan: Plan, results: Sequence[Result]) -> str:
    """By module, of those that anything was tried of: Markdown."""
    lines = [
        "| module | mutants | equivalent | tried | killed | survived |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for module in [*dict.fromkeys(one.module for one in results)]:
        here = [one for one in mutants if one.module == module]
        tried = [one.outcome for one in results if one.module == module]
        lines.append(
            f"| {module} | {len(here)} | {sum(one.named in plan.equivalent for one in here)} | {len(tried)} "
            f"| {len(tried) - tried.count('survived')} | {tried.count('survived')} |"
        )
    survived = sum(one.outcome == "survived" for one in results)
    equivalent = sum(one.named in plan.equivalent for one in mutants)
    lines.append(
        f"| all | {len(mutants)} | {equivalent} | {len(results)} | {len(results) - survived} | {survived} |"
    )
    return "\n".join(lines) + "\n"


def chosen(
    mutants: Sequence[Mutant], plan: Plan, *, sample: int, seed: int, again: Sequence[Result] | None = None
) -> list[Mutant]:
    """What is tried: `sample` of them (0: all) that are not equivalent, or those that survived last time."""
    left = [one for one in mutants if one.named not in plan.equivalent]
    if again is not None:
        survived = {(one.module, one.where, one.change) for one in again if one.outcome == "survived"}
        return [one for one in left if one.named in survived]
    if not sample or sample >= len(left):
        return left
    picked = random.Random(seed).sample(range(len(left)), sample)  # noqa: S311 -- a sample, nothing to guess
    return [left[number] for number in sorted(picked)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m setup_hooks.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"how many; 0: all (default {SAMPLE})")
    parser.add_argument("--seed", type=int, default=None, help="which ones; default: others each time")
    parser.add_argument(
        "--modules", nargs="*", default=[""], help="beginnings of paths; default: all of the plan"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--again", action="store_true", help="only what survived last time (build/mutants.json)"
    )
    options = parser.parse_args(arguments)
    plan = Plan(PLAN.read_text("utf-8"))
    modules = [one for one in plan.modules(ROOT) if one.startswith(tuple(options.modules))]
    mutants = all_of(modules, ROOT)
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    again = [Result(**one) for one in json.loads(REPORT.read_text())["results"]] if options.again else None
    picked = chosen(mutants, plan, sample=options.sample, seed=seed, again=again)
    print(f"{len(picked)} of {len(mutants)} mutants in {len(modules)} modules, seed {seed}", flush=True)
    quick = [one for one in picked if one.module.startswith(plan.in_process)]
    noticed = in_process(plan, quick, folder=TREES, workers=options.workers)
    print(f"{len(noticed)} of {len(quick)} noticed in one process", flush=True)
    trees = [Tree(TREES / str(number), ROOT) for number in range(options.workers)]
    results = [_result(one, outcome) for one, outcome in noticed.items()]
    results += Runner(plan, ROOT, trees).run([one for one in picked if one not in noticed])
    results.sort(key=lambda one: (one.module, one.line))
    REPORT.write_text(json.dumps({"seed": seed, "results": [asdict(one) for one in results]}, indent=1))
    print(table(mutants, plan, results))
    survived = [one for one in results if one.outcome == "survived"]
    for one in survived:
        print(f"survived: {one.module}:{one.line} {one.where}: {one.change}")
    return 1 if survived else 0


def _result(mutant: Mutant, outcome: Outcome) -> Result:
    mutation = mutant.mutation
    return Result(mutant.module, mutation.line, mutation.where, mutation.change, outcome)


def _copy_folder(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=_LEFT_OUT, symlinks=True)


if __name__ == "__main__":
    sys.exit(main())
