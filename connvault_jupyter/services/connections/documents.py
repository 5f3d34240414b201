"""Connections as the services use them: each document carries a MAC; one that is not the broker's own is never used.

A secret is bound only to its destination. Without the MAC, whoever can edit the database could use it with another
database, user, scope or region, or switch reveal on. So a document with a wrong MAC is `invalid` (`edited`), and one
without a MAC is `draft` (`unconfirmed`), whatever its row says, until a person reviews it and saves it again. What a
person has not been shown is never confirmed. The MAC does not cover the status, because a broker without keys sets it
too: it is computed at each read, and of the stored status only a reason counts that nothing else shows (a secret that
could not be unsealed). A copy of a project's block that is the broker's own is `draft`, too, unless the project's file
still says the same (`workspaces`).

Format 1: MAC of purpose `document` over "connvault-connection-1\\0" and the canonical JSON of all but the status. A
field that is added later with another default than `None` needs another prefix (canonical.py).
"""

from __future__ import annotations

import hashlib
import hmac
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ...contracts.connections import Connection, TestOutcome
from ...contracts.providers import ProviderDefinition
from ...errors import RevisionConflict
from ..canonical import canonical
from ..ports import (
    DocumentStore,
    ProviderRegistry,
    SecretStore,
    StoredConnection,
)
from ..vault_ports import Keys
from .statuses import READY, Standing, standing
from .workspaces import OF_THE_FILE, Workspaces

NotOurs = Literal["edited", "unconfirmed"]

_DOMAIN = b"connvault-connection-1\0"
_STATUS = {"status", "status_reason"}
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """A document that is not the broker's own, to be logged."""

    connection: Connection
    reason: NotOurs
    digest: bytes


@dataclass(frozen=True)
class _Judged:
    """The result of judging one of the broker's own rows, and its inputs."""

    stored: StoredConnection
    secrets: frozenset[str]
    provider: ProviderDefinition | None
    found: Connection


@dataclass(frozen=True)
class _Awaiting:
    """What this process stored without keys. `base` is what it replaced; `None`: it was new."""

    digest: bytes
    base: StoredConnection | None


class Documents:
    """Implements `ConnectionStore` over the rows. Called with the lock held; changes are in the caller's
    transaction."""

    def __init__(
        self,
        *,
        store: DocumentStore,
        secrets: SecretStore,
        registry: ProviderRegistry,
        keys: Callable[[], Keys | None],
        workspaces: Workspaces,
    ) -> None:
        self._workspaces = workspaces
        self._store = store
        self._secrets = secrets
        self._registry = registry
        self._keys = keys
        self._verifier: weakref.ref[Keys] | None = None
        self._verified: dict[str, tuple[Connection, bytes]] = {}
        self._judgements: dict[str, _Judged] = {}
        self._standings: dict[str, tuple[Connection, ProviderDefinition, frozenset[str], Standing]] = {}
        self._awaiting: dict[str, _Awaiting] = {}
        self._shown: dict[str, bytes] = {}
        self._newest: dict[str, int] = {}
        self._found: dict[str, Finding] = {}

    def get(self, connection_id: str) -> Connection | None:
        """Its present state; never `ready` if it is not the broker's own."""
        return self._judged_one(self._store.get(connection_id))

    def by_name(self, name: str) -> Connection | None:
        """Exact, with regard to case."""
        return self._judged_one(self._store.by_name(name))

    def all(self) -> Sequence[Connection]:
        """By name."""
        return self.all_with(self._secrets.fields())

    def all_with(self, secrets: Mapping[str, frozenset[str]]) -> Sequence[Connection]:
        """As `all`, for callers that already know which fields have a secret."""
        return self._all(self._keys(), secrets)

    def judged_by(self, keys: Keys | None) -> Sequence[Connection]:
        """As `all`, judged by these keys, whether or not they are held; `None`: all are accepted as they are."""
        return self._all(keys, self._secrets.fields())

    def add(self, connection: Connection) -> None:
        """Raises: NameTaken."""
        keys = self._keys()
        self._store.add(connection, None if keys is None else _mac(connection, keys))
        if keys is None:
            self._awaiting[connection.id] = _Awaiting(_digest(connection), None)

    def update(self, connection: Connection, *, expected_revision: int) -> None:
        """Raises: RevisionConflict, NameTaken, ConnectionNotFound."""
        keys = self._keys()
        # Inside the transaction: nobody can change it between this check and the update.
        before = self._store.get(connection.id) if keys is None else None
        self._store.update(
            connection, None if keys is None else _mac(connection, keys), expected_revision=expected_revision
        )
        if before is not None:
            # Updating a document that somebody else had edited does not confirm it: what counts is the state before
            # all changes.
            earlier = self._awaiting.get(connection.id)
            own = earlier is not None and earlier.digest == _digest(before.connection)
            base = earlier.base if earlier is not None and own else before
            self._awaiting[connection.id] = _Awaiting(_digest(connection), base)
        elif keys is not None:
            self._awaiting.pop(connection.id, None)

    def settle(self, connection: Connection, after: Standing) -> bool:
        """Stores only the status, which needs no keys; returns whether it changed. A document that is not the broker's
        own stays as it is."""
        stored = self._store.get(connection.id)
        if stored is None or not_ours(connection):
            return False
        settled = with_standing(stored.connection, after)
        if settled == stored.connection:
            return False
        self._store.update(settled, stored.mac, expected_revision=connection.revision)
        return True

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        """With its secrets, grants, handles and last test. Raises: RevisionConflict, ConnectionNotFound."""
        self._store.remove(connection_id, expected_revision=expected_revision)
        for known in (
            self._verified,
            self._judgements,
            self._standings,
            self._awaiting,
            self._shown,
            self._newest,
            self._found,
        ):
            known.pop(connection_id, None)
        self._workspaces.forget(connection_id)

    def touch(self, connection_id: str, at: datetime) -> None:
        """Notes the last use."""
        self._store.touch(connection_id, at)

    def last_used(self) -> Mapping[str, datetime]:
        """By connection; not covered by the MAC, as it is only a time."""
        return self._store.last_used()

    def save_test(self, connection_id: str, outcome: TestOutcome) -> None:
        """Replaces the previous one."""
        self._store.save_test(connection_id, outcome)

    def tests(self) -> Mapping[str, TestOutcome]:
        """By connection; not covered by the MAC, as nothing depends on them."""
        return self._store.tests()

    def show(self, connection: Connection) -> None:
        """A person sees this version now, and it is committed: an older one that is restored later is not mistaken for
        it."""
        if not_ours(connection):
            self._shown[connection.id] = _digest(connection)
        else:
            self._newest[connection.id] = connection.revision

    def accept(self, connection: Connection) -> None:
        """A person accepts it. Raises: RevisionConflict: this is not what was shown."""
        if self._shown.get(connection.id) != _digest(connection):
            raise RevisionConflict

    def confirm(self, connection: Connection, keys: Keys) -> None:
        """Makes the accepted document the broker's own, unchanged."""
        stored = self._store.get(connection.id)
        if stored is None or _digest(stored.connection) != _digest(connection):
            raise RevisionConflict
        self._store.update(
            stored.connection, _mac(stored.connection, keys), expected_revision=connection.revision
        )

    def unlocked(self, keys: Keys) -> None:
        """Confirms what this process itself stored while there were no keys, if nobody has changed it since."""
        # Kept until it is updated with keys: the transaction may still be rolled back.
        for connection_id, own in self._awaiting.items():
            stored = self._store.get(connection_id)
            if (
                stored is not None
                and stored.mac is None
                and _digest(stored.connection) == own.digest
                and (own.base is None or self._genuine(own.base, keys))
            ):
                self._remac(stored, keys)

    def rekeyed(self, old: Keys, new: Keys, *, from_before: bool) -> None:
        """Moves the documents to new keys: what is the broker's own stays so, and nothing else becomes so. Call
        `unlocked` first.

        `from_before`: no document had a MAC until now, so all without one are accepted as they are.
        """
        for stored in self._store.all():
            if from_before if stored.mac is None else self._genuine(stored, old):
                self._remac(stored, new)

    def standing(
        self, connection: Connection, provider: ProviderDefinition | None, secrets: frozenset[str]
    ) -> Standing:
        """`statuses.standing`, cached: a list must not validate a thousand documents."""
        if provider is None:
            return standing(self._registry, None, connection, secrets)
        known, by, having, found = self._standings.get(connection.id, (None, None, secrets, READY))
        if known is not None and _same(known, connection) and by is provider and having == secrets:
            return found
        found = standing(self._registry, provider, connection, secrets)
        self._standings[connection.id] = connection, provider, secrets, found
        return found

    def findings(self) -> Sequence[Finding]:
        """The documents found since the last call that are not the broker's own."""
        found, self._found = self._found, {}
        return [*found.values()]

    def still(self, finding: Finding) -> bool:
        """Whether it still holds, in a transaction: another server may have been changing the keys."""
        stored, keys = self._store.get(finding.connection.id), self._keys()
        return (
            stored is not None
            and keys is not None
            and _digest(stored.connection) == finding.digest
            and self._reason(stored, keys) == finding.reason
        )

    def _all(self, keys: Keys | None, secrets: Mapping[str, frozenset[str]]) -> Sequence[Connection]:
        self._forget_if_other(keys)
        return [
            self._judged(stored, keys, secrets.get(stored.connection.id, _NONE))
            for stored in self._store.all()
        ]

    def _judged_one(self, stored: StoredConnection | None) -> Connection | None:
        if stored is None:
            return None
        connection_id, keys = stored.connection.id, self._keys()
        self._forget_if_other(keys)
        return self._judged(stored, keys, self._secrets.fields(connection_id).get(connection_id, _NONE))

    def _judged(self, stored: StoredConnection, keys: Keys | None, secrets: frozenset[str]) -> Connection:
        connection = stored.connection
        provider = self._registry.get(connection.provider_id)
        known = self._judgements.get(connection.id)
        if (
            known is not None
            and _same(known.stored.connection, connection)
            and known.stored.mac == stored.mac
            and known.secrets == secrets
            and known.provider is provider
        ):
            return self._of_the_file(known.found)
        reason = None if keys is None else self._reason(stored, keys)
        if reason is not None:
            self._found[connection.id] = Finding(connection, reason, _digest(connection))
            return with_standing(connection, Standing("invalid" if reason == "edited" else "draft", reason))
        after = self.standing(connection, provider, secrets)
        if (connection.status, connection.status_reason) != (after.status, after.reason):
            connection = with_standing(connection, after)
        self._judgements[connection.id] = _Judged(stored, secrets, provider, connection)
        return self._of_the_file(connection)

    def _of_the_file(self, connection: Connection) -> Connection:
        reason = self._workspaces.difference(connection)
        return connection if reason is None else with_standing(connection, Standing("draft", reason))

    def _reason(self, stored: StoredConnection, keys: Keys) -> NotOurs | None:
        if stored.mac is None:
            return "unconfirmed"
        put_back = stored.connection.revision < self._newest.get(stored.connection.id, 0)
        return None if self._genuine(stored, keys) and not put_back else "edited"

    def _genuine(self, stored: StoredConnection, keys: Keys) -> bool:
        connection, mac = stored.connection, stored.mac
        if mac is None:
            return False
        self._forget_if_other(keys)
        known, by = self._verified.get(connection.id, (None, None))
        if known is not None and _same(known, connection) and by == mac:
            return True
        if not hmac.compare_digest(mac, _mac(connection, keys)):
            return False
        self._verified[connection.id] = connection, mac
        return True

    def _forget_if_other(self, keys: Keys | None) -> None:
        # Held weakly, as in `grants.service`: locking must be able to free them.
        if (None if self._verifier is None else self._verifier()) is not keys or (keys is None) is not (
            self._verifier is None
        ):
            self._verifier = None if keys is None else weakref.ref(keys)
            self._verified.clear()
            self._judgements.clear()

    def _remac(self, stored: StoredConnection, keys: Keys) -> None:
        connection = stored.connection
        self._store.update(connection, _mac(connection, keys), expected_revision=connection.revision)


def _same(known: Connection, connection: Connection) -> bool:
    # Usually the store returns the same frozen value for the same text.
    return known is connection or known == connection


def not_ours(connection: Connection) -> bool:
    """Whether it has been judged not to be the broker's own."""
    return connection.status_reason in {"edited", "unconfirmed"}


def differs_from_file(connection: Connection) -> bool:
    """Whether its project's file says something else than was accepted, or nothing."""
    return connection.status_reason in OF_THE_FILE


def with_standing(connection: Connection, found: Standing) -> Connection:
    """The connection with another status."""
    return connection.model_copy(update={"status": found.status, "status_reason": found.reason})


def _bytes(connection: Connection) -> bytes:
    return canonical({name: value for name, value in connection.__dict__.items() if name not in _STATUS})


def _digest(connection: Connection) -> bytes:
    return hashlib.sha256(_bytes(connection)).digest()


def _mac(connection: Connection, keys: Keys) -> bytes:
    return keys.mac("document", _DOMAIN + _bytes(connection))
