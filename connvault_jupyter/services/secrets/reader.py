"""Unseals all secrets of a connection, and marks a connection whose secrets can no longer be unsealed.

Used by the access path and the connection test, each after the use was logged, and by `consent.open_questions` to mask
claims. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ...contracts.connections import Connection
from ...contracts.events import Event
from ...errors import SecretInvalid, StorageError
from ..connections.destinations import Destination
from ..connections.documents import Documents
from ..connections.statuses import Standing
from ..context import Context
from ..ports import SealedSecret
from .service import SecretsService


class SecretReader:
    """Unseals. A blob that can't be unsealed is never deleted; its connection asks for a new secret instead."""

    def __init__(self, *, context: Context, documents: Documents, secrets: SecretsService) -> None:
        self._secrets = secrets
        self._documents = documents
        self._transactions = context.transactions
        self._audit = context.audit
        self._publish = context.publish

    def open(
        self, connection: Connection, sealed: Sequence[SealedSecret], destination: Destination
    ) -> dict[str, str]:
        """The secrets by field, for the fields that the provider still has.

        Raises: VaultLocked, VaultNotSetUp.
            SecretInvalid: one can't be unsealed; the connection is `invalid` from now on.
        """
        found = {}
        for secret in sealed:
            if secret.field in destination.secret_fields:
                try:
                    found[secret.field] = self._secrets.sealed.unseal(connection, secret, destination)
                except SecretInvalid:
                    self._mark(connection, secret.field, destination)
                    # If the keys are gone, that is the error to report.
                    _ = self._secrets.keys
                    raise
        return found

    def readable(self, connection: Connection, destination: Destination) -> list[str]:
        """The secrets that can be unsealed, to be masked; marks nothing, and skips those that can't.

        Raises: VaultLocked, VaultNotSetUp.
        """
        found = []
        for secret in self._secrets.sealed.of(connection.id):
            with suppress(SecretInvalid):
                found.append(self._secrets.sealed.unseal(connection, secret, destination))
        return found

    def opens(self, connection: Connection, sealed: Sequence[SealedSecret], destination: Destination) -> bool:
        """Whether all secrets can be unsealed; marks nothing."""
        try:
            for secret in sealed:
                self._secrets.sealed.unseal(connection, secret, destination)
        except SecretInvalid:
            return False
        return True

    def _mark(self, connection: Connection, field: str, destination: Destination) -> None:
        try:
            with self._transactions.transaction():
                # Another server may have changed the keys or the secret since it was read: check again in a
                # transaction.
                sealed = [one for one in self._secrets.sealed.of(connection.id) if one.field == field]
                if self._secrets.keys_if_unlocked is None or self.opens(connection, sealed, destination):
                    return
                self._documents.settle(connection, Standing("invalid", "secret_unreadable"))
                self._audit.record(
                    "secret:unreadable",
                    connection=connection,
                    field=field,
                    outcome="failed",
                    code=SecretInvalid.code,
                )
        except StorageError:
            # The caller gets SecretInvalid nevertheless, and the next use tries to mark it again.
            return
        self._publish(Event(event="connections:changed", id=connection.id))
