"""Connections come from another machine, out of one encrypted file: first shown, then taken as a person decides.

A file is not believed: each connection is checked like one that is typed in, and status, times and permissions are not
in it. One that replaces another goes the way of a change by hand, so that another destination voids secrets and grants.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...contracts.connections import Connection, CreateConnection, UpdateConnection
from ...contracts.events import Event
from ...contracts.transfer import (
    ImportConnections,
    ImportDecision,
    ImportedConnection,
    ImportedConnections,
    ImportEntry,
    ImportPreview,
    PresentConnection,
    PreviewImport,
    TransferredConnection,
    TransferredConnections,
)
from ...errors import ConnectionNotFound, ConnectionNotReady, ConnvaultError, InvalidRequest, WrongKind
from ..access.resolve import EDITED
from ..connections.directory import Directory
from ..connections.documents import not_ours
from ..connections.service import ConnectionsService
from ..connections.statuses import wrong_fields
from ..context import Context
from ..vault_ports import ExportFiles
from .content import decoded


class ConnectionImports:
    """Waits for key derivations, so it is called without the lock."""

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        connections: ConnectionsService,
        files: ExportFiles,
    ) -> None:
        self._documents = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._connections = connections
        self._files = files
        self._transactions = context.transactions
        self._audit = context.audit
        self._publish = context.publish
        self._lock = context.lock

    def preview(self, request: PreviewImport) -> ImportPreview:
        """What importing each connection would do. Changes nothing.

        Raises: ExportFileInvalid, WrongPassphrase, CustodianUnavailable, StorageError."""
        content = self._content(request)
        with self._lock:
            present = self._present()
            return ImportPreview(
                made_at=content.made_at,
                connections=[self._entry(one, present) for one in content.connections],
            )

    def take(self, request: ImportConnections, *, actor: str) -> ImportedConnections:
        """Imports what was decided: all of it, or nothing. `details["connection"]` of an error is the one that it is
        about, as it is called in the file.

        Raises: ExportFileInvalid, WrongPassphrase, CustodianUnavailable, InvalidRequest, ConnectionNotFound, NameTaken,
            RevisionConflict, ConnectionNotReady, WrongKind, ProviderNotFound, InvalidFields, AuthenticationOff,
            VaultLocked, VaultNotSetUp, StorageError.
        """
        content = self._content(request)
        decisions = _decided(request.decisions, content)
        imported, skipped, ended = [], [], False
        with self._lock, self._transactions.transaction():
            present = self._present()
            for one in content.connections:
                decision = decisions.get(one.name)
                if decision is None or decision.action == "skip":
                    skipped.append(one.name)
                    continue
                try:
                    connection, cut = self._taken(one, decision, present.get(one.name.lower()), actor)
                except ConnvaultError as exc:
                    exc.details.setdefault("connection", one.name)
                    raise
                ended = ended or cut
                imported.append(
                    ImportedConnection(
                        id=connection.id,
                        name=connection.name,
                        action=decision.action,
                        secrets=[*one.secrets],
                    )
                )
        if imported:
            self._publish(Event(event="connections:changed"))
        if ended:
            self._publish(Event(event="grants:changed"))
        return ImportedConnections(connections=imported, skipped=skipped)

    def _content(self, request: PreviewImport | ImportConnections) -> TransferredConnections:
        return decoded(self._files.opened(request.file, request.passphrase.get_secret_value()))

    def _present(self) -> Mapping[str, Connection]:
        """By name as it counts: without regard to case."""
        return {one.name.lower(): one for one in self._documents.all()}

    def _taken(
        self, one: TransferredConnection, decision: ImportDecision, present: Connection | None, actor: str
    ) -> tuple[Connection, bool]:
        """The stored connection, and whether grants may have ended."""
        if decision.action == "add":
            new = CreateConnection(
                provider_id=one.provider_id,
                name=decision.as_name or one.name,
                display_name=one.display_name,
                fields=one.fields,
                reveal_allowed=one.reveal_allowed,
                secrets=one.secrets,
            )
            connection, cut = self._connections.added(new, actor=actor), False
        else:
            connection, cut = self._replaced(one, decision, present, actor)
        self._audit.record("connection:imported", connection=connection, decided_by=actor)
        return connection, cut

    def _replaced(
        self, one: TransferredConnection, decision: ImportDecision, present: Connection | None, actor: str
    ) -> tuple[Connection, bool]:
        if present is None or decision.revision is None:
            raise ConnectionNotFound
        if not_ours(present):
            raise ConnectionNotReady(EDITED, reason=present.status_reason)
        if present.provider_id != one.provider_id:
            raise WrongKind(_OTHER_KIND, kind=present.provider_id)
        # Its permission to reveal stays: an import allows nothing.
        changed = UpdateConnection(
            id=present.id,
            revision=decision.revision,
            display_name=one.display_name,
            fields=one.fields,
            secrets=one.secrets,
        )
        return self._connections.updated(changed, actor=actor)

    def _entry(self, one: TransferredConnection, present: Mapping[str, Connection]) -> ImportEntry:
        provider = self._registry.get(one.provider_id)
        there = present.get(one.name.lower())
        entry = ImportEntry(
            name=one.name,
            provider_id=one.provider_id,
            display_name=one.display_name,
            reveal_allowed=one.reveal_allowed,
            secrets=[*one.secrets],
            without_secrets=one.without_secrets,
            would="unknown_kind",
            present=None if there is None else self._shown(there),
        )
        if provider is None:
            return entry
        wrong, _ = wrong_fields(self._registry, provider, one.fields)
        known = {"provider_name": provider.name}
        if wrong or not one.secrets.keys() <= provider.secret_fields:
            return entry.model_copy(update={**known, "would": "invalid"})
        target = self._destinations.would_be(provider, one.fields)
        known["destination"] = target.line
        if there is None:
            would = "new"
        elif there.provider_id != one.provider_id:
            would = "other_destination"
        else:
            here = self._destinations.would_be(provider, there.fields)
            same = "same" if here.fields == target.fields else "name_taken"
            would = same if here.digest == target.digest else "other_destination"
        return entry.model_copy(update={**known, "would": would})

    def _shown(self, present: Connection) -> PresentConnection:
        provider = self._registry.get(present.provider_id)
        return PresentConnection(
            id=present.id,
            name=present.name,
            revision=present.revision,
            provider_id=present.provider_id,
            destination="" if provider is None else self._destinations.of(present, provider).line,
        )


_OTHER_KIND = (
    "The connection with this name is of another kind, so it can't be replaced. Import it under another name, or "
    "delete that one first."
)


def _decided(
    decisions: list[ImportDecision], content: TransferredConnections
) -> Mapping[str, ImportDecision]:
    """By name in the file. Raises: InvalidRequest: a decision fits nothing."""
    names = {one.name for one in content.connections}
    found: dict[str, ImportDecision] = {}
    errors = []
    for number, decision in enumerate(decisions):
        why = None
        if decision.name not in names:
            why = "is not in the file"
        elif decision.name in found:
            why = "is decided twice"
        elif (decision.action == "replace") != (decision.revision is not None):
            why = "names the revision that is replaced, and only then"
        elif decision.as_name is not None and decision.action != "add":
            why = "has another name only if it is added"
        if why is not None:
            errors.append({"path": f"decisions.{number}", "message": why})
        found[decision.name] = decision
    if errors:
        raise InvalidRequest("A decision does not fit the file.", errors=errors)
    return found
