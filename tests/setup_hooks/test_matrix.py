"""The table of `make matrix` says what was run, and nothing of what was not."""

from __future__ import annotations

import sys
from pathlib import Path

from setup_hooks import matrix

HERE = "{}.{}".format(*sys.version_info)


def program(folder: Path, name: str, script: str) -> str:
    made = folder / name
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    return str(made)


def test_a_shim_that_does_nothing_is_no_python(tmp_path: Path) -> None:
    """Version managers leave one for each version that is known anywhere."""
    shim = program(tmp_path, "python3.10", "echo not found >&2; exit 127")
    assert shim not in matrix.interpreters([shim]).values()


def test_a_given_python_counts_before_one_on_path(tmp_path: Path) -> None:
    """And each version once, whatever the program is called."""
    given = program(tmp_path, "mine", f'exec {sys.executable} "$@"')
    assert matrix.interpreters([given])[HERE] == given


def test_the_counts_are_those_of_the_report(tmp_path: Path) -> None:
    """What was skipped has not passed, and an error is a failure."""
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/>'
        '<testsuite tests="1" failures="0" errors="0" skipped="0"/></testsuites>'
    )
    row = matrix.Row("3.12.1", lab="4.6.6")
    matrix.count(report, row)
    assert (row.passed, row.failed) == (5, 3)


def test_what_was_not_run_has_no_numbers() -> None:
    """A Python that is not here, and one whose run broke off."""
    rows = [
        matrix.Row("3.14", trouble="not here"),
        matrix.Row("3.12.1", lab="4.6.6", passed=5, failed=1, seconds=120, trouble="pytest ended with 3"),
    ]
    assert matrix.table(rows).splitlines()[2:] == [
        "| 3.14 | not here | | | |",
        "| 3.12.1 | 4.6.6 | 5 | 1 (pytest ended with 3) | 2 |",
    ]
