"""What a version before has left is brought into the present form, while its vault is taken over.

Grants of that version say less than their dialog did: they cover where a secret may be sent, not what else was shown,
and nothing covered the connection. So a lasting one is void: with an edited connection it would lead elsewhere without
a question. A genuine one of a run, which ends with its kernel, is made anew for what would be shown today, if the
connection was not changed since it was given. That happens once, in the transaction in which the vault gets other keys
than those of that version: a row of the old form that is put back later has no MAC by any key that counts then.
Whoever puts the old description of the vault back too has keys again that counted, and none that opens a secret.
"""

from __future__ import annotations

from ...contracts.access import Grant
from ..audit.service import AuditService
from ..claims import MASK, Claims
from ..grants.service import Grants
from ..ports import StoredGrant
from ..vault_ports import Keys
from .destinations import Destination
from .directory import Directory

# A "never" counts whatever it was shown with; this is no digest of anything.
_NOTHING_SHOWN = "0" * 64


class Upgrade:
    """Called with the lock held, in the caller's transaction."""

    def __init__(
        self,
        *,
        directory: Directory,
        grants: Grants,
        claims: Claims,
        audit: AuditService,
    ) -> None:
        self._grants = grants
        self._claims = claims
        self._connections = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._audit = audit

    def run(self, keys: Keys) -> None:
        """`keys` are the ones that are held; what was genuine has a MAC by them already. Raises: StorageError."""
        for stored in self._grants.all():
            if stored.grant.shown_digest is None:
                self._carry(stored, keys)

    def _carry(self, stored: StoredGrant, keys: Keys) -> None:
        grant, genuine = stored.grant, self._grants.genuine_of_before(stored, keys)
        connection = self._connections.get(grant.connection_id)
        if connection is None:
            return
        provider = self._registry.get(connection.provider_id)
        destination = None if provider is None else self._destinations.of(connection, provider)
        if grant.decision == "deny_always":
            # Also a forged one, and one from while the vault was locked: a no counts all the same.
            shown = _NOTHING_SHOWN if destination is None else destination.shown
            self._grants.put_in_place(self._anew(grant, shown), keys, authentic=genuine)
            return
        if not genuine:
            # It stays for a person to see, and does not count.
            return
        unchanged = connection.updated_at <= grant.created_at
        if grant.instance is None or destination is None or not self._still_so(grant, destination, unchanged):
            self._grants.remove(grant.id)
            self._audit.record("grant:voided", connection=connection, grant=grant)
            return
        carried = self._anew(grant, destination.shown)
        self._grants.put_in_place(carried, keys, authentic=True)
        self._audit.record("grant:carried_over", connection=connection, grant=carried)

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
