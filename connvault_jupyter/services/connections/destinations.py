"""Where the secrets of a connection may be sent: the values, their digest, and the line that people read.

A single source, so that envelope, grant, question and list can't disagree. Nothing is sent from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...contracts.connections import Connection
from ...contracts.providers import ProviderDefinition
from ..canonical import canonical
from ..ports import ProviderRegistry
from ..vault_ports import SealContext

_DOMAIN = b"connvault-destination-1\0"

# Earlier defaults of destination fields of built-in kinds: secrets from then are sealed for them. A definition can't
# state them itself, as it could then name any value.
_EARLIER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"ssh": {"bound_only": False}}

# Evolution: another set of facts needs another domain, and then every grant has to be asked for again.
_SHOWN_DOMAIN = b"connvault-shown-2\0"


@dataclass(frozen=True)
class Destination:
    """`fields` are complete (with the schema's defaults) and declared: anything else in a stored row reaches no
    library and no relay. `values` are the destination fields among them.

    `digest` covers the destination fields: where a secret may be sent. `shown` covers everything that a dialog shows
    of the connection, and how it is delivered; it is empty for a connection that does not exist (yet).

    Computed once: walking a schema at each use would cost more than unsealing.
    """

    provider: ProviderDefinition
    given: Mapping[str, Any]
    fields: Mapping[str, Any]
    values: Mapping[str, Any]
    digest: str
    line: str
    secret_fields: frozenset[str]
    name: str = ""
    display_name: str = ""
    shown: str = ""

    def seal_context(self, vault_id: str, connection: Connection, field: str) -> SealContext:
        """The context to which a secret of this connection is bound."""
        return SealContext(
            vault_id=vault_id,
            scope=connection.scope,
            connection_id=connection.id,
            field=field,
            provider_id=connection.provider_id,
            destination=self.values,
        )

    def earlier_context(self, vault_id: str, connection: Connection, field: str) -> SealContext | None:
        """The context of a secret that was sealed while a field, now at its default, had another default; `None`: the
        same as now."""
        defaults = {
            name: default
            for name, default in _EARLIER_DEFAULTS.get(self.provider.id, {}).items()
            if name in self.values and self.values[name] == self.provider.field_schemas[name].get("default")
        }
        if not defaults:
            return None
        context = self.seal_context(vault_id, connection, field)
        return replace(context, destination={**self.values, **defaults})


class Destinations:
    """Computes destinations and caches them: they are needed at each use and for each row of a list."""

    def __init__(self, *, registry: ProviderRegistry) -> None:
        self._registry = registry
        self._known: dict[str, Destination] = {}

    def of(self, connection: Connection, provider: ProviderDefinition) -> Destination:
        """The present destination of `connection`."""
        known = self._known.get(connection.id)
        # Cached by content, not by revision: an edited row with the same revision must not be mistaken for the old
        # one.
        if (
            known is not None
            and known.provider is provider
            and known.given == connection.fields
            and known.name == connection.name
            and known.display_name == connection.display_name
        ):
            return known
        found = self.of_edited(connection, provider)
        self._known[connection.id] = found
        return found

    def of_edited(self, connection: Connection, provider: ProviderDefinition) -> Destination:
        """The destination of a `connection` that is about to be stored; nothing is cached."""
        found = self.would_be(provider, connection.fields)
        return replace(
            found,
            name=connection.name,
            display_name=connection.display_name,
            shown=_shown_digest(connection, found),
        )

    def would_be(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> Destination:
        """The destination of a connection with these fields."""
        declared = provider.field_schemas.keys() - provider.secret_fields
        complete = {
            name: value
            for name, value in self._registry.complete(provider, fields).items()
            if name in declared
        }
        values = {name: complete.get(name) for name in sorted(provider.destination_fields)}
        # The names are included: a definition that binds fewer fields has another digest for the same values.
        text = canonical({"provider": provider.id, "names": sorted(values), "values": list(values.values())})
        return Destination(
            provider=provider,
            given=dict(fields),
            fields=complete,
            values=values,
            digest=hashlib.sha256(_DOMAIN + text).hexdigest(),
            line=self._registry.destination(provider, fields),
            secret_fields=provider.secret_fields,
        )

    def forget(self, connection_id: str) -> None:
        """The connection is deleted."""
        self._known.pop(connection_id, None)


def _shown_digest(connection: Connection, destination: Destination) -> str:
    provider = destination.provider
    text = canonical(
        {
            "connection_id": connection.id,
            "connection": connection.name,
            "display_name": connection.display_name,
            "provider_id": provider.id,
            "provider_name": provider.name,
            "destination": destination.line,
            "destination_digest": destination.digest,
            # Includes what the line does not show: scope, audience or region lead the same login elsewhere. As pairs:
            # a field without a value differs from one that is missing.
            "fields": [[name, destination.fields[name]] for name in sorted(destination.fields)],
            "deliveries": [
                [
                    delivery.kind,
                    delivery.mode,
                    delivery.client,
                    delivery.protocol,
                    dict(delivery.recipe),
                    dict(delivery.variables),
                    dict(delivery.tcp_variables),
                ]
                for delivery in provider.deliveries
            ],
        }
    )
    return hashlib.sha256(_SHOWN_DOMAIN + text).hexdigest()
