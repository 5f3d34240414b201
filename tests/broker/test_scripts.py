"""Which file a process runs, from its command line alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from connvault_jupyter.broker.scripts import script_of

PYTHON = "/usr/bin/python3.11"

WITH_FILE = [
    ["python", "job.py"],
    ["python", "job.py", "-c", "x"],
    ["python", "-u", "job.py"],
    ["python", "-uB", "job.py"],
    ["python", "-W", "ignore", "job.py"],
    ["python", "-Wignore", "job.py"],
    ["python", "-X", "dev", "job.py"],
    ["python", "-uX", "dev", "job.py"],
    ["python", "--check-hash-based-pycs", "never", "job.py"],
    ["python", "--", "job.py"],
]
WITHOUT_FILE = [
    [],
    ["python"],
    ["python", "-"],
    ["python", "-c", "print(1)"],
    ["python", "-Bc", "print(1)"],
    ["python", "-m", "job"],
    ["python", "-um", "job", "job.py"],
    ["python", "-i"],
    ["python", "missing.py"],
    ["python", "."],
    ["python", "a\0b"],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one script."""
    (tmp_path / "job.py").write_text("print(1)")
    return tmp_path


@pytest.mark.parametrize("arguments", WITH_FILE, ids=" ".join)
def test_a_script_is_found_behind_python_s_options(folder: Path, arguments: list[str]) -> None:
    """Relative to the directory of the process, with the hash of what it holds now."""
    script = script_of(PYTHON, arguments, str(folder))
    assert script is not None
    assert script.file == (folder / "job.py").resolve()
    assert script.sha256 == hashlib.sha256(b"print(1)").hexdigest()


@pytest.mark.parametrize("arguments", WITHOUT_FILE, ids=repr)
def test_code_without_a_file_is_no_script(folder: Path, arguments: list[str]) -> None:
    """`-c`, `-m`, standard input, and what is no file."""
    assert script_of(PYTHON, arguments, str(folder)) is None


def test_a_relative_script_needs_a_directory(folder: Path) -> None:
    """Without one it could be any file of that name."""
    assert script_of(PYTHON, ["python", "job.py"], None) is None
    assert script_of(PYTHON, ["python", str(folder / "job.py")], None) is not None


def test_another_interpreter_s_first_argument_is_its_script(folder: Path) -> None:
    """A shell or node runs the file that it is given."""
    script = script_of("/bin/sh", ["/bin/sh", "job.py"], str(folder))
    assert script is not None
    assert script_of("/usr/bin/psql", ["psql", "-h"], str(folder)) is None


def test_a_huge_file_is_no_script(folder: Path) -> None:
    """Hashing it would hold up the answer."""
    with (folder / "job.py").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert script_of(PYTHON, ["python", "job.py"], str(folder)) is None
