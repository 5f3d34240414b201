"""The index of tests/support names what is there, so that nobody writes a second one."""

from __future__ import annotations

import re
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent / "support"


def indexed() -> dict[str, list[str]]:
    """The names of modules by folder, as the index has them; here is `.`."""
    found: dict[str, list[str]] = {}
    folder = "."
    for line in (SUPPORT / "README.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading = re.match(r"## `(\w+)/`", line)
            folder = heading[1] if heading else "."
        elif line.startswith("| `"):
            found.setdefault(folder, []).extend(re.findall(r"`(\w+\.py)`", line.split("|")[1]))
    return found


def test_the_index_of_support_names_every_module_once() -> None:
    """And none that has gone."""
    there: dict[str, list[str]] = {}
    for path in SUPPORT.rglob("*.py"):
        there.setdefault(path.parent.relative_to(SUPPORT).as_posix(), []).append(path.name)
    assert {folder: sorted(names) for folder, names in indexed().items()} == {
        folder: sorted(names) for folder, names in there.items()
    }
