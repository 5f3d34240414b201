"""What mypy and pyright say of `typed_uses.py`, as its users would run them: every wrong line, and no other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USES = Path(__file__).with_name("typed_uses.py")
PYRIGHT = ROOT / "labextension" / "node_modules" / "pyright" / "index.js"

# Not how long it should take: a type checker reads all libraries of the environment, on a machine that does more.
PATIENCE_S = 600


def marked() -> dict[int, str]:
    """Line -> `wrong` or `old`."""
    found = {}
    for number, line in enumerate(USES.read_text().splitlines(), start=1):
        if mark := re.search(r"  # (wrong|old)$", line):
            found[number] = mark[1]
    return found


def by_mypy(folder: Path) -> dict[int, set[str]]:
    """Line -> mypy's codes. Run from elsewhere, so that it finds the package where it is installed, by `py.typed`."""
    # Of another folder than `make check`'s, which has other settings; kept, because without it this takes a minute.
    cache = ROOT / "build" / "typed_uses" / "mypy"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull),
            *("--cache-dir", cache, "--enable-error-code", "deprecated", "--output", "json"),
            folder / USES.name,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[int, set[str]] = {}
    for line in done.stdout.splitlines():
        said = json.loads(line)
        if said["severity"] == "error":
            assert Path(said["file"]).name == USES.name, line
            found.setdefault(said["line"], set()).add(said["code"])
    return found


def by_pyright(folder: Path) -> dict[int, set[str]]:
    """Line -> pyright's rules."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert node, "no node: setup_hooks/bootstrap.py installs one"
    settings = {"typeCheckingMode": "strict", "reportDeprecated": "error", "pythonVersion": "3.10"}
    # What a library does not type is not ours; an expression that is a use is meant.
    unknown = ("MemberType", "VariableType", "ArgumentType", "ParameterType", "LambdaType")
    settings |= dict.fromkeys((f"reportUnknown{name}" for name in unknown), "none")
    settings |= dict.fromkeys(("reportUnusedExpression", "reportMissingTypeStubs"), "none")
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [node, PYRIGHT, "--outputjson", "--pythonpath", sys.executable, "--project", folder],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[int, set[str]] = {}
    for said in json.loads(done.stdout)["generalDiagnostics"]:
        if said["severity"] == "error":
            assert Path(said["file"]).name == USES.name, said
            found.setdefault(said["range"]["start"]["line"] + 1, set()).add(said.get("rule", "syntax"))
    return found


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize(
    ("checked", "deprecated"), [(by_mypy, "deprecated"), (by_pyright, "reportDeprecated")]
)
def test_a_type_checker_reports_the_wrong_lines_alone(
    tmp_path: Path, checked: Callable[[Path], dict[int, set[str]]], deprecated: str
) -> None:
    """Openers by kind, none without one, `with` blocks for plain text, the listing, the errors, former names."""
    shutil.copy(USES, tmp_path)
    expected = marked()
    assert len(expected) > 30
    reported = checked(tmp_path)
    lines = USES.read_text().splitlines()
    assert {lines[number - 1].strip() for number in expected.keys() - reported.keys()} == set()
    assert {lines[number - 1].strip(): reported[number] for number in reported.keys() - expected.keys()} == {}
    old = {number for number, mark in expected.items() if mark == "old"}
    assert {number for number, codes in reported.items() if deprecated in codes} == old


def test_the_package_says_that_it_is_typed() -> None:
    """PEP 561: without this file type checkers take everything of it for Any."""
    assert files("connvault_jupyter").joinpath("py.typed").is_file()
