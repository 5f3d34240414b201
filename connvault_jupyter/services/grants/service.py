"""Grants: created, authenticated, matched and judged. This module asks nobody and revokes nothing.

A grant counts if its MAC is right, it has not expired, and everything that its dialog showed of the connection is
unchanged. A `deny_always` is the exception in the safe direction: it counts with a wrong MAC and for any destination,
mode and agent. Otherwise code could switch it off by editing a row or by claiming to be another agent.

A grant without `shown_digest` was made by an earlier version. Its MAC has another format, so that the two can't be
confused, and it does not count until connections.upgrade has replaced it.
"""

from __future__ import annotations

import hmac
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ...contracts.access import DecisionKind, Grant, Requester
from ...contracts.connections import Connection
from ...contracts.providers import Mode
from ...handle_end_reasons import HandleEnd
from ..canonical import canonical_contract
from ..connections.destinations import Destination
from ..context import Context
from ..identifiers import new_id
from ..ports import GrantStore, RunningRequesters, StoredGrant
from ..requester_claims import Claim, same_agent
from ..vault_ports import Keys
from .ended import Ended

ReasonNot = Literal["", "forged", "expired", "destination_changed", "ended", "changed"]

_DOMAIN = b"connvault-grant-2\0"
_DOMAIN_BEFORE = b"connvault-grant-1\0"

# Stored instead of a MAC while the vault is locked, when only a `deny_always` can be created.
NO_MAC = b""

# Grants whose MAC is not computed again. As many as a busy server has at a time.
_REMEMBERED = 512

# The widest grant comes first.
_PREFERENCE: dict[DecisionKind, int] = {"always": 0, "for": 1, "session": 2}


@dataclass(frozen=True)
class Subject:
    """The subject of a request: who asks to use what, where, and how."""

    connection: Connection
    destination: Destination
    requester: Requester
    agent: Claim | None
    mode: Mode


class Grants:
    """The grants of all requesters."""

    def __init__(
        self,
        *,
        context: Context,
        store: GrantStore,
        keys: Callable[[], Keys | None],
        running: RunningRequesters,
        ended: Ended,
    ) -> None:
        self._store = store
        self._ended = ended
        self._keys = keys
        self._running = running
        self._settings = context.settings.consent
        self._clock = context.clock
        self._randomness = context.randomness
        self._verifier: weakref.ref[Keys] | None = None
        self._verified: dict[str, tuple[Grant, bytes]] = {}

    def give(self, subject: Subject, decision: DecisionKind, *, seconds: int | None, actor: str) -> Grant:
        """Creates and stores a grant, in the caller's transaction. `seconds` belongs to `for`; the agent claim has
        been admitted."""
        now = self._clock()
        lasts = {"once": self._settings.once_limit_s, "for": seconds or self._settings.for_s}.get(decision)
        requester = subject.requester
        grant = Grant(
            id=new_id(self._randomness),
            connection_id=subject.connection.id,
            requester_kind=requester.kind,
            requester_key=requester.key,
            requester_label=requester.label,
            instance=requester.instance if decision in {"once", "session"} else None,
            agent=None,
            mode=subject.mode,
            decision=decision,
            destination_digest=subject.destination.digest,
            shown_digest=subject.destination.shown,
            agent_hash=None if subject.agent is None else subject.agent.mark,
            agent_sealed=None if subject.agent is None else subject.agent.sealed,
            created_at=now,
            expires_at=None if lasts is None else now + timedelta(seconds=lasts),
            decided_by=actor[:200],
        )
        keys = self._keys()
        self._store.add(grant, NO_MAC if keys is None else _mac(grant, keys))
        return grant

    def get(self, grant_id: str) -> StoredGrant | None:
        """One grant, valid or not."""
        return self._store.get(grant_id)

    def all(self, connection_id: str | None = None) -> Sequence[StoredGrant]:
        """Oldest first, valid or not."""
        return self._store.all(connection_id)

    def remove(self, grant_id: str, why: HandleEnd = "revoked") -> bool:
        """Removes it and its handles, which end for this reason, in the caller's transaction."""
        return self._store.remove(grant_id, why)

    def never(self, connection_id: str, requester: Requester) -> Grant | None:
        """The stored no for this requester, if there is one."""
        for stored in self._store.matching(connection_id, requester.key):
            grant = stored.grant
            if (
                grant.decision == "deny_always"
                # Compared again here: the rows may have been edited, and an index may compare loosely.
                and grant.connection_id == connection_id
                and grant.requester_key == requester.key
            ):
                return grant
        return None

    def standing(self, subject: Subject) -> Grant | None:
        """The grant that allows a new handle without a question; never a `once`, which covers only its one handle."""
        fitting = [
            stored.grant
            # All grants of the connection, not `matching`: a notebook that was renamed during its session has another
            # key now.
            for stored in self._store.all(subject.connection.id)
            if stored.grant.decision in _PREFERENCE
            and stored.grant.mode == subject.mode
            and same_agent(stored.grant, subject.agent)
            and belongs(stored.grant, subject.requester)
            and (stored.grant.instance is not None or subject.requester.durable)
            and not self.reason_not(stored, subject.connection.id, subject.destination)
        ]
        return min(fitting, key=lambda grant: _PREFERENCE[grant.decision], default=None)

    def reason_not(
        self, stored: StoredGrant, connection_id: str, destination: Destination | None
    ) -> ReasonNot:
        """Why the grant is not valid; empty if it is.

        `destination` `None`: the connection has none now (its provider is missing). While the vault is locked MACs
        can't be checked, but nothing is delivered either; a grant of an earlier version is then judged by its other
        fields.
        """
        grant = stored.grant
        keys = self._keys()
        if grant.decision == "deny_always":
            return ""
        if self._ended.grant(grant):
            return "ended"
        if keys is not None and not self._authentic(stored, keys):
            return "forged"
        if (
            grant.connection_id != connection_id
            or destination is None
            or grant.destination_digest != destination.digest
        ):
            return "destination_changed"
        if grant.shown_digest != destination.shown and (keys is not None or grant.shown_digest is not None):
            return "changed"
        ends = self.ends_at(stored)
        if ends is not None and self._clock() >= ends:
            return "expired"
        return ""

    def genuine_of_before(self, stored: StoredGrant, keys: Keys) -> bool:
        """Whether an earlier version created it, and nobody has edited it since."""
        return stored.grant.shown_digest is None and hmac.compare_digest(stored.mac, _mac(stored.grant, keys))

    def put_in_place(self, grant: Grant, keys: Keys, *, authentic: bool) -> None:
        """Replaces the grant that has its id, in the caller's transaction."""
        self._store.replace(grant, _mac(grant, keys) if authentic else NO_MAC)

    def rekeyed(self, old: Keys, new: Keys) -> None:
        """Moves all grants to new keys, in the caller's transaction: genuine ones stay genuine, forged ones stay
        forged. Claims keep the marks and envelopes of their generation."""
        for stored in self._store.all():
            if stored.mac != NO_MAC and self._authentic(stored, old):
                self._store.replace(stored.grant, _mac(stored.grant, new))

    def _authentic(self, stored: StoredGrant, keys: Keys) -> bool:
        # The same frozen value was verified earlier with this MAC and these keys: saves 15 us at each use. The keys
        # are held weakly: locking must be able to free them.
        if self._verifier is None or self._verifier() is not keys:
            self._verifier = weakref.ref(keys)
            self._verified.clear()
        grant, mac = self._verified.get(stored.grant.id, (None, None))
        if grant is stored.grant and mac == stored.mac:
            return True
        if not hmac.compare_digest(stored.mac, _mac(stored.grant, keys)):
            return False
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[stored.grant.id] = (stored.grant, stored.mac)
        return True

    def ended(self, grant: Grant) -> bool:
        """Whether the run to which the grant was given has ended."""
        return grant.instance is not None and not self._running.instance_alive(grant.instance)

    def over(self, stored: StoredGrant) -> bool:
        """Whether the grant is genuine and has ended without a revoke; never true for a `deny_always`."""
        grant, ends = stored.grant, self.ends_at(stored)
        if grant.decision == "deny_always" or not (
            (ends is not None and self._clock() >= ends) or self.ended(grant)
        ):
            return False
        keys = self._keys()
        return keys is not None and self._authentic(stored, keys)

    def ends_at(self, stored: StoredGrant) -> datetime | None:
        """When the grant expires if it is not used; `None`: never."""
        if stored.grant.decision == "always":
            # No MAC covers the time of the last use. A time in the future was written by hand, and would keep the
            # grant for ever.
            used = stored.last_used_at
            last = stored.grant.created_at if used is None or used > self._clock() else used
            return last + timedelta(days=self._settings.always_unused_days)
        return stored.grant.expires_at


def belongs(grant: Grant, requester: Requester) -> bool:
    """Whether the grant was given to this requester: to this run for `once` and `session`, else to this key."""
    if grant.instance is not None:
        return grant.instance == requester.instance
    return grant.requester_kind == requester.kind and grant.requester_key == requester.key


def _mac(grant: Grant, keys: Keys) -> bytes:
    domain = _DOMAIN_BEFORE if grant.shown_digest is None else _DOMAIN
    return keys.mac("grant", domain + canonical_contract(grant))
