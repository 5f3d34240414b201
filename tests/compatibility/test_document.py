"""The documentation's tables are those of the results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .document import FILE, differences, library_table, suites, write
from .library_runs import libraries
from .results import keep, load


def test_the_tables_are_those_of_the_results(tmp_path: Path) -> None:
    """Nobody has edited them by hand."""
    copy = tmp_path / "compatibility.md"
    shutil.copy(FILE, copy)
    write(load(), copy)
    assert copy.read_text() == FILE.read_text()


def test_every_library_has_a_script_that_says_what_it_does_and_a_row() -> None:
    """And every script is some library's."""
    every = [*libraries()]
    assert all(library.does for library in every)
    assert {library.name for library in every} == set(load()["libraries"])
    scripts = {path for library in every for path in library.script.parent.glob("*.py")}
    assert scripts == {library.script for library in every}


def test_when_a_run_is_kept_other_rows_stay(tmp_path: Path) -> None:
    """A run of one suite doesn't lose the others."""
    file = tmp_path / "results.json"
    keep("suites", "a", {"x": 1}, file)
    keep("libraries", "b", {"y": 2}, file)
    keep("suites", "a", {"x": 3}, file)
    assert load(file) == {"suites": {"a": {"x": 3}}, "libraries": {"b": {"y": 2}}}


def test_when_a_difference_is_unknown_the_tables_say_so() -> None:
    """Many tests are counted by their file."""
    row = {
        "version": "1", "origin": "o", "way": "w", "direct": {"passed": 1000},
        "known": {"why": [f"tests/t.py::{number}" for number in range(7)]}, "unknown": {"tests/u.py::a": "failed"},
    }  # fmt: skip
    assert "| 1,000 | 992 | 8 |" in suites({"psycopg": row})
    table = differences({"psycopg": row})
    assert "| psycopg | 7 of `t.py` | why |" in table
    assert "| psycopg | `u.py::a` | not known yet |" in table


@pytest.mark.parametrize(
    ("row", "result"),
    [
        ({"works": True, "needs": "", "fails": ""}, "works"),
        ({"works": True, "needs": "a port", "fails": ""}, "works with a port"),
        ({"works": False, "needs": "", "fails": "no a | b"}, "does not: no a \\| b"),
    ],
)
def test_what_a_library_does_is_said(row: dict[str, object], result: str) -> None:
    """In one cell of the table."""
    others = {"distribution": "d", "version": "1", "kind": "redis", "real": True, "does": "it", "told": ""}
    name = next(libraries()).name
    assert library_table({name: {**others, **row}}).endswith(f"| d | 1 | Redis | it | {result} |")
