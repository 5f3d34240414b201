"""Our docstrings as Markdown. They have prose, code that is indented, and the sections `Args:` and `Raises:`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

_SECTIONS = {"Args": "Arguments", "Raises": "Raises"}
_SECTION = re.compile(r"(Args|Raises)( \([^)]*\))?:\s*(.*)")
_ENTRY = re.compile(r"(\w+(?:, \w+)*)(?:, \.\.\.)?:\s+(.*)")
_ERROR = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]*)+\b")


def markdown(documented: object) -> str:
    """The docstring of a function, property or class; empty if it has none."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    return "\n".join(_converted(lines)).strip()


def _converted(lines: list[str]) -> Iterator[str]:
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        section = _SECTION.fullmatch(line)
        if section is None:
            yield line.replace(" Raises: ", " **Raises** ")
            continue
        entries = []
        while rest and (not rest[0].strip() or rest[0].startswith("    ")):
            entries.append(rest.pop(0))
        title = f"**{_SECTIONS[section[1]]}**{section[2] or ''}"
        yield ""
        if section[3]:
            # On one line, or running on: a sentence, not a list.
            yield " ".join([title, _names(" ".join([section[3], *(entry.strip() for entry in entries)]))])
        else:
            yield from (title, "", *_listed(entries))
        yield ""


def _listed(entries: list[str]) -> Iterator[str]:
    """`    name: text` as an item, with the lines that go on with its sentence."""
    items: list[str] = []
    for entry in entries:
        text = entry.strip()
        if not text:
            continue
        if items and (entry.startswith(" " * 8) or not items[-1].endswith(".")):
            items[-1] += f" {text}"
        else:
            items.append(text)
    for item in items:
        found = _ENTRY.fullmatch(item)
        yield f"- {_code(found[1])}: {found[2]}" if found else f"- {_names(item)}"


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _names(text: str) -> str:
    return _ERROR.sub(r"`\g<0>`", text)
