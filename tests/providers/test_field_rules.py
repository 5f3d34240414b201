"""The rules of one form, apart from any real kind: defaults, whole numbers, shared fields, addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connvault_jupyter.providers.definition_rules import definition_from
from connvault_jupyter.providers.field_rules import FieldRules
from connvault_jupyter.providers.messages import message_for

RULES = FieldRules(
    definition_from(
        json.dumps(
            {
                "id": "harbour",
                "name": "Harbour",
                "fields": {
                    "type": "object",
                    "properties": {
                        "address": {"type": "string", "format": "uri", "title": "Address"},
                        "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
                        "port": {"type": "integer", "title": "Port"},
                        "ratio": {"type": "number"},
                        "size": {"$ref": "#/$defs/small", "title": "Size"},
                    },
                    "$defs": {"small": {"type": "integer", "minimum": 1, "maximum": 9}},
                },
                "destination": "{address}",
                "deliveries": [
                    {"kind": "login", "mode": "in_clear", "client": "http", "openers": ["session"]}
                ],
            }
        )
    )
)


def told(**fields: Any) -> list[tuple[str, str]]:
    return [(error.path, error.message) for error in RULES.check(fields)]


def test_a_default_completes_the_fields() -> None:
    """Where there is no value; a null is none."""
    assert RULES.complete({}) == RULES.complete({"kind": None}) == {"kind": "a"}
    assert RULES.complete({"kind": "b"}) == {"kind": "b"}


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [("port", 5.0, 5), ("size", 3.0, 3), ("port", 5.5, 5.5), ("ratio", 1.0, 1.0), ("address", 1.0, 1.0)],
)
def test_only_a_whole_number_becomes_one(name: str, given: float, kept: float) -> None:
    """Of a field that asks for it, also by reference; nothing is rounded."""
    found = RULES.complete({name: given})[name]
    assert (found, type(found)) == (kept, type(kept))


def test_a_shared_field_has_the_rules_that_it_refers_to() -> None:
    """Its type and its range."""
    assert told(size=3) == []
    assert told(size="3") == [("fields.size", "Size must be a whole number.")]
    assert told(size=0) == told(size=10) == [("fields.size", "Size must be between 1 and 9.")]


@pytest.mark.parametrize(
    "text", ["harbour", "https:", "https://", "https:///x", "https://h:0/", "https://h:x/"]
)
def test_an_address_needs_scheme_host_and_a_real_port(text: str) -> None:
    """Whether the kind's pattern says so or not."""
    assert [path for path, _ in told(address=text)] == ["fields.address"]


@pytest.mark.parametrize("text", ["https://h", "https://h:1/x?y", "https://[::1]:8443/"])
def test_an_address_with_all_of_it_is_taken(text: str) -> None:
    """The port may be left out."""
    assert told(address=text) == []


@pytest.mark.parametrize(
    ("keyword", "limits", "said"),
    [
        ("minimum", {"minimum": 1}, "Size must be at least 1."),
        ("maximum", {"maximum": 9}, "Size must be at most 9."),
        ("exclusiveMinimum", {"exclusiveMinimum": 0}, "Size must be more than 0."),
        ("exclusiveMaximum", {"exclusiveMaximum": 9}, "Size must be less than 9."),
        ("minimum", {}, "Size must be in the allowed range."),
        ("minLength", {"minLength": 1}, "Enter the size."),
        ("minLength", {"minLength": 8}, "Size must have at least 8 characters."),
    ],
)
def test_a_limit_is_said_in_words(keyword: str, limits: dict[str, int], said: str) -> None:
    """For a person, too short by one is missing."""
    assert message_for(keyword, {"title": "Size", **limits}, limits, "size") == said


def test_an_error_of_no_field_is_the_whole_forms() -> None:
    """A definition in memory was never checked, and may say something of all fields together."""
    together = {"type": "object", "properties": {"x": {"type": "string"}}, "minProperties": 1}
    made = RULES.provider.model_copy(update={"fields": together, "destination": "{x}"})
    assert [error.path for error in FieldRules(made).check({})] == ["fields"]
    assert FieldRules(made).check({"x": "a"}) == []
