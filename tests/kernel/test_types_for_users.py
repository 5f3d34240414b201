"""What mypy and pyright say of `typed_uses.py`, as its users would run them: every wrong line, and no other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

import connvault_jupyter
from connvault_jupyter import errors
from connvault_jupyter.errors import every_error

ROOT = Path(__file__).resolve().parents[2]
USES = Path(__file__).with_name("typed_uses.py")

# Not how long it should take: a type checker reads all libraries of the environment, on a machine that does more.
PATIENCE_S = 600

# For an environment that has this package alone. What another library gives is Any there; what is ours is not.
USES_WITHOUT_LIBRARIES = """\
from __future__ import annotations

from connvault_jupyter import SqlHandle, connection


async def everything(sql: SqlHandle) -> None:
    db = connection("warehouse", kind="postgresql")
    print(db.engine().dialect.name, db.connect().info, db.async_engine(), await db.async_connect())
    print(connection("shop", kind="mysql").connect().cursor(), sql.engine())
    api = connection("github", kind="http")
    print(api.session().get("/user"), api.client(timeout=3), api.async_client(), api.token.upper())
    lake = connection("lake", kind="s3")
    print(lake.client().list_buckets(), lake.resource(), lake.filesystem().ls("b"))
    cache = connection("cache", kind="redis")
    print(cache.client().get("key"), cache.async_client())
    print(connection("build", kind="ssh").connect().get_transport())
    db.engin()  # wrong
    api.engine()  # wrong
    connection("warehouse").engine()  # wrong
"""

# A file and a Python, whose packages are seen -> each line that is reported, with the codes.
Check = Callable[[Path, Path], dict[int, set[str]]]


def marked(text: str) -> dict[int, str]:
    """Line -> `wrong` or `old`."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if mark := re.search(r"  # (wrong|old)$", line):
            found[number] = mark[1]
    return found


def by_mypy(file: Path, python: Path) -> dict[int, set[str]]:
    """Run from elsewhere, so that it finds the package where it is installed, by `py.typed`."""
    # Of another folder than `make check`'s, which has other settings; kept, because without it this takes a minute.
    cache = ROOT / "build" / "typed_uses" / f"mypy-{file.stem}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull),
            *("--python-executable", python, "--cache-dir", cache),
            *("--enable-error-code", "deprecated", "--output", "json", file),
        ],
        cwd=file.parent,
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
            assert Path(said["file"]).name == file.name, line
            found.setdefault(said["line"], set()).add(said["code"])
    return found


def by_pyright(file: Path, python: Path) -> dict[int, set[str]]:
    """In strict mode too."""
    settings = {"typeCheckingMode": "strict", "reportDeprecated": "error", "pythonVersion": "3.10"}
    # What a library does not type is not ours; an expression that is a use is meant.
    unknown = ("MemberType", "VariableType", "ArgumentType", "ParameterType", "LambdaType")
    settings |= dict.fromkeys((f"reportUnknown{name}" for name in unknown), "none")
    settings |= dict.fromkeys(("reportUnusedExpression", "reportMissingTypeStubs"), "none")
    (file.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson"),
            *("--pythonpath", python, "--project", file.parent),
        ],
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[int, set[str]] = {}
    for said in json.loads(done.stdout)["generalDiagnostics"]:
        if said["severity"] == "error":
            assert Path(said["file"]).name == file.name, said
            found.setdefault(said["range"]["start"]["line"] + 1, set()).add(said.get("rule", "syntax"))
    return found


def assert_reported(text: str, reported: dict[int, set[str]]) -> None:
    """The marked lines, and no others."""
    lines = text.splitlines()
    expected = marked(text)
    assert {lines[number - 1].strip() for number in expected.keys() - reported.keys()} == set()
    assert {lines[number - 1].strip(): reported[number] for number in reported.keys() - expected.keys()} == {}


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize(("check", "deprecated"), [(by_mypy, "deprecated"), (by_pyright, "reportDeprecated")])
def test_a_type_checker_reports_the_wrong_lines_alone(tmp_path: Path, check: Check, deprecated: str) -> None:
    """Openers by kind, none without one, `with` blocks for plain text, the listing, the errors, former names."""
    text = USES.read_text()
    assert len(marked(text)) > 30
    reported = check(Path(shutil.copy(USES, tmp_path)), Path(sys.executable))
    assert_reported(text, reported)
    old = {number for number, mark in marked(text).items() if mark == "old"}
    assert {number for number, codes in reported.items() if deprecated in codes} == old


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("check", [by_mypy, by_pyright])
def test_a_library_that_is_not_installed_costs_no_more_than_its_types(tmp_path: Path, check: Check) -> None:
    """No error in our package or in the user's code for the extras that a project does not use."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    (packages,) = (tmp_path / "bare" / "lib").glob("python*/site-packages")
    (packages / "connvault_jupyter").symlink_to(Path(connvault_jupyter.__file__).parent)
    folder = tmp_path / "code"
    folder.mkdir()
    file = folder / "without_libraries.py"
    file.write_text(USES_WITHOUT_LIBRARIES)
    assert_reported(USES_WITHOUT_LIBRARIES, check(file, python))


def test_the_package_says_that_it_is_typed() -> None:
    """PEP 561: without this file type checkers take everything of it for Any."""
    assert files("connvault_jupyter").joinpath("py.typed").is_file()


def test_every_error_is_importable_from_the_package() -> None:
    """And is the same class there. What a type checker finds there is found when it runs."""
    for error in (one for one in every_error().values() if one.__module__ == errors.__name__):
        assert getattr(connvault_jupyter, error.__name__) is error
    assert all(hasattr(connvault_jupyter, name) for name in connvault_jupyter.__all__)
    assert dir(connvault_jupyter) == sorted(connvault_jupyter.__all__)
