"""Connections as operator and requesters see them. Reads only; a list never queries the stores per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from ...contracts.access import Requester
from ...contracts.connections import (
    Connection,
    ConnectionList,
    ConnectionSummary,
    ConnectionSummaryList,
    ConnectionView,
    SecretState,
    TestOutcome,
)
from ...contracts.providers import (
    DeliveryForm,
    Mode,
    ProviderDefinition,
    ProviderSummary,
    ProviderSummaryList,
)
from ...contracts.workspaces import WorkspaceBlock
from ..access.deliveries import delivery_of, repeats_could_be_masked
from ..grants.use_counter import UseCounter
from ..ports import SealedSecret
from ..secrets.service import SecretsService
from .directory import Directory


class ConnectionViews:
    """Combines connections with what is stored beside them. No view can hold a secret: the models have no such
    field."""

    def __init__(
        self,
        *,
        directory: Directory,
        secrets: SecretsService,
        use_counter: UseCounter,
    ) -> None:
        self._documents = directory.documents
        self._visible = directory.visible
        self._secrets = secrets
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._use_counter = use_counter

    def one(self, connection: Connection) -> ConnectionView:
        """The view of one connection."""
        self._use_counter.store()
        return self._view(
            connection,
            self._secrets.sealed.of(connection.id),
            self._documents.last_used(),
            self._documents.tests(),
        )

    def all(self) -> ConnectionList:
        """All connections, by name. Five queries, however many there are."""
        self._use_counter.store()
        sealed: dict[str, list[SealedSecret]] = {}
        for secret in self._secrets.sealed.all():
            sealed.setdefault(secret.connection_id, []).append(secret)
        last_used, tests = self._documents.last_used(), self._documents.tests()
        return ConnectionList(
            connections=[
                self._view(connection, sealed.get(connection.id, ()), last_used, tests)
                for connection in self._documents.all_with(
                    {one: frozenset([secret.field for secret in of]) for one, of in sealed.items()}
                )
            ]
        )

    def summaries(self, requester: Requester) -> ConnectionSummaryList:
        """What this requester sees: names, kinds, states and destinations. Blocks of its project that nobody has
        accepted are among them."""
        seen = self._visible.of(requester)
        found = [self._summary(one) for one in seen.connections] + [self._offer(one) for one in seen.offered]
        return ConnectionSummaryList(
            connections=sorted(found, key=lambda one: one.name.lower()) if seen.offered else found,
            vault=self._secrets.short_state,
        )

    def _summary(self, stored: Connection) -> ConnectionSummary:
        provider = self._registry.get(stored.provider_id)
        connection = _as_it_is(stored, provider)
        return ConnectionSummary(
            name=connection.name,
            provider_id=connection.provider_id,
            provider_name="" if provider is None else provider.name,
            display_name=connection.display_name,
            destination="" if provider is None else self._destinations.of(connection, provider).line,
            status=connection.status,
            status_reason=connection.status_reason,
            delivery=self._delivery(connection, provider),
            scope=connection.scope,
        )

    def _offer(self, block: WorkspaceBlock) -> ConnectionSummary:
        provider = self._registry.get(block.provider_id)
        destination = None if provider is None else self._destinations.would_be(provider, block.fields)
        return ConnectionSummary(
            name=block.name,
            provider_id=block.provider_id,
            provider_name="" if provider is None else provider.name,
            display_name=block.display_name,
            destination="" if destination is None else destination.line,
            status="draft",
            status_reason="workspace_new",
            delivery="login"
            if provider is None or destination is None
            else delivery_of(provider, destination.fields),
            scope="workspace",
        )

    def providers(self) -> ProviderSummaryList:
        """The kinds of connections as a requester sees them."""
        found = []
        for provider in self._registry.all():
            names = provider.field_schemas
            secret = provider.secret_fields
            found.append(
                ProviderSummary(
                    id=provider.id,
                    name=provider.name,
                    description=provider.description,
                    fields=[name for name in names if name not in secret],
                    secret_fields=[name for name in names if name in secret],
                )
            )
        return ProviderSummaryList(providers=found)

    def _delivery(self, connection: Connection, provider: ProviderDefinition | None) -> DeliveryForm:
        if provider is None:
            return "login"
        return delivery_of(provider, self._destinations.of(connection, provider).fields)

    def _view(
        self,
        stored: Connection,
        sealed: Iterable[SealedSecret],
        last_used: Mapping[str, datetime],
        tests: Mapping[str, TestOutcome],
    ) -> ConnectionView:
        self._documents.show(stored)
        provider = self._registry.get(stored.provider_id)
        secrets = {
            one.field: SecretState(
                ref=one.ref, set_at=one.set_at, masked=self._is_masked(stored, provider, one)
            )
            for one in sealed
        }
        return ConnectionView(
            connection=_as_it_is(stored, provider),
            destination="" if provider is None else self._destinations.of(stored, provider).line,
            secrets=secrets,
            modes=[] if provider is None else _modes(provider),
            delivery=self._delivery(stored, provider),
            last_used_at=last_used.get(stored.id),
            last_test=_still_true(tests.get(stored.id), stored, secrets.values()),
        )

    def _is_masked(
        self, connection: Connection, provider: ProviderDefinition | None, sealed: SealedSecret
    ) -> bool:
        if provider is None or self._secrets.keys_if_unlocked is None:
            return True
        destination = self._destinations.of(connection, provider)
        if not repeats_could_be_masked(provider, destination.fields, sealed.field):
            return True
        return self._secrets.sealed.is_maskable(connection, sealed, destination) is not False


def _still_true(
    test: TestOutcome | None, stored: Connection, secrets: Iterable[SecretState]
) -> TestOutcome | None:
    """A test from before the last change says nothing about the connection now."""
    if test is None or test.at < max([stored.updated_at, *(secret.set_at for secret in secrets)]):
        return None
    return test


def _as_it_is(stored: Connection, provider: ProviderDefinition | None) -> Connection:
    if provider is not None or stored.status_reason == "provider_missing":
        return stored
    # Not stored: the package may be installed again at the next start.
    return stored.model_copy(update={"status": "invalid", "status_reason": "provider_missing"})


def _modes(provider: ProviderDefinition) -> list[Mode]:
    return list(dict.fromkeys(delivery.mode for delivery in provider.deliveries))
