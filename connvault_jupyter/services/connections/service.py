"""ConnectionsService: creates, changes and deletes connections and sets their secrets; each write settles the status.

Lists are made by `views`, tests by `connection_check`. A secret that comes in here is sealed at once.
"""

from __future__ import annotations

from ...contracts.access import Requester
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
    SetSecret,
    TestOutcome,
    UpdateConnection,
)
from ...contracts.events import Event
from ...contracts.providers import ProviderList, ProviderSummaryList
from ...errors import ConnectionNotReady, InvalidFields, RevisionConflict, SecretNotFound
from ..access.resolve import EDITED
from ..context import Context
from ..secrets.service import SecretsService
from .changes import ConnectionChanges, NewConnection
from .connection_check import ConnectionChecks
from .directory import Directory
from .documents import differs_from_file, not_ours
from .views import ConnectionViews
from .workspace_service import WorkspacesService

CHANGED_IN_PROJECT = (
    "The project's file says something else than you accepted, or can't be read. Review this connection in the "
    "Connections panel first."
)


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
        views: ConnectionViews,
        checks: ConnectionChecks,
        changes: ConnectionChanges,
        projects: WorkspacesService,
    ) -> None:
        self._documents = directory.documents
        self._registry = directory.registry
        self._workspaces = directory.workspaces
        self._secrets = secrets
        self._views = views
        self._checks = checks
        self._changes = changes
        self._projects = projects
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._publish = context.publish
        self._reveal_allowed = context.settings.reveal_allowed

    def list(self) -> ConnectionList:
        """All connections, by name."""
        return self._views.all()

    def get(self, request: ConnectionRef) -> ConnectionView:
        """Raises: ConnectionNotFound."""
        return self._views.one(self._changes.existing(request.id))

    def summaries(self, requester: Requester) -> ConnectionSummaryList:
        """The connections that this requester sees, as it sees them."""
        return self._views.summaries(requester)

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
        return self._audit.use_days(self._changes.existing(request.id).id)

    def test(self, request: ConnectionRef, *, actor: str) -> TestOutcome:
        """Logs in once at the stored destination; waits, so it is called without the lock.

        Raises: see `ConnectionChecks.run`."""
        return self._checks.run(request.id, actor=actor)

    def create(self, request: CreateConnection, *, actor: str) -> ConnectionView:
        """Creates a connection, with the secrets that came along. One of the scope `workspace` is written into the
        project's file, without them, and is accepted.

        Raises: ProviderNotFound, InvalidFields, NameTaken, AuthenticationOff, VaultLocked, VaultNotSetUp, StorageError.
            WorkspaceFileInvalid, WorkspaceFileChanged, WorkspaceReadOnly: see `Workspaces.change`.
        """
        if request.scope == "workspace":
            return self._projects.create(request, actor=actor)
        return self._changes.changed(self.added(request, actor=actor))

    def added(self, request: CreateConnection, *, actor: str) -> Connection:
        """As `create` of one of the person's own, perhaps in the caller's transaction: nothing is published."""
        if request.workspace is not None or request.scope != "user":
            raise InvalidFields(
                "A project's folder belongs to the scope 'workspace'.",
                errors=[{"path": "workspace", "message": "belongs to another scope"}],
            )
        asked = NewConnection.of(request, self._changes.provider(request.provider_id), workspace=None)
        self._changes.check(asked.provider, asked.fields, asked.secrets)
        with self._transactions.transaction():
            return self._changes.add(asked, actor)

    def update(self, request: UpdateConnection, *, actor: str) -> ConnectionView:
        """Changes the given parts. Another destination removes the secrets, and a change of anything that a dialog
        shows voids the grants, in the same transaction.

        So does saving a document that is not the broker's own (edited, or never confirmed): its secrets are bound to
        the destination, not to user or database, and a form does not show what somebody else has changed.

        Raises: ConnectionNotFound, RevisionConflict, ProviderNotFound, InvalidFields, NameTaken, AuthenticationOff,
            VaultLocked, VaultNotSetUp, StorageError.
        """
        connection, ended = self.updated(request, actor=actor)
        return self._changes.replaced(connection, ended=ended)

    def updated(self, request: UpdateConnection, *, actor: str) -> tuple[Connection, bool]:
        """As `update`, perhaps in the caller's transaction: nothing is published. Also returns whether grants may have
        ended."""
        old = self._changes.existing(request.id)
        if old.revision != request.revision:
            raise RevisionConflict
        if differs_from_file(old):
            raise ConnectionNotReady(CHANGED_IN_PROJECT, reason=old.status_reason)
        edited = old.model_copy(
            update={
                "name": old.name if request.name is None else request.name,
                "display_name": old.display_name if request.display_name is None else request.display_name,
                "fields": old.fields if request.fields is None else request.fields,
                "reveal_allowed": old.reveal_allowed
                if request.reveal_allowed is None
                else request.reveal_allowed,
                "revision": old.revision + 1,
                "updated_at": self._clock(),
            }
        )
        return self._changes.replace(old, edited, request.secrets, actor)

    def delete(self, request: DeleteConnection, *, actor: str) -> None:
        """With its secrets, grants and handles; out of its project's file, too, unless that says something else than
        was accepted.

        Raises: ConnectionNotFound, RevisionConflict, StorageError, WorkspaceFileChanged, WorkspaceReadOnly."""
        connection = self._changes.existing(request.id)
        with self._transactions.transaction():
            self._changes.delete(connection, request.revision, actor)
            if connection.workspace is not None and not (
                differs_from_file(connection) or not_ours(connection)
            ):
                self._workspaces.remove(connection)
        self._changes.gone(connection)

    def set_secret(self, request: SetSecret, *, actor: str) -> ConnectionView:
        """Sets or replaces a secret; the revision stays, `rotation` of the handles changes.

        This confirms a connection without a MAC, as it was shown; an edited one must be saved first.

        Raises: ConnectionNotFound, ProviderNotFound, SecretNotFound, AuthenticationOff, VaultLocked, VaultNotSetUp.
            ConnectionNotReady: it was edited. RevisionConflict: it is not what was shown.
        """
        # Read inside the transaction: sealing for a destination that another server is changing would make a secret
        # that nobody can unseal.
        with self._transactions.transaction():
            connection = self._changes.existing(request.id)
            if request.revision not in (None, connection.revision):
                raise RevisionConflict
            provider = self._changes.provider(connection.provider_id)
            if request.field not in provider.secret_fields:
                raise SecretNotFound
            if connection.status_reason == "edited":
                raise ConnectionNotReady(EDITED, reason="edited")
            if differs_from_file(connection):
                raise ConnectionNotReady(CHANGED_IN_PROJECT, reason=connection.status_reason)
            foreign = not_ours(connection)
            if foreign:
                self._documents.accept(connection)
                self._documents.confirm(connection, self._secrets.keys)
                self._changes.take(connection, code=connection.status_reason, actor=actor)
                connection = self._changes.existing(request.id)
            self._changes.put(connection, provider, {request.field: request}, actor)
            self._changes.settle(connection, provider)
        if foreign:
            self._publish(Event(event="grants:changed"))
        return self._changes.changed(connection)

    def delete_secret(self, request: DeleteSecret, *, actor: str) -> ConnectionView:
        """Also works while the vault is locked. Raises: ConnectionNotFound, SecretNotFound, StorageError."""
        with self._transactions.transaction():
            connection = self._changes.existing(request.id)
            if not self._secrets.sealed.remove(connection.id, request.field):
                raise SecretNotFound
            self._audit.record("secret:removed", connection=connection, field=request.field, decided_by=actor)
            self._changes.settle(connection, self._registry.get(connection.provider_id))
        return self._changes.changed(connection)

    def recheck(self) -> int:
        """Computes the status of all connections again, as kinds may have come, gone or changed. Returns how many
        changed.

        For the broker's start, so that a list does not have to validate a thousand rows.
        """
        changed = 0
        with self._transactions.transaction(durable=False):
            for connection in self._documents.all():
                changed += self._changes.settle(connection, self._registry.get(connection.provider_id))
        if changed:
            self._publish(Event(event="connections:changed"))
        return changed
