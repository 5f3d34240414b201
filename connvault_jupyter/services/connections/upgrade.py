"""Upgrades what an earlier version has stored, while its vault is taken over.

Grants of that version cover less than their dialog showed: the destination, but nothing else, and nothing protected
the connection itself. So lasting ones are void: with an edited connection they would lead elsewhere without a
question. A genuine one of a run, which ends with its kernel, is renewed for what would be shown today, if the
connection was not changed since it was given. This happens once, in the transaction in which the vault gets new keys:
a row of the old format that is restored later has no valid MAC. Whoever restores the old vault record too has valid
keys again, but none that unseals a secret.
"""

from __future__ import annotations

from ...contracts.access import Grant
from ..audit.service import AuditService
from ..grants.service import Grants
from ..ports import StoredGrant
from ..requester_claims import MASK, Claims
from ..vault_ports import Keys
from .destinations import Destination
from .directory import Directory

# A "never" is valid whatever its dialog showed; this is not the digest of anything.
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
        """`keys` are the ones now held; genuine grants already have MACs by them. Raises: StorageError."""
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
            # Even a forged one, and one stored while the vault was locked: a no always counts.
            shown = _NOTHING_SHOWN if destination is None else destination.shown
            self._grants.put_in_place(self._anew(grant, shown), keys, authentic=genuine)
            return
        if not genuine:
            # It stays visible, but is not valid.
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
        # What was masked in a claim is no longer known, so no claim could be found equal to it.
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
