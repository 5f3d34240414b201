"""The results as they are kept: a JSON file from which the tables of the documentation are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

_FILE = Path(__file__).parent / "results.json"

Results = dict[str, dict[str, Any]]
"""Rows by their name, of `suites` and of `libraries`."""


def load(file: Path = _FILE) -> Results:
    empty: Results = {"suites": {}, "libraries": {}}
    return {**empty, **json.loads(file.read_text())} if file.exists() else empty


def keep(part: Literal["suites", "libraries"], name: str, row: dict[str, Any], file: Path = _FILE) -> None:
    """In the place of what this suite or library had. Read anew: two runs may be under way."""
    found = load(file)
    found[part][name] = row
    file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
