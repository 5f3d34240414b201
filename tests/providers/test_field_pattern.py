"""The line that shows where a connection leads: what a person reads of each value, and of what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connvault_jupyter.providers.field_pattern import FieldPattern

LINES: list[tuple[str, Mapping[str, Any], str]] = [
    ("{host}:{port}/{database}", {"host": "db", "port": 5432, "database": "x"}, "db:5432/x"),
    ("{host}:{port}", {"host": "a,b:7", "port": 5}, "a:5,b:7"),
    ("{host}:{port}", {"host": "::1", "port": 5}, "[::1]:5"),
    ("{host}:{port}", {"host": "", "port": 5}, "…:5"),
    ("{host}:{port}", {"host": "db"}, "db:…"),
    ("{address}:{number}", {"address": "::1", "number": 5}, "[::1]:5"),
    ("{address}:{number}", {"address": "db", "number": 5}, "db:5"),
    ("{address} {number}", {"address": "::1", "number": 5}, "::1 5"),
    ("{address}:{number}", {"address": "https://db:1/x", "number": 5}, "https://db:1/x:5"),
    ("{one} {other}", {"one": True, "other": False}, "yes no"),
    ("{one} {other}", {"one": 1, "other": 0}, "1 0"),
    ("{one} {other}", {"one": "x"}, "x …"),
    ("{one} {other}", {}, ""),
    ("{one}", {"one": "x", "any_database": True}, "x and any other database"),
    ("{one}", {"one": "x", "any_database": False}, "x"),
    ("nowhere", {}, "nowhere"),
]


@pytest.mark.parametrize(("pattern", "fields", "line"), LINES)
def test_a_line_shows_each_value_as_it_is(pattern: str, fields: Mapping[str, Any], line: str) -> None:
    """Addresses with brackets where a port follows, each server with its own port, yes and no as words."""
    assert FieldPattern(pattern).render(fields) == line
