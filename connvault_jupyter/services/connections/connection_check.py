"""Tests a stored connection by logging in, logged before and after. How to log in is up to the `ConnectionCheck`
port."""

from __future__ import annotations

from ...contracts.connections import Connection, TestOutcome
from ...contracts.contract import SecretRef
from ...contracts.events import Event
from ...errors import ConnectionNotFound, InvalidRequest
from ..access.resolve import HandleResolver
from ..context import Context
from ..ports import ConnectionCheck, ConnectionStore
from ..secrets.reader import SecretReader
from ..secrets.service import SecretsService


class ConnectionChecks:
    """Uses the stored destination only: unsaved values of a form are never tested with a stored secret."""

    def __init__(
        self,
        *,
        context: Context,
        store: ConnectionStore,
        secrets: SecretsService,
        reader: SecretReader,
        resolver: HandleResolver,
        check: ConnectionCheck,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._resolver = resolver
        self._reader = reader
        self._check = check
        self._transactions = context.transactions
        self._audit = context.audit
        self._publish = context.publish
        self._lock = context.lock

    def run(self, connection_id: str, *, actor: str) -> TestOutcome:
        """Called without the lock. The outcome is kept unless the connection was changed in the meantime.

        Raises: ConnectionNotFound, ConnectionNotReady, SecretMissing, SecretInvalid, VaultLocked, StorageError.
            InvalidRequest: connections of this kind can't be tested.
        """
        with self._lock:
            connection = self._store.get(connection_id)
            if connection is None:
                raise ConnectionNotFound
            destination = self._resolver.ready(connection)
            if not destination.provider.testable:
                raise InvalidRequest("Connections of this kind can't be tested.")
            _ = self._secrets.keys
            sealed = self._secrets.sealed.of(connection_id)
            self._audit.record("connection:tested", connection=connection, decided_by=actor)
            values = self._reader.open(connection, sealed, destination)
        outcome = self._check(destination.provider, destination.fields, values)
        with self._lock:
            if self._unchanged(connection, frozenset(one.ref for one in sealed)):
                with self._transactions.transaction():
                    self._store.save_test(connection_id, outcome)
                    if not outcome.ok:
                        self._audit.record(
                            "connection:tested",
                            connection=connection,
                            outcome="failed",
                            code=outcome.code,
                            decided_by=actor,
                        )
                self._publish(Event(event="connections:changed", id=connection_id))
        return outcome

    def _unchanged(self, tried: Connection, refs: frozenset[SecretRef]) -> bool:
        now = self._store.get(tried.id)
        return (
            now is not None
            and now.revision == tried.revision
            and frozenset(one.ref for one in self._secrets.sealed.of(tried.id)) == refs
        )
