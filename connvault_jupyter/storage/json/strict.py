"""Reads JSON that people, editors and git have had in their hands. What is in it is for others to say."""

from __future__ import annotations

import json
from typing import Any, NoReturn

_MARKERS = ("<<<<<<< ", ">>>>>>> ")


class NotStrict(Exception):
    """Why the text can't be read: the rest of a sentence that begins with the file's name, without its content.
    `mendable`: a person has to correct it; `False`: the sentence already says what to do."""

    def __init__(self, what: str, *, mendable: bool = True) -> None:
        super().__init__(what)
        self.what = what
        self.mendable = mendable


def strict_json(data: bytes) -> tuple[str, Any]:
    """The text, and the value in it; a name may occur once in one place, and numbers are numbers.

    Raises: NotStrict."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NotStrict("is not UTF-8 text.") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(_MARKERS):
            raise NotStrict(
                f"has the markers of a merge conflict (line {number}). Resolve the conflict.", mendable=False
            )
    try:
        return text, json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except _Twice:
        what = "has a connection or another name twice in one place. Keep one of them."
    except json.JSONDecodeError as exc:
        end = "" if text.rstrip().endswith("}") else " It may have been cut off."
        what = f"is not valid JSON (line {exc.lineno}).{end}"
    except (ValueError, RecursionError):
        what = "is not valid JSON."
    raise NotStrict(what)


def line_of(text: str, identity: str) -> int | None:
    """The line in which the block of this name begins."""
    before, found, _ = text.partition(f"{json.dumps(identity, ensure_ascii=False)}:")
    return before.count("\n") + 1 if found else None


class _Twice(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _no_number(_text: str) -> NoReturn:
    raise ValueError
