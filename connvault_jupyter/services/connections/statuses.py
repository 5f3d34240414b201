"""Computes the status of a connection from what is stored. Pure; stores and unseals nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...contracts.connections import Connection, Status, StatusReason
from ...contracts.problem import FieldError
from ...contracts.providers import ProviderDefinition
from ..ports import ProviderRegistry

_PREFIX = "fields."


@dataclass(frozen=True)
class Standing:
    """`reason` is `None` if and only if the status is `ready`."""

    status: Status
    reason: StatusReason | None


READY = Standing("ready", None)


def wrong_fields(
    registry: ProviderRegistry, provider: ProviderDefinition, fields: Mapping[str, Any]
) -> tuple[list[FieldError], bool]:
    """(what is wrong with the given fields, whether required ones are missing).

    A missing field makes a draft, which a person can complete later; a wrong value is refused.
    """
    missing = False
    wrong = [
        FieldError(path=f"{_PREFIX}{name}", message="is a secret, so it must be sent as one")
        for name in sorted(provider.secret_fields & fields.keys())
    ]
    given = {name: value for name, value in fields.items() if name not in provider.secret_fields}
    for error in registry.check(provider, given):
        if error.path.startswith(_PREFIX) and given.get(error.path[len(_PREFIX) :]) in (None, ""):
            missing = True
        else:
            wrong.append(error)
    return wrong, missing


def standing(
    registry: ProviderRegistry,
    provider: ProviderDefinition | None,
    connection: Connection,
    secrets: frozenset[str],
    *,
    secrets_removed: bool = False,
) -> Standing:
    """The status of `connection` with these secrets; `connection.status_reason` is the previous reason.

    `secrets_removed`: this change removed them because it changed the destination.
    """
    if provider is None:
        return Standing("invalid", "provider_missing")
    wrong, missing = wrong_fields(registry, provider, connection.fields)
    if wrong:
        return Standing("invalid", "provider_changed")
    if missing:
        return Standing("draft", "fields_missing")
    if registry.missing_secrets(provider, connection.fields, secrets):
        moved = secrets_removed or connection.status_reason == "destination_changed"
        return Standing("draft", "destination_changed" if moved else "secret_missing")
    if connection.status_reason == "secret_unreadable":
        return Standing("invalid", "secret_unreadable")
    return READY
