"""Validates the JSON Schema that describes a form. The meaning of its fields is validated by `definition_rules`.

- A field is in `properties`, or in `properties` of a `then` or `else` (at the top or in `allOf`), and nowhere else: a
  secret deeper in the schema would be taken for an ordinary field, stored unprotected and shown.
- `$ref` stays inside the document and does not chain: nothing is fetched, and there are no loops.
- `additionalProperties` is not allowed: unknown names are always refused, and it does not consider conditional fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TOP = frozenset(
    {
        "$schema", "$comment", "$defs", "type", "title", "description", "properties", "required", "allOf",
        "if", "then", "else",
    }
)  # fmt: skip
_CONDITIONAL = frozenset({"$comment", "if", "then", "else"})
_BRANCH = frozenset({"$comment", "properties", "required"})

_ELSEWHERE = frozenset(
    {"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"}
)
# A field's kind must be visible in its own schema.
_NEVER_SHARED = frozenset({"$ref", "default", "writeOnly", "x-destination", "x-multiline"})


class Unusable(Exception):
    """Why a definition is skipped, for people; quotes only names of fields and keywords."""


def check_schema(schema: dict[str, Any]) -> None:
    """Raises: Unusable: the first rule that is broken."""
    if schema.get("$schema", _DIALECT) != _DIALECT:
        raise Unusable("fields must be JSON Schema 2020-12.")
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise Unusable('fields must have "type": "object" and "properties".')
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(str(part) for part in error.absolute_path if str(part).isidentifier())
        raise Unusable(f"fields is not a valid JSON Schema{f', at {where}' if where else ''}.") from None
    _only(schema, _TOP, "fields")
    for part in schema.get("allOf", []):
        _only(part, _CONDITIONAL, "allOf")
    for condition in conditions(schema):
        if not isinstance(condition, dict):
            raise Unusable("if must be an object.")
    for place in places(schema):
        if place is not schema:
            _only(place, _BRANCH, "then and else")
    _check_keywords(schema)


def places(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Where fields may be declared: the top, and each `then` and `else`."""
    yield schema
    for part in (schema, *schema.get("allOf", [])):
        for branch in ("then", "else"):
            if branch in part:
                yield part[branch]


def conditions(schema: dict[str, Any]) -> Iterator[Any]:
    """Every `if`."""
    for part in (schema, *schema.get("allOf", [])):
        if "if" in part:
            yield part["if"]


def keywords(part: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield key, value
            yield from keywords(value)
    elif isinstance(part, list):
        for item in part:
            yield from keywords(item)


def _only(part: Any, allowed: frozenset[str], where: str) -> None:
    if not isinstance(part, dict):
        raise Unusable(f"{where} must be an object.")
    for keyword in part:
        if keyword not in allowed and not keyword.startswith("x-"):
            shown = keyword if re.match(r"[$A-Za-z_]{1,40}\Z", keyword) else "such a keyword"
            raise Unusable(f"{where} must not have {shown}.")


def _check_keywords(schema: dict[str, Any]) -> None:
    shared = schema.get("$defs", {})
    for keyword, value in keywords(schema):
        if keyword in _ELSEWHERE:
            raise Unusable(f"fields must not have {keyword}.")
        if keyword == "$ref" and value not in [f"#/$defs/{name}" for name in shared]:
            raise Unusable("A $ref may only point into #/$defs of the same definition.")
    for keyword, _ in keywords(shared):
        if keyword in _NEVER_SHARED:
            raise Unusable(f"$defs must not contain {keyword}.")
