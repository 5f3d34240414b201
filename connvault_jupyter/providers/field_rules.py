"""Applies a provider's schema: validates fields, finds missing secrets, fills in defaults.

Secrets are never among the values here. The schema itself was validated earlier (`definition_rules`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from ..contracts.problem import FieldError
from ..contracts.providers import ProviderDefinition
from . import messages
from .field_pattern import FieldPattern
from .schema_rules import places

# Any scheme, also in the middle of a text; userinfo ends with @ before the first /, ? or #.
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^/?#\s]*@", re.IGNORECASE)

# Control, format (bidirectional, zero width), surrogates, line and paragraph separators: nobody types these.
_UNTYPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LINE_ENDS = frozenset("\n\r\t")


class FieldRules:
    """One provider's compiled schema. Compiling takes about a millisecond, so keep it."""

    def __init__(self, provider: ProviderDefinition) -> None:
        self.provider = provider
        self.line = FieldPattern(provider.destination)
        shared = provider.fields.get("$defs", {})
        self._schemas = {
            name: {**shared.get(str(schema.get("$ref", "")).removeprefix("#/$defs/"), {}), **schema}
            for name, schema in provider.field_schemas.items()
        }
        self._secrets = provider.secret_fields
        self._whole = _validator(provider.fields)
        self._without_secrets = _validator(_without(provider.fields, self._secrets))
        self._always = _defaults(provider.fields)
        self._conditional = list(_conditional_defaults(provider.fields))

    def check(self, fields: Mapping[str, Any]) -> list[FieldError]:
        """The errors of these fields, one per field, in the form's order."""
        found: dict[str, str] = {}
        for name, value in fields.items():
            problem = self._problem(name, value)
            if problem:
                found[name] = problem
        given = {name: value for name, value in self.complete(fields).items() if name in self._schemas}
        for name, message in self._broken(self._without_secrets, given):
            found.setdefault(name, message)
        return [
            FieldError(path=f"fields.{name}" if name else "fields", message=found[name])
            for name in sorted(found, key=self._position)
        ]

    def missing_secrets(self, fields: Mapping[str, Any], present: frozenset[str]) -> frozenset[str]:
        """Secrets that the schema requires for these fields and that are not `present`."""
        required = {
            name
            for error in self._whole.iter_errors(self.complete(fields))
            if error.validator == "required" and not error.path
            for name in _listed(error)
        }
        return frozenset(required & self._secrets - present)

    def complete(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with the applicable defaults. `None` counts as missing; 5432.0 for a whole number becomes
        5432."""
        found = {**self._always}
        found.update(
            {name: self._whole_number(name, value) for name, value in fields.items() if value is not None}
        )
        for condition, then, otherwise in self._conditional:
            for name, value in (then if condition.is_valid(found) else otherwise).items():
                found.setdefault(name, value)
        return found

    def _whole_number(self, name: str, value: Any) -> Any:
        # JSON has one kind of number, but the envelope distinguishes 1.0 from 1.
        if (
            isinstance(value, float)
            and value.is_integer()
            and self._schemas.get(name, {}).get("type") == "integer"
        ):
            return int(value)
        return value

    def _problem(self, name: str, value: Any) -> str | None:
        """Checks outside the schema: unknown names, secrets, users in addresses, characters that nobody types."""
        if name not in self._schemas:
            return messages.UNKNOWN
        if name in self._secrets:
            return messages.SECRET_HERE
        schema = self._schemas[name]
        # Here and not only by the schema, which only checks a conditional field while its condition holds.
        if value is not None and not self._whole.is_type(value, schema["type"]):
            return messages.message_for("type", schema, {}, name)
        if not isinstance(value, str):
            return None
        if _USERINFO.search(value):
            return messages.USERINFO
        allowed = _LINE_ENDS if schema.get("x-multiline") is True else frozenset()
        if any(unicodedata.category(char) in _UNTYPED and char not in allowed for char in value):
            return messages.CONTROL.format(title=messages.title_of(schema, name))
        if schema.get("format") in ("uri", "iri") and value and not _is_address(value):
            return messages.message_for("pattern", schema, {}, name)
        return None

    def _broken(self, validator: Draft202012Validator, fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for error in validator.iter_errors(fields):
            for name in self._names(error, fields):
                narrowing = error.schema if error.path and isinstance(error.schema, Mapping) else {}
                schema = self._schemas.get(name, {})
                yield name, messages.message_for(str(error.validator), schema, narrowing, name)

    def _names(self, error: ValidationError, fields: dict[str, Any]) -> list[str]:
        if error.path:
            return [str(error.path[0])]
        if error.validator == "required":
            # jsonschema reports each missing name, but names it only in its text.
            return [name for name in _listed(error) if name not in fields]
        return [""]

    def _position(self, name: str) -> tuple[float, str]:
        order = self._schemas.get(name, {}).get("x-order")
        return (float(order) if isinstance(order, int | float) else 1000.0, name)


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    # An empty registry, so that no reference in a schema is fetched.
    return Draft202012Validator(dict(schema), registry=Registry())


def _without(schema: dict[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    """The schema with the secrets taken out of every `required`."""
    found = deepcopy(schema)
    for place in places(found):
        if "required" in place:
            place["required"] = [name for name in place["required"] if name not in secrets]
    return found


def _listed(error: ValidationError) -> list[str]:
    return [str(name) for name in cast("list[Any]", error.validator_value)]


def _conditional_defaults(
    schema: dict[str, Any],
) -> Iterator[tuple[Draft202012Validator, dict[str, Any], dict[str, Any]]]:
    """(condition, defaults if it holds, defaults if not), where there are any."""
    for part in (schema, *schema.get("allOf", [])):
        then, otherwise = _defaults(part.get("then", {})), _defaults(part.get("else", {}))
        if "if" in part and (then or otherwise):
            yield _validator({**part["if"], "$defs": schema.get("$defs", {})}), then, otherwise


def _defaults(place: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: schema["default"] for name, schema in place.get("properties", {}).items() if "default" in schema
    }


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.scheme and parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
