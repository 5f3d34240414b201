"""The line that tells people where a connection goes. Text of fields is shown, never interpreted; no secret gets here.

A pattern is plain text with `{field}` places. There is no format language: no attributes, no conversions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..services.visible_names import visible

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")

# A draft may lack what the line names.
MISSING = "\u2026"


class PatternError(ValueError):
    """The pattern has braces that are no place."""


class DestinationLine:
    """A pattern, taken apart once: lists render it a thousand times.

    Raises: PatternError.
    """

    def __init__(self, pattern: str) -> None:
        parts = _PLACE.split(pattern)
        # split() alternates: text, name, text, name, ..., text
        self._texts, self._names = parts[::2], parts[1::2]
        if any("{" in text or "}" in text for text in self._texts):
            raise PatternError
        self.names = frozenset(self._names)

    def render(self, fields: Mapping[str, Any]) -> str:
        """The line for these (completed) fields; an ellipsis where one is missing, empty when all are."""
        values = [_shown(fields.get(name)) for name in self._names]
        if self._names and not any(values):
            return ""
        line = [self._texts[0]]
        for at, value in enumerate(values):
            following = self._texts[at + 1]
            # An IPv6 address before a port: without brackets nobody sees where the one ends and the other begins.
            bracketed = ":" in value and "/" not in value and following.startswith(":")
            line += [f"[{value}]" if bracketed else value or MISSING, following]
        # Whole, however long: a line that is cut can lie.
        return visible("".join(line))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return "yes" if value is True else "no" if value is False else str(value)
