"""The changes of which creating, changing and deleting connections are made; each settles the status.

What is asked for, and who may, is up to `service` and `workspace_service`. A secret that comes in is sealed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...contracts.connections import (
    Connection,
    ConnectionView,
    CreateConnection,
    SecretDraft,
    WorkspaceRef,
)
from ...contracts.contract import FieldValue
from ...contracts.events import Event
from ...contracts.providers import ProviderDefinition
from ...errors import ConnectionNotFound, InvalidFields, ProviderNotFound
from ..access.deliveries import reveals_by_default
from ..context import Context
from ..grants.revocation import Revocation
from ..identifiers import new_id
from ..secrets.reader import SecretReader
from ..secrets.service import SecretsService
from .directory import Directory
from .documents import differs_from_file, not_ours, with_standing
from .statuses import READY, standing, wrong_fields
from .views import ConnectionViews


@dataclass(frozen=True)
class NewConnection:
    """What a new connection is to be. `workspace`: the block of which it is the accepted copy."""

    provider: ProviderDefinition
    name: str
    display_name: str
    fields: Mapping[str, FieldValue]
    reveal_allowed: bool | None
    secrets: Mapping[str, SecretDraft]
    workspace: WorkspaceRef | None

    @classmethod
    def of(
        cls, request: CreateConnection, provider: ProviderDefinition, *, workspace: WorkspaceRef | None
    ) -> NewConnection:
        """What a form asks for."""
        return cls(
            provider=provider,
            name=request.name,
            display_name=request.display_name,
            fields=request.fields,
            reveal_allowed=request.reveal_allowed,
            secrets=request.secrets,
            workspace=workspace,
        )


class ConnectionChanges:
    """All methods are called with the lock held."""

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        secrets: SecretsService,
        reader: SecretReader,
        views: ConnectionViews,
        revocation: Revocation,
    ) -> None:
        self._documents = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._workspaces = directory.workspaces
        self._secrets = secrets
        self._views = views
        self._reader = reader
        self._revocation = revocation
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._randomness = context.randomness
        self._publish = context.publish

    def add(self, asked: NewConnection, actor: str, *, code: str | None = None) -> Connection:
        """In the caller's transaction; `code` says in the log where it came from.

        Raises: NameTaken, AuthenticationOff, VaultLocked, VaultNotSetUp, StorageError."""
        provider, now = asked.provider, self._clock()
        draft = Connection(
            id=new_id(self._randomness),
            provider_id=provider.id,
            name=asked.name,
            display_name=asked.display_name,
            scope="user" if asked.workspace is None else "workspace",
            workspace=asked.workspace,
            fields=dict(asked.fields),
            reveal_allowed=reveals_by_default(provider)
            if asked.reveal_allowed is None
            else asked.reveal_allowed,
            status="draft",
            status_reason="secret_missing",
            created_at=now,
            updated_at=now,
        )
        present = frozenset(asked.secrets)
        connection = with_standing(draft, standing(self._registry, provider, draft, present))
        self._documents.add(connection)
        self._audit.record("connection:created", connection=connection, code=code, decided_by=actor)
        self.put(connection, provider, asked.secrets, actor)
        return connection

    def replace(
        self,
        old: Connection,
        edited: Connection,
        secrets: Mapping[str, SecretDraft],
        actor: str,
        *,
        code: str | None = None,
    ) -> tuple[Connection, bool]:
        """Another destination removes the secrets, and a change of anything that a dialog shows voids the grants, in
        one transaction. `code`: the change is the project's, and a person has accepted it; else it is theirs, and goes
        into the project's file if the connection is of one.

        Nothing is published: call `replaced` with what this returns, once it is committed.

        Raises: see `ConnectionsService.update`."""
        provider = self._registry.get(old.provider_id)
        fields = edited.fields
        foreign = not_ours(old)
        if foreign:
            self._documents.accept(old)
        if foreign or fields != old.fields or secrets:
            # Without its schema nobody can tell which fields are secrets or destinations. Only names can be changed.
            provider = self.provider(old.provider_id)
            self.check(provider, fields, secrets)
        stored = frozenset(one.field for one in self._secrets.sealed.of(old.id))
        target = None if provider is None else self._destinations.would_be(provider, fields)
        moved = (
            target is not None
            and target.digest != self._destinations.would_be(target.provider, old.fields).digest
        )
        present = (frozenset() if moved or foreign else stored) | frozenset(secrets)
        lost = moved and not stored <= present
        after = standing(self._registry, provider, edited, present, secrets_removed=lost)
        connection = with_standing(edited, after)
        voided = 0
        with self._transactions.transaction():
            self._documents.update(connection, expected_revision=old.revision)
            self._audit.record(
                "connection:changed" if code is None else "connection:confirmed",
                connection=connection,
                code=code,
                # Other changes can be seen in the connection itself; what code may ask for is logged.
                field="reveal_allowed" if edited.reveal_allowed != old.reveal_allowed else None,
                decided_by=actor,
            )
            if foreign:
                self.take(connection, code=old.status_reason, actor=actor)
            elif moved:
                self._remove_secrets(connection, actor)
            if provider is not None and not foreign:
                shown = self._destinations.of_edited(connection, provider).shown
                if shown != self._destinations.of_edited(old, provider).shown:
                    voided = self._revocation.void(connection, except_for=shown)
            if provider is not None and secrets:
                self.put(connection, provider, secrets, actor)
                self.settle(connection, provider)
            if old.workspace is not None and code is None and not foreign:
                # Last: what fails before leaves the project as it is.
                self._workspaces.replace(old, edited)
        return connection, bool(voided or foreign)

    def replaced(self, connection: Connection, *, ended: bool) -> ConnectionView:
        """What `replace` has returned is committed; how the connection is now."""
        if ended:
            self._publish(Event(event="grants:changed"))
        return self.changed(connection)

    def delete(self, connection: Connection, revision: int, actor: str) -> None:
        """In the caller's transaction, with its secrets, grants and handles. Call `gone` once that is committed.

        Raises: ConnectionNotFound, RevisionConflict, StorageError."""
        self._revocation.void(connection, except_for=None, why="deleted")
        self._documents.remove(connection.id, expected_revision=revision)
        self._audit.record("connection:deleted", connection=connection, decided_by=actor)

    def gone(self, connection: Connection) -> None:
        """A deletion is committed."""
        self._destinations.forget(connection.id)
        self._publish(Event(event="connections:changed", id=connection.id))
        self._publish(Event(event="grants:changed"))

    def existing(self, connection_id: str) -> Connection:
        """Raises: ConnectionNotFound."""
        connection = self._documents.get(connection_id)
        if connection is None:
            raise ConnectionNotFound
        return connection

    def provider(self, provider_id: str) -> ProviderDefinition:
        """Raises: ProviderNotFound."""
        provider = self._registry.get(provider_id)
        if provider is None:
            raise ProviderNotFound
        return provider

    def check(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, SecretDraft]
    ) -> None:
        """Raises: InvalidFields."""
        wrong, _ = wrong_fields(self._registry, provider, fields)
        errors = [{"path": error.path, "message": error.message} for error in wrong]
        errors += [
            {"path": f"secrets.{name}", "message": "is not a secret of this kind of connection"}
            for name in sorted(secrets.keys() - provider.secret_fields)
        ]
        if errors:
            raise InvalidFields(errors=errors)

    def put(
        self,
        connection: Connection,
        provider: ProviderDefinition,
        secrets: Mapping[str, SecretDraft],
        actor: str,
    ) -> None:
        """Seals secrets for the present destination, in the caller's transaction.

        Raises: AuthenticationOff, VaultLocked, VaultNotSetUp, StorageError."""
        destination = self._destinations.would_be(provider, connection.fields)
        for field, draft in secrets.items():
            self._secrets.sealed.put(connection, field, draft.value.get_secret_value(), destination)
            self._audit.record("secret:set", connection=connection, field=field, decided_by=actor)

    def take(self, connection: Connection, *, code: str | None, actor: str) -> None:
        """A person has accepted a document that was not the broker's own; its former secrets and grants no longer
        belong to it."""
        self._audit.record("connection:confirmed", connection=connection, code=code, decided_by=actor)
        self._remove_secrets(connection, actor)
        self._revocation.void(connection, except_for=None)

    def _remove_secrets(self, connection: Connection, actor: str) -> None:
        for sealed in self._secrets.sealed.of(connection.id):
            self._secrets.sealed.remove(connection.id, sealed.field)
            self._audit.record("secret:removed", connection=connection, field=sealed.field, decided_by=actor)

    def settle(self, connection: Connection, provider: ProviderDefinition | None) -> bool:
        """Stores the status that follows from the stores' present contents; returns whether it changed. The revision
        stays."""
        if differs_from_file(connection):
            # Its own reason is hidden by the file's, and must not be lost.
            return False
        sealed = self._secrets.sealed.of(connection.id)
        after = self._documents.standing(connection, provider, frozenset(one.field for one in sealed))
        if (
            after.reason == "secret_unreadable"
            and provider is not None
            and self._secrets.keys_if_unlocked is not None
            # A new secret was set: the connection is ready again if the old one could not be unsealed.
            and self._reader.opens(connection, sealed, self._destinations.of(connection, provider))
        ):
            after = READY
        return self._documents.settle(connection, after)

    def changed(self, connection: Connection) -> ConnectionView:
        """A change is committed; how the connection is now."""
        self._publish(Event(event="connections:changed", id=connection.id))
        return self._views.one(self.existing(connection.id))
