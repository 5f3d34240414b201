"""The line that shows people where a connection leads. Values of fields are shown, never interpreted; no secret gets
here.

A pattern is plain text with `{field}` placeholders. There is no format language: no attributes, no conversions. Two
things are always shown: each of several servers with its own port, and that any database may be used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..services.connections.addresses import addresses_of
from ..services.visible_names import visible

# Host and port side by side form one address: there may be several hosts, each with its own port.
_SERVERS = "host}:{port"
_PLACE = re.compile(rf"\{{({re.escape(_SERVERS)}|[a-z][a-z0-9_]*)\}}")

# A draft may lack some fields.
MISSING = "\u2026"

ANY_DATABASE = " and any other database"


class PatternError(ValueError):
    """The pattern has braces that are not a placeholder."""


class FieldPattern:
    """A parsed pattern, as lists render it a thousand times.

    Raises: PatternError.
    """

    def __init__(self, pattern: str) -> None:
        parts = _PLACE.split(pattern)
        # split() alternates: text, name, text, name, ..., text
        self._texts, self._names = parts[::2], parts[1::2]
        if any("{" in text or "}" in text for text in self._texts):
            raise PatternError
        self.names = frozenset(part for name in self._names for part in name.split("}:{"))

    def render(self, fields: Mapping[str, Any]) -> str:
        """The line for these (completed) fields; an ellipsis for each missing one; empty if all are missing."""
        values = [_value(name, fields) for name in self._names]
        if self._names and not any(values):
            return ""
        line = [self._texts[0]]
        for at, value in enumerate(values):
            following = self._texts[at + 1]
            # An IPv6 address before a port: brackets show where the address ends.
            bracketed = ":" in value and "/" not in value and following.startswith(":")
            line += [f"[{value}]" if bracketed else value or MISSING, following]
        if fields.get("any_database") is True:
            line.append(ANY_DATABASE)
        # Complete, however long: a truncated line can mislead.
        return visible("".join(line))


def _value(name: str, fields: Mapping[str, Any]) -> str:
    return _servers(fields) if name == _SERVERS else _shown(fields.get(name))


def _servers(fields: Mapping[str, Any]) -> str:
    host, port = fields.get("host"), fields.get("port")
    if isinstance(host, str) and host and isinstance(port, int):
        with suppress(ValueError):
            return ",".join(map(str, addresses_of(host, port)))
    given = [_shown(one) for one in (host, port)]
    return ":".join(one or MISSING for one in given) if any(given) else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return "yes" if value is True else "no" if value is False else str(value)
