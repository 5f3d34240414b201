"""Validates definitions of providers, whoever wrote them. Nothing is repaired or guessed.

In addition to the contract and the format of the schema (`schema_rules`):
- A field is one plain value. `if` may only test ordinary fields: secrets are never among the validated values.
- A secret has no default, and is in no line that people read.
- What deliveries may promise is in `delivery_rules`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import ValidationError

from ..contracts.problem import invalid_request
from ..contracts.providers import ProviderDefinition
from .delivery_rules import check_deliveries
from .field_pattern import FieldPattern, PatternError
from .icon_rules import icon_problem
from .schema_rules import Unusable, check_schema, conditions, keywords, places

# As in contracts.contract.FieldName.
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}\Z")
_TYPES = ("string", "integer", "number", "boolean")
_NEVER_ON_SECRETS = frozenset({"default", "const", "enum", "oneOf", "examples", "x-destination"})
_ONCE_ONLY = ("writeOnly", "x-destination", "default")
_MAX_MESSAGE_CHARS = 200


def definition_from(text: str) -> ProviderDefinition:
    """The definition in this JSON text.

    Raises:
        Unusable: it breaks a rule; the message names the first one.
    """
    try:
        raw = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unusable(f"It is not valid JSON{line}.") from None
    try:
        definition = ProviderDefinition.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        first = invalid_request(error).details["errors"][0]
        raise Unusable(f"{first['path'] or 'It'} {first['message']}.") from None
    check_schema(definition.fields)
    _check_fields(definition)
    _check_secrets(definition)
    check_deliveries(definition)
    _check_display(definition)
    return definition


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Python takes the last of two, a human reader the first, so it would be unclear what was reviewed.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unusable("A name appears twice in one object.")
    return found


def _no_constant(name: str) -> Any:
    # NaN and Infinity are Python's own, not JSON.
    raise ValueError(name)


def _check_fields(definition: ProviderDefinition) -> None:
    declared, shared = definition.field_schemas, definition.fields.get("$defs", {})
    for place in places(definition.fields):
        for name, schema in place.get("properties", {}).items():
            if not _FIELD_NAME.match(name):
                raise Unusable(
                    "A field's name must be short, start with a letter, and contain only lowercase "
                    "letters, digits and _."
                )
            if not isinstance(schema, dict):
                raise Unusable(f"{name} must be an object.")
            _check_messages(name, schema)
            if schema is declared[name] or "type" in schema or "$ref" in schema:
                _check_declaration(name, schema, declared[name], shared)
            elif any(mark in schema for mark in _ONCE_ONLY):
                # A second mention only narrows the first one. It can't redefine the field.
                raise Unusable(
                    f"{name} is marked where it is mentioned again. Mark it where it is first defined."
                )
        for name in place.get("required", []):
            if name not in declared:
                raise Unusable("required names a field that does not exist.")


def _check_messages(name: str, schema: dict[str, Any]) -> None:
    found = schema.get("x-messages", {})
    if not isinstance(found, dict) or not all(
        isinstance(text, str) and len(text) <= _MAX_MESSAGE_CHARS for text in found.values()
    ):
        raise Unusable(f"x-messages of {name} must map keywords to short texts.")


def _check_declaration(
    name: str, schema: dict[str, Any], first: dict[str, Any], shared: dict[str, Any]
) -> None:
    whole = {**shared.get(str(schema.get("$ref", "")).removeprefix("#/$defs/"), {}), **schema}
    if whole.get("type") not in _TYPES:
        raise Unusable(f"The type of {name} must be string, integer, number or boolean.")
    if any(
        (schema.get(mark) is True) != (first.get(mark) is True) for mark in ("writeOnly", "x-destination")
    ):
        raise Unusable(f"{name} is defined in two places that differ.")
    if schema.get("writeOnly") is True and whole["type"] != "string":
        raise Unusable(f"{name} is a secret, so its type must be string.")
    if schema.get("writeOnly") is True and not _NEVER_ON_SECRETS.isdisjoint(whole):
        raise Unusable(
            f"{name} is a secret, so it can't have a default or fixed values, or be a destination."
        )
    if "default" in schema and not Draft202012Validator({**schema, "$defs": shared}).is_valid(
        schema["default"]
    ):
        raise Unusable(f"The default of {name} does not match its own schema.")


def _check_secrets(definition: ProviderDefinition) -> None:
    secrets, schema = definition.secret_fields, definition.fields
    declared = [field for place in places(schema) for field in place.get("properties", {}).values()]
    at_fields = sum(field.get("writeOnly") is True for field in declared)
    if sum(keyword == "writeOnly" and value is True for keyword, value in keywords(schema)) != at_fields:
        raise Unusable("writeOnly may only be set on a field itself.")
    if any(secrets & _looked_at(condition) for condition in conditions(schema)):
        raise Unusable("An if must not test a secret.")


def _looked_at(condition: Any) -> frozenset[str]:
    """The fields named in a condition, at any depth."""
    found: set[str] = set()
    for keyword, value in keywords(condition):
        if keyword == "properties" and isinstance(value, dict):
            found |= set(value)
        elif keyword == "required" and isinstance(value, list):
            found |= {name for name in value if isinstance(name, str)}
    return frozenset(found)


def _check_display(definition: ProviderDefinition) -> None:
    try:
        line = FieldPattern(definition.destination)
    except PatternError:
        raise Unusable("destination must be text with {field} placeholders and no other braces.") from None
    if not line.names <= set(definition.field_schemas):
        raise Unusable("destination names a field that does not exist.")
    if line.names & definition.secret_fields:
        raise Unusable("destination must not name a secret.")
    problem = icon_problem(definition.icon)
    if problem:
        raise Unusable(problem)
    if definition.documentation_url and not re.match(r"https://[^\s\"'<>]+\Z", definition.documentation_url):
        raise Unusable("documentation_url must be an https:// address.")
