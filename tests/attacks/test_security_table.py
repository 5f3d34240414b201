"""SECURITY.md names tests: they exist, so that a renamed or removed one can't leave a claim behind."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there() -> None:
    """By its function's name."""
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 40
    assert named - defined == set()


def test_every_file_that_is_named_is_there() -> None:
    """By its path below the root, or below this folder."""
    files = re.findall(r"`(tests/[\w/]+\.py)`", TEXT)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_only_the_standard_tier_is_claimed() -> None:
    """The others do not exist yet."""
    assert "**Only the first one exists.**" in TEXT
    rows = dict(re.findall(r"^\| \**(Standard|Presence|Isolated)\** \|.*\| ([^|]*) \|$", TEXT, re.MULTILINE))
    assert rows == {"Standard": "this version", "Presence": "not built", "Isolated": "not built"}


def test_attacks_that_are_not_stopped_are_listed() -> None:
    """A table without them would be advertising."""
    assert TEXT.count("**not stopped**") >= 15
