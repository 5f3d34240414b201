"""Changes to a definition of a provider, each one of which breaks a rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Change = Callable[[dict[str, Any]], object]


def put(*path: str | int, value: Any) -> Change:
    def change(definition: dict[str, Any]) -> None:
        _place(definition, path)[path[-1]] = value

    return change


def drop(*path: str | int) -> Change:
    def change(definition: dict[str, Any]) -> None:
        del _place(definition, path)[path[-1]]

    return change


def both(*changes: Change) -> Change:
    def change(definition: dict[str, Any]) -> None:
        for one in changes:
            one(definition)

    return change


def text_of(definition: Mapping[str, Any], change: Change) -> str:
    """The changed definition, as a file has it."""
    # Not a deep copy: that would keep what is shared shared.
    changed = json.loads(json.dumps(definition))
    change(changed)
    return json.dumps(changed)


def _place(definition: dict[str, Any], path: tuple[str | int, ...]) -> Any:
    place: Any = definition
    for part in path[:-1]:
        place = place[part]
    return place
