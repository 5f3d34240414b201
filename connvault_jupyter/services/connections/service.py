"""ConnectionsService: creates, changes and deletes connections and sets their secrets; each write settles the status.

Lists are made by `views`, tests by `connection_check`. A secret that comes in here is sealed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...contracts.audit import UseDays
from ...contracts.connections import (
    Connection,
    ConnectionList,
    ConnectionRef,
    ConnectionSummaryList,
    ConnectionView,
    CreateConnection,
    DeleteConnection,
    DeleteSecret,
    SecretDraft,
    SetSecret,
    TestOutcome,
    UpdateConnection,
)
from ...contracts.events import Event
from ...contracts.providers import ProviderDefinition, ProviderList, ProviderSummaryList
from ...errors import (
    ConnectionNotFound,
    ConnectionNotReady,
    InvalidFields,
    ProviderNotFound,
    RevisionConflict,
    SecretNotFound,
)
from ..access.deliveries import reveals_by_default
from ..access.resolve import EDITED
from ..context import Context
from ..grants.revocation import Revocation
from ..identifiers import new_id
from ..secrets.reader import SecretReader
from ..secrets.service import SecretsService
from .connection_check import ConnectionChecks
from .directory import Directory
from .documents import not_ours, with_standing
from .statuses import READY, standing, wrong_fields
from .views import ConnectionViews


class ConnectionsService:
    """All methods but `test` are called with the lock held.

    While the vault is locked or absent, a draft without secrets can be saved; with a secret, nothing at all is stored.
    """

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        secrets: SecretsService,
        reader: SecretReader,
        views: ConnectionViews,
        checks: ConnectionChecks,
        revocation: Revocation,
    ) -> None:
        self._documents = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._secrets = secrets
        self._views = views
        self._checks = checks
        self._reader = reader
        self._revocation = revocation
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._randomness = context.randomness
        self._publish = context.publish
        self._reveal_allowed = context.settings.reveal_allowed

    def list(self) -> ConnectionList:
        """All connections, by name."""
        return self._views.all()

    def get(self, request: ConnectionRef) -> ConnectionView:
        """Raises: ConnectionNotFound."""
        return self._views.one(self._existing(request.id))

    def summaries(self) -> ConnectionSummaryList:
        """All connections as a requester sees them."""
        return self._views.summaries()

    def providers(self) -> ProviderList:
        """All kinds of connections, and definitions that could not be used."""
        return ProviderList(
            providers=[*self._registry.all()],
            skipped=[*self._registry.skipped()],
            reveal_allowed=self._reveal_allowed,
        )

    def provider_summaries(self) -> ProviderSummaryList:
        """The kinds of connections as a requester sees them."""
        return self._views.providers()

    def uses(self, request: ConnectionRef) -> UseDays:
        """Uses on each of the last 14 days. Raises: ConnectionNotFound."""
        return self._audit.use_days(self._existing(request.id).id)

    def test(self, request: ConnectionRef, *, actor: str) -> TestOutcome:
        """Logs in once at the stored destination; waits, so it is called without the lock.

        Raises: see `ConnectionChecks.run`."""
        return self._checks.run(request.id, actor=actor)

    def create(self, request: CreateConnection, *, actor: str) -> ConnectionView:
        """Creates a connection, with the secrets that came along.

        Raises: ProviderNotFound, InvalidFields, NameTaken, AuthenticationOff, VaultLocked, VaultNotSetUp, StorageError.
        """
        return self._changed(self.added(request, actor=actor))

    def added(self, request: CreateConnection, *, actor: str) -> Connection:
        """As `create`, perhaps in the caller's transaction: nothing is published."""
        if request.scope != "user":
            # Its store does not exist yet; in the user's own store nobody else would see it.
            raise InvalidFields(
                "Workspace connections are not supported yet. Choose the scope 'user'.",
                errors=[{"path": "scope", "message": "is not supported yet"}],
            )
        provider = self._provider(request.provider_id)
        self._check(provider, request.fields, request.secrets)
        now = self._clock()
        draft = Connection(
            id=new_id(self._randomness),
            provider_id=request.provider_id,
            name=request.name,
            display_name=request.display_name,
            fields=request.fields,
            reveal_allowed=reveals_by_default(provider)
            if request.reveal_allowed is None
            else request.reveal_allowed,
            status="draft",
            status_reason="secret_missing",
            created_at=now,
            updated_at=now,
        )
        present = frozenset(request.secrets)
        connection = with_standing(draft, standing(self._registry, provider, draft, present))
        with self._transactions.transaction():
            self._documents.add(connection)
            self._audit.record("connection:created", connection=connection, decided_by=actor)
            self._put(connection, provider, request.secrets, actor)
        return connection

    def update(self, request: UpdateConnection, *, actor: str) -> ConnectionView:
        """Changes the given parts. Another destination removes the secrets, and a change of anything that a dialog
        shows voids the grants, in the same transaction.

        So does saving a document that is not the broker's own (edited, or never confirmed): its secrets are bound to
        the destination, not to user or database, and a form does not show what somebody else has changed.

        Raises: ConnectionNotFound, RevisionConflict, ProviderNotFound, InvalidFields, NameTaken, AuthenticationOff,
            VaultLocked, VaultNotSetUp, StorageError.
        """
        connection, ended = self.updated(request, actor=actor)
        if ended:
            self._publish(Event(event="grants:changed"))
        return self._changed(connection)

    def updated(self, request: UpdateConnection, *, actor: str) -> tuple[Connection, bool]:
        """As `update`, perhaps in the caller's transaction: nothing is published. Also returns whether grants may have
        ended."""
        old = self._existing(request.id)
        if old.revision != request.revision:
            raise RevisionConflict
        provider = self._registry.get(old.provider_id)
        fields = old.fields if request.fields is None else request.fields
        foreign = not_ours(old)
        if foreign:
            self._documents.accept(old)
        if foreign or fields != old.fields or request.secrets:
            # Without its schema nobody can tell which fields are secrets or destinations. Only names can be changed.
            provider = self._provider(old.provider_id)
            self._check(provider, fields, request.secrets)
        edited = old.model_copy(
            update={
                "name": old.name if request.name is None else request.name,
                "display_name": old.display_name if request.display_name is None else request.display_name,
                "fields": fields,
                "reveal_allowed": old.reveal_allowed
                if request.reveal_allowed is None
                else request.reveal_allowed,
                "revision": old.revision + 1,
                "updated_at": self._clock(),
            }
        )
        stored = frozenset(one.field for one in self._secrets.sealed.of(old.id))
        target = None if provider is None else self._destinations.would_be(provider, fields)
        moved = (
            target is not None
            and target.digest != self._destinations.would_be(target.provider, old.fields).digest
        )
        present = (frozenset() if moved or foreign else stored) | frozenset(request.secrets)
        lost = moved and not stored <= present
        after = standing(self._registry, provider, edited, present, secrets_removed=lost)
        connection = with_standing(edited, after)
        voided = 0
        with self._transactions.transaction():
            self._documents.update(connection, expected_revision=old.revision)
            self._audit.record(
                "connection:changed",
                connection=connection,
                # Other changes can be seen in the connection itself; what code may ask for is logged.
                field="reveal_allowed" if edited.reveal_allowed != old.reveal_allowed else None,
                decided_by=actor,
            )
            if foreign:
                self._take(connection, code=old.status_reason, actor=actor)
            elif moved:
                self._remove_secrets(connection, actor)
            if provider is not None and not foreign:
                shown = self._destinations.of_edited(connection, provider).shown
                if shown != self._destinations.of_edited(old, provider).shown:
                    voided = self._revocation.void(connection, except_for=shown)
            if provider is not None and request.secrets:
                self._put(connection, provider, request.secrets, actor)
                self._settle(connection, provider)
        return connection, bool(voided or foreign)

    def delete(self, request: DeleteConnection, *, actor: str) -> None:
        """With its secrets, grants and handles. Raises: ConnectionNotFound, RevisionConflict, StorageError."""
        connection = self._existing(request.id)
        with self._transactions.transaction():
            self._revocation.void(connection, except_for=None, why="deleted")
            self._documents.remove(connection.id, expected_revision=request.revision)
            self._audit.record("connection:deleted", connection=connection, decided_by=actor)
        self._destinations.forget(connection.id)
        self._publish(Event(event="connections:changed", id=connection.id))
        self._publish(Event(event="grants:changed"))

    def set_secret(self, request: SetSecret, *, actor: str) -> ConnectionView:
        """Sets or replaces a secret; the revision stays, `rotation` of the handles changes.

        This confirms a connection without a MAC, as it was shown; an edited one must be saved first.

        Raises: ConnectionNotFound, ProviderNotFound, SecretNotFound, AuthenticationOff, VaultLocked, VaultNotSetUp.
            ConnectionNotReady: it was edited. RevisionConflict: it is not what was shown.
        """
        # Read inside the transaction: sealing for a destination that another server is changing would make a secret
        # that nobody can unseal.
        with self._transactions.transaction():
            connection = self._existing(request.id)
            if request.revision not in (None, connection.revision):
                raise RevisionConflict
            provider = self._provider(connection.provider_id)
            if request.field not in provider.secret_fields:
                raise SecretNotFound
            if connection.status_reason == "edited":
                raise ConnectionNotReady(EDITED, reason="edited")
            foreign = not_ours(connection)
            if foreign:
                self._documents.accept(connection)
                self._documents.confirm(connection, self._secrets.keys)
                self._take(connection, code=connection.status_reason, actor=actor)
                connection = self._existing(request.id)
            self._put(connection, provider, {request.field: request}, actor)
            self._settle(connection, provider)
        if foreign:
            self._publish(Event(event="grants:changed"))
        return self._changed(connection)

    def delete_secret(self, request: DeleteSecret, *, actor: str) -> ConnectionView:
        """Also works while the vault is locked. Raises: ConnectionNotFound, SecretNotFound, StorageError."""
        with self._transactions.transaction():
            connection = self._existing(request.id)
            if not self._secrets.sealed.remove(connection.id, request.field):
                raise SecretNotFound
            self._audit.record("secret:removed", connection=connection, field=request.field, decided_by=actor)
            self._settle(connection, self._registry.get(connection.provider_id))
        return self._changed(connection)

    def recheck(self) -> int:
        """Computes the status of all connections again, as kinds may have come, gone or changed. Returns how many
        changed.

        For the broker's start, so that a list does not have to validate a thousand rows.
        """
        changed = 0
        with self._transactions.transaction(durable=False):
            for connection in self._documents.all():
                changed += self._settle(connection, self._registry.get(connection.provider_id))
        if changed:
            self._publish(Event(event="connections:changed"))
        return changed

    def _existing(self, connection_id: str) -> Connection:
        connection = self._documents.get(connection_id)
        if connection is None:
            raise ConnectionNotFound
        return connection

    def _provider(self, provider_id: str) -> ProviderDefinition:
        provider = self._registry.get(provider_id)
        if provider is None:
            raise ProviderNotFound
        return provider

    def _check(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, SecretDraft]
    ) -> None:
        wrong, _ = wrong_fields(self._registry, provider, fields)
        errors = [{"path": error.path, "message": error.message} for error in wrong]
        errors += [
            {"path": f"secrets.{name}", "message": "is not a secret of this kind of connection"}
            for name in sorted(secrets.keys() - provider.secret_fields)
        ]
        if errors:
            raise InvalidFields(errors=errors)

    def _put(
        self,
        connection: Connection,
        provider: ProviderDefinition,
        secrets: Mapping[str, SecretDraft],
        actor: str,
    ) -> None:
        destination = self._destinations.would_be(provider, connection.fields)
        for field, draft in secrets.items():
            self._secrets.sealed.put(connection, field, draft.value.get_secret_value(), destination)
            self._audit.record("secret:set", connection=connection, field=field, decided_by=actor)

    def _take(self, connection: Connection, *, code: str | None, actor: str) -> None:
        """A person has accepted a document that was not the broker's own; its former secrets and grants no longer
        belong to it."""
        self._audit.record("connection:confirmed", connection=connection, code=code, decided_by=actor)
        self._remove_secrets(connection, actor)
        self._revocation.void(connection, except_for=None)

    def _remove_secrets(self, connection: Connection, actor: str) -> None:
        for sealed in self._secrets.sealed.of(connection.id):
            self._secrets.sealed.remove(connection.id, sealed.field)
            self._audit.record("secret:removed", connection=connection, field=sealed.field, decided_by=actor)

    def _settle(self, connection: Connection, provider: ProviderDefinition | None) -> bool:
        """Stores the status that follows from the stores' present contents; returns whether it changed. The revision
        stays."""
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

    def _changed(self, connection: Connection) -> ConnectionView:
        self._publish(Event(event="connections:changed", id=connection.id))
        return self._views.one(self._existing(connection.id))
