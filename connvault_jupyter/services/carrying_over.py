"""What a version before has left is brought into the present form, once the keys are there that tell what is genuine.

Grants of that version say less than their dialog did: they cover where a secret may be sent, not what else was shown.
A genuine one is made anew for what would be shown today, if the connection was not changed since it was given. So a
row of the old form that is put back into the database later is worth what any revoked grant is worth that is put back,
and no more. Its MAC is of another form, so it counts for nothing until then.
"""

from __future__ import annotations

from contextlib import suppress

from ..contracts.access import Grant
from ..contracts.events import Event
from ..errors import StorageError
from .audit import AuditService
from .claims import MASK, Claims
from .destinations import Destination, Destinations
from .grants import Grants
from .ports import ConnectionStore, Keys, ProviderRegistry, Publish, StoredGrant, Transactions
from .secrets import SecretsService

# A "never" counts whatever it was shown with; this is no digest of anything.
_NOTHING_SHOWN = "0" * 64


class CarryingOver:
    """Called with the lock held, after each unlocking; there is something to do after the first one only."""

    def __init__(
        self,
        *,
        grants: Grants,
        claims: Claims,
        connections: ConnectionStore,
        registry: ProviderRegistry,
        destinations: Destinations,
        secrets: SecretsService,
        transactions: Transactions,
        audit: AuditService,
        publish: Publish,
    ) -> None:
        self._grants = grants
        self._claims = claims
        self._connections = connections
        self._registry = registry
        self._destinations = destinations
        self._secrets = secrets
        self._transactions = transactions
        self._audit = audit
        self._publish = publish

    def run(self) -> None:
        """Never raises because of the storage: what could not be stored is tried again after the next unlocking."""
        keys = self._secrets.keys_if_unlocked
        if keys is None:
            return
        changed = 0
        with suppress(StorageError):
            if all(stored.grant.shown_digest is not None for stored in self._grants.all()):
                return
            with self._transactions.transaction():
                # Again inside: another server may do the same at this moment.
                for stored in self._grants.all():
                    if stored.grant.shown_digest is None:
                        changed += self._carry(stored, keys)
            if changed:
                self._publish(Event(event="grants:changed"))

    def _carry(self, stored: StoredGrant, keys: Keys) -> bool:
        grant, genuine = stored.grant, self._grants.genuine_of_before(stored, keys)
        connection = self._connections.get(grant.connection_id)
        if connection is None:
            return False
        provider = self._registry.get(connection.provider_id)
        destination = None if provider is None else self._destinations.of(connection, provider)
        if grant.decision == "deny_always":
            # Also a forged one, and one from while the vault was locked: a no counts all the same.
            shown = _NOTHING_SHOWN if destination is None else destination.shown
            self._grants.put_in_place(self._anew(grant, shown), keys, authentic=genuine)
            return True
        if not genuine:
            # It stays for a person to see, and does not count.
            return False
        if destination is None or not self._still_so(
            grant, destination, connection.updated_at <= grant.created_at
        ):
            self._grants.remove(grant.id)
            self._audit.record("grant:voided", connection=connection, grant=grant)
            return True
        carried = self._anew(grant, destination.shown)
        self._grants.put_in_place(carried, keys, authentic=True)
        self._audit.record("grant:carried_over", connection=connection, grant=carried)
        return True

    def _still_so(self, grant: Grant, destination: Destination, unchanged: bool) -> bool:
        # What was masked in a claim is not known any more, so no claim could be found equal to it.
        return (
            unchanged and grant.destination_digest == destination.digest and MASK not in (grant.agent or "")
        )

    def _anew(self, grant: Grant, shown: str) -> Grant:
        agent = self._claims.made("agent", grant.connection_id, grant.agent)
        sealed = self._claims.admitted(agent, grant.connection_id, ())
        return grant.model_copy(
            update={
                "agent": None,
                "agent_hash": None if sealed is None else sealed.mark,
                "agent_sealed": None if sealed is None else sealed.sealed,
                "shown_digest": shown,
            }
        )
