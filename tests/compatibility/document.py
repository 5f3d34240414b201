"""The tables of docs/compatibility.md, made from the results. The text around them is written by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .library_runs import libraries
from .results import Results
from .suites.every import SUITES

FILE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"

_KINDS = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL, MariaDB",
    "redis": "Redis",
    "http": "HTTP API",
    "s3": "S3",
    "ssh": "SSH",
}
# More of them than this are named by their file.
_NAMED = 6


def write(found: Results, file: Path = FILE) -> None:
    text = file.read_text()
    for name, table in (
        ("suites", suites(found["suites"])),
        ("differences", differences(found["suites"])),
        ("libraries", library_table(found["libraries"])),
    ):
        text = _between(text, name, table)
    file.write_text(text)


def suites(rows: Mapping[str, Any]) -> str:
    lines = [
        "| suite | version, tests from | through | pass directly | pass through too | differ |",
        "|---|---|---|---|---|---|",
    ]
    for suite in SUITES:
        if suite.name in rows:
            row = rows[suite.name]
            differ = sum(len(tests) for tests in row["known"].values()) + len(row["unknown"])
            directly = row["direct"].get("passed", 0)
            lines.append(
                f"| {suite.name} | {row['version']}, {row['origin']} | {row['way']} | {directly:,} "
                f"| {directly - differ:,} | {differ} |"
            )
    return "\n".join(lines)


def differences(rows: Mapping[str, Any]) -> str:
    lines = ["| suite | tests | why |", "|---|---|---|"]
    for suite in SUITES:
        row = rows.get(suite.name, {"known": {}, "unknown": {}})
        for reason, tests in row["known"].items():
            lines.append(f"| {suite.name} | {_tests(tests)} | {_cell(reason)} |")
        if row["unknown"]:
            lines.append(f"| {suite.name} | {_tests([*row['unknown']])} | not known yet |")
    return "\n".join(lines)


def library_table(rows: Mapping[str, Any]) -> str:
    lines = ["| library | version | with | what was done | result |", "|---|---|---|---|---|"]
    for library in libraries():
        if library.name in rows:
            row = rows[library.name]
            kind = _KINDS[row["kind"]] + ("" if row["real"] else " (stand-in)")
            lines.append(
                f"| {row['distribution']} | {row['version']} | {kind} | {_cell(row['does'])} | {_result(row)} |"
            )
    return "\n".join(lines)


def _result(row: Mapping[str, Any]) -> str:
    if row["works"]:
        return f"works with {_cell(row['needs'])}" if row["needs"] else "works"
    return f"does not: {_cell(row['fails'] or row['told'])}"


def _tests(tests: list[str]) -> str:
    if len(tests) <= _NAMED:
        return "<br>".join(f"`{test.removeprefix('tests/')}`".replace("|", "\\|") for test in tests)
    files: dict[str, int] = {}
    for test in tests:
        name = test.partition("::")[0].removeprefix("tests/")
        files[name] = files.get(name, 0) + 1
    return "<br>".join(f"{count} of `{name}`" for name, count in files.items())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _between(text: str, name: str, table: str) -> str:
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    made, count = marks.subn(lambda found: f"{found[1]}{table}\n{found[2]}", text)
    if count != 1:
        raise ValueError(f"docs/compatibility.md has no single place for the table of {name}")
    return made
