"""What every provider must do, as a suite to subclass. For tests only; it needs no test framework by itself.

    class TestMine(ProviderConformance):
        example = {"host": "db.example.com"}        # fields of a connection that is complete except for its secrets

        def definition(self) -> Any:
            return json.loads(...)                  # what the entry point returns, or the file contains

Each `test_*` method is one promise.
"""

# ruff: noqa: S101 - a suite of promises

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ..contracts.problem import FieldError
from ..contracts.providers import ProviderDefinition
from .definition_rules import definition_from
from .delivery_rules import LISTENER_PLACES
from .field_pattern import MISSING, FieldPattern
from .field_rules import FieldRules
from .sources import MAX_DEFINITION_BYTES

_CANARY = "canary-7f3a91"
_OTHER_TYPES: Mapping[str, tuple[Any, ...]] = {
    "string": (1, 1.5, True),
    "integer": ("1", 1.5, True),
    "number": ("1", True),
    "boolean": ("yes", 1),
}


class ProviderConformance:
    """Promises of a `ProviderDefinition`."""

    example: ClassVar[Mapping[str, Any]] = {}

    def definition(self) -> Any:
        """The definition, as a dict or a `ProviderDefinition`."""
        raise NotImplementedError

    def test_when_loaded_it_is_not_skipped(self) -> None:
        """It keeps all rules, and is small enough."""
        assert len(self._text()) <= MAX_DEFINITION_BYTES
        assert self._provider().id

    def test_when_shown_it_has_words_and_a_picture(self) -> None:
        """A picker with only names helps nobody; fields have titles and a position in the form."""
        provider = self._provider()
        assert provider.description
        assert provider.icon
        assert provider.destination
        orders = [schema.get("x-order") for schema in provider.field_schemas.values()]
        assert all(schema.get("title") for schema in provider.field_schemas.values())
        assert None not in orders
        assert len(set(orders)) == len(orders)

    def test_when_inserted_the_snippet_is_code(self) -> None:
        """A few lines of Python that ask for the connection by its name."""
        snippet = self._provider().snippet
        assert snippet.count("{name}") == 1
        assert 1 <= len(snippet.splitlines()) <= 8
        ast.parse(snippet.replace("{name}", "warehouse"))

    def test_when_complete_the_example_fits(self) -> None:
        """The example needs nothing more, and its destination is complete."""
        rules = self._rules()
        assert _said(rules.check(self.example)) == {}
        line = rules.line.render(rules.complete(self.example))
        assert line
        assert MISSING not in line

    def test_when_completed_twice_nothing_changes(self) -> None:
        """Defaults are filled in once, also after a round trip through JSON."""
        rules = self._rules()
        once = rules.complete(self.example)
        assert rules.complete(once) == once
        assert json.loads(json.dumps(once)) == once

    def test_when_all_secrets_are_there_none_is_missing(self) -> None:
        """Everything required can be given."""
        rules, secrets = self._rules(), self._provider().secret_fields
        assert rules.missing_secrets(self.example, frozenset()) <= secrets
        assert rules.missing_secrets(self.example, secrets) == frozenset()

    def test_when_a_secret_is_among_the_fields_it_is_refused(self) -> None:
        """A secret typed into the wrong place is neither stored nor repeated."""
        for name in self._provider().secret_fields:
            self._refused({**self.example, name: _CANARY}, name)

    def test_when_a_field_is_unknown_it_is_refused(self) -> None:
        """A typing error in a name must not be stored silently."""
        self._refused({**self.example, "no_such_field": _CANARY}, "no_such_field")

    def test_when_a_type_is_wrong_it_is_refused(self) -> None:
        """Each field has a type."""
        for name, schema in self._plain_fields().items():
            for value in _OTHER_TYPES.get(str(schema.get("type")), ()):
                self._refused({**self.example, name: value}, name)

    def test_when_a_required_field_is_left_out_it_is_asked_for(self) -> None:
        """Unless a default fills it in."""
        provider, rules = self._provider(), self._rules()
        for name in provider.fields.get("required", []):
            if name in provider.secret_fields or name in rules.complete({}):
                continue
            self._refused({key: value for key, value in self.example.items() if key != name}, name)

    def test_when_an_address_holds_a_password_it_is_refused(self) -> None:
        """`https://user:password@host` is the usual way in which a password ends up in a field."""
        for name, schema in self._plain_fields().items():
            if schema.get("type") == "string":
                self._refused({**self.example, name: f"https://someone:{_CANARY}@example.com/"}, name)

    def test_when_a_handle_is_made_it_has_openers(self) -> None:
        """A handle without a method would be of no use; a connection test is a relay's."""
        provider = self._provider()
        assert all(delivery.openers for delivery in provider.deliveries)
        assert not provider.testable or any(delivery.kind == "relay" for delivery in provider.deliveries)

    def test_when_other_programs_use_it_the_variables_are_whole(self) -> None:
        """What the example leaves out must not be in one of them: that variable would not be set."""
        fields = self._rules().complete(self.example)
        for delivery in self._provider().deliveries:
            if delivery.protocol is None:
                continue
            for name, text in (*delivery.variables.items(), *delivery.tcp_variables.items()):
                missing = FieldPattern(text).names - LISTENER_PLACES[delivery.protocol] - fields.keys()
                assert not missing, f"{name} lacks {missing}"

    def _refused(self, fields: Mapping[str, Any], name: str) -> None:
        said = _said(self._rules().check(fields))
        assert f"fields.{name}" in said, f"{name} was taken"
        assert _CANARY not in json.dumps(said), f"what was typed into {name} is repeated"

    def _plain_fields(self) -> dict[str, dict[str, Any]]:
        provider = self._provider()
        return {
            name: schema
            for name, schema in provider.field_schemas.items()
            if name not in provider.secret_fields
        }

    def _text(self) -> str:
        found = self.definition()
        return found.model_dump_json() if isinstance(found, ProviderDefinition) else json.dumps(found)

    def _provider(self) -> ProviderDefinition:
        return definition_from(self._text())

    def _rules(self) -> FieldRules:
        return FieldRules(self._provider())


def _said(errors: list[FieldError]) -> dict[str, str]:
    return {error.path: error.message for error in errors}
