"""openapi.json and contracts.ts are what the contracts say, and the generator refuses what it does not understand."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.contracts.operations import OPERATIONS
from connvault_jupyter.server import openapi
from setup_hooks import generate_contracts
from setup_hooks.generate_contracts import interface, type_of


def test_the_generated_files_are_up_to_date() -> None:
    """`python -m setup_hooks.generate_contracts` was run after the last change."""
    assert generate_contracts.main(["--check"]) == 0


TYPES: list[tuple[dict[str, Any], str]] = [
    ({"type": "string", "pattern": "x"}, "string"),
    ({"type": "integer"}, "number"),
    ({"type": "null"}, "null"),
    ({}, "unknown"),
    ({"description": "anything"}, "unknown"),
    ({"$ref": "Grant"}, "Grant"),
    ({"const": "it's"}, "'it\\'s'"),
    ({"enum": ["a", "b"], "type": "string"}, "'a' | 'b'"),
    ({"type": "array", "items": {"type": "string"}}, "string[]"),
    ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
    ({"anyOf": [{"type": "integer"}, {"type": "number"}, {"type": "null"}]}, "number | null"),
    ({"type": "object"}, "{ [name: string]: unknown }"),
    ({"type": "object", "additionalProperties": {"type": "string"}}, "{ [name: string]: string }"),
    ({"type": "object", "patternProperties": {"^a": {"type": "boolean"}}}, "{ [name: string]: boolean }"),
]


@pytest.mark.parametrize(("schema", "expected"), TYPES, ids=[expected for _, expected in TYPES])
def test_a_schema_has_its_type(schema: dict[str, Any], expected: str) -> None:
    """Every form that pydantic writes for our contracts."""
    assert type_of(schema, {}) == expected


@pytest.mark.parametrize("schema", [{"oneOf": []}, {"type": "tuple"}, {"not": {}}])
def test_an_unknown_schema_stops_the_generator(schema: dict[str, Any]) -> None:
    """Better no file than a wrong type."""
    with pytest.raises(ValueError, match="no TypeScript type"):
        type_of(schema, {})


def test_a_default_may_be_left_out_of_a_request_but_is_in_every_answer() -> None:
    """The two readings of one default."""
    schemas = openapi.schemas("{model}")
    assert "  display_name?: string;" in interface("CreateConnection", schemas["CreateConnection"], {})
    assert "  display_name: string;" in interface("Connection", schemas["Connection"], {})


def test_every_routed_operation_is_in_the_typescript_table() -> None:
    """The front end calls by name."""
    text = generate_contracts.typescript()
    for operation in OPERATIONS:
        assert (f"'{operation.name}': {{ method:" in text) == (
            operation.http is not None
            or any(one.http and one.name == operation.name for one in OPERATIONS if one is not operation)
        )


def test_no_answer_in_the_document_holds_a_secret() -> None:
    """`Delivered` has no route."""
    assert "Delivered" not in openapi.schemas()
