"""What passes directly and not through a handle, and the reasons that are known for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .outcomes import Outcome, Outcomes

_FILE = Path(__file__).parent / "known_differences.json"

ABSENT = Outcome("absent")


@dataclass(frozen=True)
class Known:
    """A reason for tests: each is an id, or the beginning of ids when it ends with `*`."""

    reason: str
    tests: tuple[str, ...]

    def covers(self, test: str) -> bool:
        return any(
            test.startswith(pattern[:-1]) if pattern.endswith("*") else test == pattern
            for pattern in self.tests
        )


def known_of(suite: str, file: Path = _FILE) -> tuple[Known, ...]:
    entries = json.loads(file.read_text()).get(suite, [])
    return tuple(Known(entry["reason"], tuple(entry["tests"])) for entry in entries)


def differing(direct: Outcomes, through: Outcomes) -> dict[str, Outcome]:
    """How the tests that pass directly end through a handle, if otherwise."""
    ends = {test: through.get(test, ABSENT) for test, outcome in direct.items() if outcome.result == "passed"}
    return {test: outcome for test, outcome in ends.items() if outcome.result != "passed"}


def explained(
    different: Mapping[str, Outcome], known: Sequence[Known]
) -> tuple[dict[str, list[str]], dict[str, Outcome]]:
    """Tests by their reason; and those for which there is none."""
    by_reason: dict[str, list[str]] = {}
    unknown = {}
    for test, outcome in different.items():
        reason = next((entry.reason for entry in known if entry.covers(test)), None)
        if reason is None:
            unknown[test] = outcome
        else:
            by_reason.setdefault(reason, []).append(test)
    return by_reason, unknown
