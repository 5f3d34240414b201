"""What a suite's two runs are compared by."""

from __future__ import annotations

import json
from pathlib import Path

from .differences import Known, differing, explained, known_of
from .outcomes import Outcome, counts, read
from .suites.every import SUITES

PASSED, FAILED = Outcome("passed"), Outcome("failed", "no")


def test_when_a_test_passes_directly_only_it_differs_however_it_ended() -> None:
    """A failure, a skip, and a test that was not reached."""
    direct = {"a": PASSED, "b": PASSED, "c": PASSED, "d": PASSED, "e": FAILED}
    through = {"a": PASSED, "b": FAILED, "c": Outcome("skipped"), "e": FAILED}
    assert {test: outcome.result for test, outcome in differing(direct, through).items()} == {
        "b": "failed",
        "c": "skipped",
        "d": "absent",
    }


def test_when_a_difference_has_no_reason_it_is_unknown() -> None:
    """A pattern is an id, or the beginning of one; brackets are no wildcards."""
    known = [Known("no replication", ("t.py::repl*", "t.py::one[x]"))]
    found = dict.fromkeys(("t.py::replica", "t.py::one[x]", "t.py::onex", "t.py::other"), FAILED)
    assert explained(found, known) == (
        {"no replication": ["t.py::replica", "t.py::one[x]"]},
        {"t.py::onex": FAILED, "t.py::other": FAILED},
    )


def test_when_a_run_was_cut_off_what_it_told_counts(tmp_path: Path) -> None:
    """Also with half a line at its end; and a run that has written nothing."""
    file = tmp_path / "run.jsonl"
    assert read(file) == {}
    file.write_text('["a", "passed", ""]\n["b", "failed", "no"]\n["c", "pas')
    assert read(file) == {"a": PASSED, "b": FAILED}
    assert counts(read(file)) == {"passed": 1, "failed": 1}


def test_every_known_difference_is_of_a_suite_and_has_a_reason() -> None:
    """Nothing in the file is out of reach."""
    file = Path(__file__).parent / "known_differences.json"
    assert set(json.loads(file.read_text())) <= {suite.name for suite in SUITES}
    for suite in SUITES:
        for known in known_of(suite.name):
            assert known.reason
            assert known.tests
