"""The built-in kinds of connections, as the tests of their forms ask for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.providers.registry import ProviderCatalogue

CATALOGUE = ProviderCatalogue(packages=False)

# Has the form of a certificate, which is all that a form looks at.
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def definition(provider_id: str) -> Any:
    """What the file says, before any rule has seen it."""
    file = files("connvault_jupyter.providers").joinpath("catalogue", f"{provider_id}.json")
    return json.loads(file.read_text("utf-8"))


def provider(provider_id: str) -> ProviderDefinition:
    found = CATALOGUE.get(provider_id)
    assert found is not None
    return found


def said(provider_id: str, fields: Mapping[str, Any]) -> dict[str, str]:
    """The messages beside the fields of a form that is filled in like this, by path."""
    return {error.path: error.message for error in CATALOGUE.check(provider(provider_id), fields)}
