"""Changes a vault's keys: everything sealed or MAC-ed is renewed for the next generation, in one transaction.

No person is asked and no master key is made here; `service` does that before, without the lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...contracts.connections import Connection
from ...errors import Conflict, SecretInvalid
from ..audit.service import AuditService
from ..connections.destinations import Destination
from ..connections.directory import Directory
from ..connections.documents import not_ours
from ..connections.statuses import Standing
from ..connections.upgrade import Upgrade
from ..context import Stores
from ..grants.service import Grants
from ..ports import SealedSecret
from ..vault_ports import Keys, SealContext, VaultRecord
from .generations import FROM_BEFORE, Unlocked
from .sealing import opened


class Rekeying:
    """Makes nothing genuine that was not: forged grants stay forged, edited documents stay edited."""

    def __init__(
        self,
        *,
        stores: Stores,
        directory: Directory,
        grants: Grants,
        upgrade: Upgrade,
        audit: AuditService,
    ) -> None:
        self._vault = stores.vault
        self._secrets = stores.secrets
        self._documents = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._grants = grants
        self._upgrade = upgrade
        self._audit = audit

    def run(self, before: VaultRecord, old: Unlocked, after: VaultRecord, new: Unlocked) -> list[Connection]:
        """To be called in a transaction. Returns the connections of which a secret could not be unsealed, for the
        caller to mark.

        Nothing is lost: a secret that can't be unsealed (its provider is not installed here) is wrapped as it is.

        Raises: Conflict: the vault was changed since it was read. StorageError.
        """
        if self._vault.load() != before:
            raise Conflict
        from_before = before.generation == FROM_BEFORE
        self._documents.unlocked(old.keys)
        # By the old keys, whether or not they are held: while the vault is locked, an edited document looks like any
        # other.
        connections = self._documents.judged_by(None if from_before else old.keys)
        unread = self._reseal(before.vault_id, connections, old, new)
        self._documents.rekeyed(old.keys, new.keys, from_before=from_before)
        self._grants.rekeyed(old.keys, new.keys)
        self._audit.rekeyed(old, new)
        self._vault.replace(after)
        return unread

    def finish(self, before: VaultRecord, unread: list[Connection], keys: Keys) -> None:
        """After `run`, when the new `keys` are held: upgrades what an earlier version has stored, then logs and marks
        what `run` returned."""
        if before.generation == FROM_BEFORE:
            self._upgrade.run(keys)
        for connection in unread:
            self._documents.settle(connection, Standing("invalid", "secret_unreadable"))
            self._audit.record(
                "secret:unreadable", connection=connection, outcome="failed", code=SecretInvalid.code
            )

    def _reseal(
        self, vault_id: str, connections: Sequence[Connection], old: Unlocked, new: Unlocked
    ) -> list[Connection]:
        by_id = {one.id: one for one in connections}
        unread: dict[str, Connection] = {}
        for sealed in self._secrets.all():
            connection = by_id.get(sealed.connection_id)
            if connection is None:
                continue
            destination = self._destination(connection)
            try:
                if destination is None:
                    raise SecretInvalid
                context = destination.seal_context(vault_id, connection, sealed.field)
                secret = opened(old.keys, vault_id, connection, sealed, destination)
                envelope = new.keys.seal(secret, context)
            except SecretInvalid:
                if destination is not None and not not_ours(connection):
                    unread[connection.id] = connection
                try:
                    envelope = new.keys.wrap(
                        old.keys, sealed.envelope, _belonging(vault_id, connection, sealed)
                    )
                except SecretInvalid:
                    # Damaged: it can't be unsealed anywhere.
                    continue
            self._secrets.put(replace(sealed, envelope=envelope))
        return [*unread.values()]

    def _destination(self, connection: Connection) -> Destination | None:
        """`None`: its provider is not installed here."""
        provider = self._registry.get(connection.provider_id)
        return None if provider is None else self._destinations.of(connection, provider)


def _belonging(vault_id: str, connection: Connection, sealed: SealedSecret) -> SealContext:
    """A secret's context without its destination, which is all that a wrapped one is bound to."""
    return SealContext(
        vault_id=vault_id,
        scope=connection.scope,
        connection_id=connection.id,
        field=sealed.field,
        provider_id=connection.provider_id,
        destination={},
    )
