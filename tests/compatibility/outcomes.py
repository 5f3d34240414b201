"""What a run of a suite told, test by test."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """`passed`, `failed` or `skipped`, and what it said if it did not pass."""

    result: str
    text: str = ""


Outcomes = Mapping[str, Outcome]
"""By the id of the test."""


def read(path: Path) -> dict[str, Outcome]:
    """Of the plugin's file. The last line of a run that was cut off may be half a line."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            test, result, text = json.loads(line)
        except ValueError:
            continue
        found[test] = Outcome(result, text)
    return found


def counts(outcomes: Outcomes) -> dict[str, int]:
    return dict(Counter(outcome.result for outcome in outcomes.values()))
