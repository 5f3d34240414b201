"""Parses the words after `%connections` into a command. A message never repeats what was typed."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VERBS = ("list", "new", "use", "show", "revoke", "audit", "help")

_FIELD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


class BadCommand(ValueError):
    """The line is not a valid command; the message shows the usage."""


@dataclass(frozen=True)
class Command:
    """`verb` is one of `VERBS`, or empty for the panel; missing parts are empty. `name`: a connection's."""

    verb: str = ""
    name: str = ""
    provider: str = ""
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    variable: str = ""
    reason: str | None = None


def parse(line: str) -> Command:
    """Raises: BadCommand."""
    try:
        words = shlex.split(line)
    except ValueError:
        raise BadCommand("A quotation mark is not closed.") from None
    if not words:
        return Command()
    verb, rest = words[0], words[1:]
    if verb == "list" or verb == "help":
        _expect(rest, 0, 0, f"%connections {verb}")
        return Command(verb)
    if verb == "new":
        return _new(rest)
    if verb == "use":
        return _use(rest)
    if verb in ("show", "revoke"):
        _expect(rest, 1, 1, f"%connections {verb} NAME")
        return Command(verb, name=rest[0])
    if verb == "audit":
        _expect(rest, 0, 1, "%connections audit [NAME]")
        return Command(verb, name=rest[0] if rest else "")
    raise BadCommand(f"Usage: %connections, alone for the panel, or with one of: {', '.join(VERBS)}.")


def identifier(name: str) -> str | None:
    """A variable for a connection's name: `my-db.eu` -> `my_db_eu`; `None` for a Python keyword."""
    found = re.sub(r"\W", "_", name)
    return found if found.isidentifier() and not keyword.iskeyword(found) else None


def _new(rest: Sequence[str]) -> Command:
    usage = "%connections new PROVIDER [field=value ...]"
    if not rest:
        return Command("new")
    if "=" in rest[0]:
        raise BadCommand(f"The kind of connection comes first. Usage: {usage}")
    values: dict[str, str] = {}
    for word in rest[1:]:
        found = _FIELD.fullmatch(word)
        if found is None:
            raise BadCommand(
                f"After the kind, give each field as field=value, without spaces. Usage: {usage}"
            )
        values[found[1]] = found[2]
    return Command("new", provider=rest[0], name=values.pop("name", ""), values=values)


def _use(rest: Sequence[str]) -> Command:
    usage = "%connections use NAME [as VARIABLE] [--reason WORDS ...]"
    reason: str | None = None
    words = list(rest)
    for index, word in enumerate(words):
        if word == "--reason" or word.startswith("--reason="):
            said = [word.partition("=")[2], *words[index + 1 :]]
            reason = " ".join(part for part in said if part)
            words = words[:index]
            break
    if reason == "":
        raise BadCommand(f"--reason needs a text. Usage: {usage}")
    if len(words) not in (1, 3) or (len(words) == 3 and words[1] != "as"):
        raise BadCommand(f"Usage: {usage}")
    variable = words[2] if len(words) == 3 else identifier(words[0])
    if variable is None or not variable.isidentifier() or keyword.iskeyword(variable):
        raise BadCommand(f"The variable must be a valid Python name. Usage: {usage}")
    return Command("use", name=words[0], variable=variable, reason=reason)


def _expect(words: Sequence[str], least: int, most: int, usage: str) -> None:
    if not least <= len(words) <= most:
        raise BadCommand(f"Usage: {usage}")
