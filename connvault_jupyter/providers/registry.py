"""All installed kinds of connections (the port `ProviderRegistry`). Read once, when it is created.

`sources` loads them, `definition_rules` validates them, `field_rules` applies their schemas.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from ..contracts.problem import FieldError
from ..contracts.providers import ProviderDefinition, SkippedProvider
from ..services.requester_claims import cleaned
from .definition_rules import definition_from
from .field_rules import FieldRules
from .schema_rules import Unusable
from .sources import Candidate, built_in, in_directories, installed

_log = logging.getLogger(__name__)


class ProviderCatalogue:
    """The built-in providers first, then those of packages, then those of data folders; the first one with an id wins,
    so nobody can replace a built-in one. An invalid definition is left out, with its reason in `skipped()`.

    Args:
        directories: folders with `*.json`, in order (`share/jupyter/connvault/providers` of the Jupyter data path).
        allowed: ids that may be used; `None` allows all. Others are left out, and not reported as skipped.
        packages: whether to load from installed packages.
    """

    def __init__(
        self, *, directories: Iterable[str] = (), allowed: Iterable[str] | None = None, packages: bool = True
    ) -> None:
        allowed_ids = None if allowed is None else frozenset(allowed)
        self._providers: dict[str, ProviderDefinition] = {}
        self._sources: dict[str, str] = {}
        self._skipped: list[SkippedProvider] = []
        self._rules: dict[str, FieldRules] = {}
        for candidate in chain(built_in(), installed() if packages else (), in_directories(directories)):
            self._take(candidate)
        if allowed_ids is not None:
            self._providers = {name: found for name, found in self._providers.items() if name in allowed_ids}

    def all(self) -> Sequence[ProviderDefinition]:
        """By name, sorted for people."""
        return sorted(self._providers.values(), key=lambda found: (found.name.casefold(), found.id))

    def skipped(self) -> Sequence[SkippedProvider]:
        """What was left out, and why."""
        return tuple(self._skipped)

    def get(self, provider_id: str) -> ProviderDefinition | None:
        """The provider with this id, or `None`."""
        return self._providers.get(provider_id)

    def check(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> Sequence[FieldError]:
        """The errors of these fields, in messages that never quote them; paths are `fields.NAME`."""
        return self._rules_of(provider).check(fields)

    def missing_secrets(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], present: frozenset[str]
    ) -> frozenset[str]:
        """Secrets that the schema requires for these fields (including conditions) and that are not `present`."""
        return self._rules_of(provider).missing_secrets(fields, present)

    def complete(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with the schema's defaults; `None` counts as not given."""
        return self._rules_of(provider).complete(fields)

    def destination(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> str:
        """The line that people see: complete, on one line, with invisible characters spelt out."""
        rules = self._rules_of(provider)
        return rules.line.render(rules.complete(fields))

    def _rules_of(self, provider: ProviderDefinition) -> FieldRules:
        known = self._rules.get(provider.id)
        # A definition from elsewhere with the same id must not use the rules of ours.
        if known is None or known.provider is not provider:
            known = self._rules[provider.id] = FieldRules(provider)
        return known

    def _take(self, candidate: Candidate) -> None:
        if candidate.text is None:
            self._skip(candidate, candidate.failure)
            return
        try:
            definition = definition_from(candidate.text)
            FieldRules(definition).check({})
        except Unusable as error:
            self._skip(candidate, str(error))
            return
        except Exception as error:  # noqa: BLE001 - one definition never takes the others down
            _log.debug("provider %s failed", candidate.source, exc_info=True)
            self._skip(candidate, f"It can't be used ({type(error).__name__}).")
            return
        if definition.id in self._providers:
            self._skip(
                candidate, f"The id {definition.id} is already taken ({self._sources[definition.id]})."
            )
            return
        double = next((one for one in self._providers.values() if _alike(one.name, definition.name)), None)
        if double is not None:
            # In a request people see the name, not the id.
            self._skip(candidate, f"{double.id} already has this name ({self._sources[double.id]}).")
            return
        self._providers[definition.id] = definition
        self._sources[definition.id] = candidate.source

    def _skip(self, candidate: Candidate, reason: str) -> None:
        # File and package names are text from outside.
        source = cleaned(candidate.source, limit=400) or "unknown"
        _log.warning("provider skipped: %s: %s", source, reason)
        self._skipped.append(SkippedProvider(source=source, reason=reason))


def _alike(one: str, other: str) -> bool:
    """Whether two names are equal except for case, width, spaces and invisible characters. Homoglyphs of other scripts
    are not detected."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "CZ")
