"""`make matrix`: the tests on each Python that is here, and on the oldest JupyterLab; prints a table of what was run.

    python setup_hooks/matrix.py [--pythons PATH ...] [--tests PATH ...] [--workers N] [--without-browser]

Each has a virtual environment of its own in build/matrix, made as .venv is (bootstrap.py). A Python that is not here,
or for which a locked package is missing, has a row that says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "matrix"

# The floor is that of pyproject.toml; the last one may not be out yet.
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
OLDEST_LAB = "requirements/lab-4.2.lock"

# As in the Makefile: Playwright's event loop and those of the asynchronous tests do not share a process.
_SUITES = {"tests": "not e2e and not bench and not fuzz", "browser": "e2e"}
_DISTRIBUTION = {"tests": ("--dist", "loadfile", "--no-loadscope-reorder"), "browser": ("--dist", "load")}

# pytest(1): all passed, some failed, and none was there to run.
_RAN = (0, 1)
_NONE = 5


@dataclass(frozen=True)
class Environment:
    """`lock_over`: a lock file that is laid over the usual one; empty for none."""

    python: str
    version: str
    lock_over: str = ""

    @property
    def folder(self) -> Path:
        return FOLDER / (f"{self.version}-{Path(self.lock_over).stem}" if self.lock_over else self.version)

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin" / "python"


@dataclass
class Row:
    """What was run in one environment; `trouble` where it was not, or not to its end."""

    python: str
    lab: str = ""
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    trouble: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pythons", nargs="*", default=[], help="interpreters beside those on PATH")
    parser.add_argument("--tests", nargs="*", default=["tests"], help="files or folders; default: all")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--without-browser", action="store_true")
    options = parser.parse_args()
    suites = {
        name: marks for name, marks in _SUITES.items() if not (options.without_browser and name == "browser")
    }
    found = interpreters(options.pythons)
    rows = [Row(version, trouble="not here") for version in PYTHONS if version not in found]
    environments = [Environment(python, version) for version, python in found.items()]
    if environments:
        environments.append(Environment(environments[0].python, environments[0].version, OLDEST_LAB))
    for environment in environments:
        rows.append(run(environment, suites, options.tests, options.workers))
        print(table(rows), flush=True)
    (FOLDER / "table.md").write_text(table(rows))
    return 0 if all(not row.failed and row.trouble in ("", "not here") for row in rows) else 1


def interpreters(given: Sequence[str]) -> dict[str, str]:
    """A program for each version that works, oldest first. A shim of a version manager may be there and do nothing."""
    candidates = [
        *given,
        *filter(None, (shutil.which(f"python{version}") for version in PYTHONS)),
        sys.executable,
    ]
    found: dict[str, str] = {}
    for program in candidates:
        asked = subprocess.run(
            [program, "-c", "import sys; print('{}.{}'.format(*sys.version_info))"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0:
            found.setdefault(asked.stdout.strip(), program)
    return {version: found[version] for version in PYTHONS if version in found}


def run(environment: Environment, suites: dict[str, str], tests: Sequence[str], workers: str) -> Row:
    """Makes the environment and runs the suites in it."""
    row = Row(_version(environment.python))
    began = time.monotonic()
    made = subprocess.run(
        [environment.python, "setup_hooks/bootstrap.py"],
        cwd=ROOT,
        env={
            **os.environ,
            "CONNVAULT_VENV": str(environment.folder),
            "CONNVAULT_LOCK_OVER": environment.lock_over,
        },
        check=False,
    )
    if made.returncode:
        row.trouble = "its packages can't be installed"
        return row
    row.python = _version(str(environment.interpreter))
    row.lab = _output(environment, "import jupyterlab; print(jupyterlab.__version__)")
    for name, marks in suites.items():
        report = environment.folder / f"{name}.xml"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            [
                *(str(environment.interpreter), "-m", "pytest", "-q", "-n", workers, *_DISTRIBUTION[name]),
                *("-m", marks, f"--junitxml={report}", "-p", "no:cacheprovider", *tests),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{environment.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            },
            check=False,
        )
        if done.returncode in _RAN:
            count(report, row)
        elif done.returncode != _NONE:
            row.trouble = f"pytest ended with {done.returncode}"
    row.seconds = time.monotonic() - began
    return row


def count(report: Path, row: Row) -> None:
    """Adds what a JUnit report says."""
    for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 -- our own pytest's
        numbers = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        row.failed += numbers["failures"] + numbers["errors"]
        row.passed += numbers["tests"] - numbers["failures"] - numbers["errors"] - numbers["skipped"]


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| Python | JupyterLab | passed | failed | min |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        if row.lab:
            failed = f"{row.failed} ({row.trouble})" if row.trouble else str(row.failed)
            lines.append(f"| {row.python} | {row.lab} | {row.passed} | {failed} | {row.seconds / 60:.0f} |")
        else:
            lines.append(f"| {row.python} | {row.trouble} | | | |")
    return "\n".join(lines) + "\n"


def _version(python: str) -> str:
    asked = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


def _output(environment: Environment, code: str) -> str:
    argv = [str(environment.interpreter), "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
