"""Which file a process runs, from how it was started: only where that file is all that runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from connvault_jupyter.broker.script_identity import Script, Started, script_of

PYTHON = "/usr/bin/python3.11"

WITH_FILE = [
    ["python", "job.py"],
    ["python", "job.py", "-c", "x"],
    ["python", "job.py", "-i"],
    ["python", "-u", "job.py"],
    ["python", "-uB", "job.py"],
    ["python", "-I", "job.py"],
    ["python", "-bb", "-OO", "-qsSE", "-P", "-v", "job.py"],
    ["python", "-W", "ignore", "job.py"],
    ["python", "-Wignore", "job.py"],
    ["python", "-uWerror::DeprecationWarning", "job.py"],
    ["python", "-X", "dev", "job.py"],
    ["python", "-uX", "dev", "job.py"],
    ["python", "-Xutf8=1", "-X", "importtime", "-X", "tracemalloc=25", "job.py"],
    ["python", "--check-hash-based-pycs", "never", "job.py"],
    ["python", "--", "job.py"],
    ["python", "-u", "--", "job.py"],
]
WITHOUT_FILE = [
    [],
    ["python"],
    # Standard input, also by other names.
    ["python", "-"],
    ["python", "-", "job.py"],
    ["python", "/dev/stdin", "job.py"],
    ["python", "/dev/fd/0"],
    ["python", "/proc/self/fd/0"],
    ["python", "--"],
    # Other code.
    ["python", "-c", "print(1)"],
    ["python", "-cprint(1)", "job.py"],
    ["python", "-Bc", "print(1)"],
    ["python", "-m", "job"],
    ["python", "-m", "pdb", "job.py"],
    ["python", "-mpdb", "job.py"],
    ["python", "-um", "job", "job.py"],
    # More code afterwards.
    ["python", "-i"],
    ["python", "-i", "job.py"],
    ["python", "-Ii", "job.py"],
    ["python", "-bi", "job.py"],
    ["python", "-ui", "--", "job.py"],
    ["python", "-iu", "job.py"],
    ["python", "-i", "-W", "ignore", "job.py"],
    # Not the whole of it, or nothing at all.
    ["python", "-x", "job.py"],
    ["python", "-ux", "job.py"],
    ["python", "-h", "job.py"],
    ["python", "-V", "job.py"],
    # A value that brings code of its own, or hides where the options end.
    ["python", "-X", "pycache_prefix=/tmp/evil", "job.py"],
    ["python", "-Xpresite=evil", "job.py"],
    ["python", "-X", "anything", "job.py"],
    ["python", "-X", "job.py"],
    ["python", "-W", "ignore::evil.Category", "job.py"],
    ["python", "-Wi:evil", "job.py"],
    ["python", "-W", "job.py"],
    ["python", "--check-hash-based-pycs", "job.py"],
    ["python", "--check-hash-based-pycs", "job.py", "job.py"],
    # An option that nobody has judged.
    ["python", "-Q", "new", "job.py"],
    ["python", "-t", "job.py"],
    ["python", "-J", "job.py"],
    ["python", "--inspect", "job.py"],
    ["python", "--help-all", "job.py"],
    ["python", "-\u0069\u0307", "job.py"],
    # No small file.
    ["python", "missing.py"],
    ["python", "."],
    ["python", "a\0b"],
    ["python", ""],
]

# What these run is in their first argument now and then, and elsewhere at other times.
OTHER_PROGRAMS = [
    ("/bin/sh", ["sh", "job.py"]),
    ("/bin/bash", ["bash", "-i", "job.py"]),
    ("/bin/bash", ["bash", "--rcfile", "job.py"]),
    ("/bin/bash", ["bash", "-s", "job.py"]),
    ("/usr/bin/node", ["node", "-r", "job.py"]),
    ("/usr/bin/node", ["node", "--import", "job.py", "evil.mjs"]),
    ("/usr/bin/node", ["node", "--inspect", "job.py"]),
    ("/usr/bin/node", ["node", "-i", "job.py"]),
    ("/usr/bin/perl", ["perl", "-e", "1", "job.py"]),
    ("/usr/bin/perl", ["perl", "-d", "job.py"]),
    ("/usr/bin/perl", ["perl", "-Mevil", "job.py"]),
    ("/usr/bin/ruby", ["ruby", "-r", "./evil", "job.py"]),
    ("/usr/lib/R/bin/exec/R", ["R", "--no-echo", "--file=evil.R", "--args", "job.py"]),
    ("/usr/bin/env", ["env", "-S", "evil", "job.py"]),
    ("/usr/bin/psql", ["psql", "job.py"]),
    ("/usr/bin/gdb", ["gdb", "job.py"]),
    ("python-evil", ["python", "job.py"]),
    ("mypython3", ["python", "job.py"]),
    ("/usr/bin/python3.11-config", ["python", "job.py"]),
    ("", ["python", "job.py"]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one script, and what else could be run."""
    for name in ("job.py", "evil.R", "evil.mjs", "never", "ignore", "dev"):
        (tmp_path / name).write_text("print(1)")
    return tmp_path


def found(
    arguments: list[str],
    folder: Path | None,
    *,
    executable: str = PYTHON,
    environment: dict[str, str] | None = None,
) -> Script | None:
    variables = {} if environment is None else environment
    return script_of(Started(executable, arguments, str(folder) if folder else None, variables))


@pytest.mark.parametrize("arguments", WITH_FILE, ids=" ".join)
def test_a_script_is_found_behind_options_that_bring_no_code(folder: Path, arguments: list[str]) -> None:
    """Relative to the directory of the process, with the hash of what it holds now."""
    script = found(arguments, folder)
    assert script is not None
    assert script.file == (folder / "job.py").resolve()
    assert script.sha256 == hashlib.sha256(b"print(1)").hexdigest()


@pytest.mark.parametrize("arguments", WITHOUT_FILE, ids=repr)
def test_where_the_file_is_not_all_that_runs_there_is_no_script(folder: Path, arguments: list[str]) -> None:
    """Other code, more code, code of another place, an option that nobody has judged, what is no file."""
    assert found(arguments, folder) is None


@pytest.mark.parametrize("name", ["python", "python3", "python3.12", "python3.13t", "pypy3.10", "Python"])
def test_a_script_of_any_python_is_found(folder: Path, name: str) -> None:
    """By the program that runs, and not by the name that it gives itself."""
    assert found(["anything", "job.py"], folder, executable=f"/opt/bin/{name}") is not None


@pytest.mark.parametrize(("executable", "arguments"), OTHER_PROGRAMS, ids=str)
def test_another_program_has_no_script(folder: Path, executable: str, arguments: list[str]) -> None:
    """Each has its own ways to run something else; what asks the broker is Python."""
    # Those without a path lie beside the script.
    program = str(folder / executable) if executable else ""
    assert found(arguments, folder, executable=program) is None


def test_a_relative_script_needs_a_directory(folder: Path) -> None:
    """Without one it could be any file of that name."""
    assert found(["python", "job.py"], None) is None
    assert found(["python", str(folder / "job.py")], None) is not None


def test_a_huge_file_is_no_script(folder: Path) -> None:
    """Hashing it would hold up the answer."""
    with (folder / "job.py").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert found(["python", "job.py"], folder) is None


def test_an_environment_that_can_not_be_read_has_no_script(folder: Path) -> None:
    """It could say anything."""
    assert script_of(Started(PYTHON, ["python", "job.py"], str(folder), None)) is None


def test_a_prompt_asked_for_by_the_environment_leaves_no_script(folder: Path) -> None:
    """`PYTHONINSPECT` is `-i`."""
    assert found(["python", "job.py"], folder, environment={"PYTHONINSPECT": "1"}) is None
    assert found(["python", "job.py"], folder, environment={"PYTHONINSPECT": ""}) is not None


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS", "PYTHONBREAKPOINT",
        "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONCASEOK", "PYTHON_PRESITE", "PYTHON_OF_TOMORROW",
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES",
    ],
)  # fmt: skip
def test_variables_that_have_a_say_in_what_runs_are_part_of_it(folder: Path, name: str) -> None:
    """With another value it is another script, and without it the one from before they counted."""
    ways: list[dict[str, str]] = [{}, {name: "/a"}, {name: "/b"}, {name: "/a", "PYTHONPATH2": "/b"}]
    scripts = [found(["python", "job.py"], folder, environment=way) for way in ways]
    assert len({script.surroundings for script in scripts if script}) == 4
    assert scripts[0] is not None
    assert scripts[0].surroundings == ""


@pytest.mark.parametrize(
    "name", ["PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONSTARTUP", "HOME", "CONNVAULT_SOCKET"]
)
def test_variables_without_a_say_are_no_part_of_a_script(folder: Path, name: str) -> None:
    """Else each terminal would be asked anew."""
    script = found(["python", "job.py"], folder, environment={name: "1"})
    assert script is not None
    assert script.surroundings == ""
