"""One use of a handle: resolved, logged, counted. Its secrets are unsealed here, after the audit event is committed.

The kinds of use are defined by `service`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ...contracts.access import Delivered, Requester
from ...contracts.contract import GrantId
from ...contracts.providers import Mode
from ...errors import HandleInvalid, NotAllowed
from ..context import Context
from ..grants.permissions import Permissions
from ..ports import SealedSecret
from ..secrets.reader import SecretReader
from ..secrets.service import SecretsService
from .refusal_log import Noting, RefusalLog
from .resolve import HandleResolver, ResolvedHandle
from .resolve_cache import ResolveCache

_NO_RECIPE: Mapping[str, Any] = {}

_OTHERWISE: dict[Mode, str] = {
    "brokered": "The broker logs in for this connection. Use one of its openers, or .reveal() for plain text.",
    "in_clear": "This connection logs in inside the process that uses it, so it has no relay.",
    "reveal": "This connection gives plain text only. Use .reveal().",
}


class HandleUses:
    """Called with the lock held."""

    def __init__(
        self,
        *,
        context: Context,
        permissions: Permissions,
        refusal_log: RefusalLog,
        resolver: HandleResolver,
        resolve_cache: ResolveCache,
        secrets: SecretsService,
        reader: SecretReader,
    ) -> None:
        self._use_counter = permissions.use_counter
        self._handle_limit = permissions.handle_limit
        self._refusal_log = refusal_log
        self._resolver = resolver
        self._resolve_cache = resolve_cache
        self._secrets = secrets
        self._reader = reader
        self._transactions = context.transactions
        self._audit = context.audit

    def use(
        self,
        requester: Requester,
        ref: str,
        kind: Literal["access:used", "access:checked"],
        mode: Mode | None = None,
        grant_id: GrantId | None = None,
    ) -> tuple[ResolvedHandle, Sequence[SealedSecret]]:
        """The handle and its sealed secrets, after this use is logged and counted. `mode` and `grant_id`: what the
        handle must have, where that matters.

        Raises: HandleInvalid, NotAllowed, and what `HandleResolver.handle` raises; StorageError: a use that can't be
        logged is refused.
        """
        # One transaction: a revoke in another server is before this use or after it, never in between.
        # The first use is synced to disk at once; repeated ones are synced in groups.
        with (
            self.noting(requester, ref),
            self._transactions.transaction(durable=not self._resolve_cache.has_seen(ref)),
        ):
            found = self._resolve_cache.of(ref, requester)
            if found is None:
                opened = self._resolver.handle(requester, ref, grant_id=grant_id)
                found = opened, self.sealed(opened)
                self._resolve_cache.note(ref, requester, *found)
            opened, sealed = found
            if grant_id is not None and opened.handle.grant_id != grant_id:
                raise HandleInvalid(reason="revoked")
            if mode is not None and opened.handle.mode != mode:
                raise NotAllowed(_OTHERWISE[opened.handle.mode])
            stored = opened.stored
            if stored is None:
                return opened, sealed
            event = self._audit.record(
                kind,
                connection=opened.connection,
                requester=requester,
                grant=stored.grant,
                durable=False,
            )
        self._use_counter.note(stored.grant.id, opened.connection.id, event.at)
        self._handle_limit.note_use(ref, event.at)
        return opened, sealed

    def noting(self, requester: Requester, ref: str) -> Noting:
        """A block whose refusals are logged."""
        return self._refusal_log.noting(requester, lambda: self._resolver.meant(requester, ref))

    def sealed(self, opened: ResolvedHandle) -> Sequence[SealedSecret]:
        """The sealed secrets of the handle's connection."""
        return self._secrets.sealed.of(opened.connection.id)

    def delivered(
        self, opened: ResolvedHandle, sealed: Sequence[SealedSecret], recipe: Mapping[str, Any] = _NO_RECIPE
    ) -> Delivered:
        """The unsealed login; `recipe` is added to the fields. Raises: VaultLocked, VaultNotSetUp, SecretInvalid."""
        connection = opened.connection
        return Delivered.of(
            connection=connection.name,
            provider_id=connection.provider_id,
            fields={**opened.destination.fields, **recipe},
            secrets=self._reader.open(connection, sealed, opened.destination),
            revision=connection.revision,
            rotation=rotation(sealed),
        )


def rotation(sealed: Sequence[SealedSecret]) -> str:
    """Changes when a secret is set or removed. Refs are random and new each time."""
    text = "\0".join(sorted(f"{secret.field}={secret.ref}" for secret in sealed))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
