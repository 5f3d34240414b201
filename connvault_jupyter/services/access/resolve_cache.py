"""Caches what a handle resolved to, as long as nothing has changed since. It has no rules of its own: `resolve`
decides.

A notebook that queries in a loop uses one handle again and again. Reading and checking four rows each time would be
half the cost of a use.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...contracts.access import Requester
from ...contracts.connections import Connection
from ..context import Context
from ..grants.ended import Ended
from ..grants.service import Grants, belongs
from ..ports import SealedSecret
from ..secrets.service import SecretsService
from ..vault_ports import Keys
from .resolve import ResolvedHandle

# More handles than are in use at a time; beyond that, the cache is emptied.
_REMEMBERED = 512


@dataclass(frozen=True)
class _Remembered:
    requester: Requester
    until: datetime | None
    resolved: ResolvedHandle
    sealed: Sequence[SealedSecret]


class ResolveCache:
    """Read and written inside a transaction only, where nobody else can change anything.

    It forgets everything on the first change by anybody (`Transactions.version`) and when the keys change. It holds
    the keys weakly: locking must be able to free them. A project's file is no part of this: `still_accepted` looks at
    it each time.
    """

    def __init__(
        self,
        *,
        context: Context,
        grants: Grants,
        secrets: SecretsService,
        ended: Ended,
        still_accepted: Callable[[Connection], bool],
    ) -> None:
        self._still_accepted = still_accepted
        self._ended = ended
        self._transactions = context.transactions
        self._grants = grants
        self._secrets = secrets
        self._clock = context.clock
        self._version: object = None
        self._keys: weakref.ref[Keys] | None = None
        self._known: dict[str, _Remembered] = {}
        self._seen: set[str] = set()

    def has_seen(self, ref: str) -> bool:
        """Whether this process has used the handle before, even if something has changed since."""
        return ref in self._seen

    def of(self, ref: str, requester: Requester) -> tuple[ResolvedHandle, Sequence[SealedSecret]] | None:
        """What was found earlier; `None` if it must be looked up."""
        self._forget_what_may_have_changed()
        known = self._known.get(ref)
        if self._ended:
            # Something has ended and is not stored yet: treat everything as unknown.
            return None
        if known is None or known.requester != requester:
            return None
        if known.until is not None and self._clock() >= known.until:
            return None
        if not self._still_accepted(known.resolved.connection):
            return None
        return known.resolved, known.sealed

    def note(
        self, ref: str, requester: Requester, resolved: ResolvedHandle, sealed: Sequence[SealedSecret]
    ) -> None:
        """Remembers what was looked up in this transaction, if it may be reused unchecked."""
        stored = resolved.stored
        # A grant that matches only under the notebook's present name is checked each time.
        if stored is None or self._keys is None or not belongs(stored.grant, requester):
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        ends = [end for end in (resolved.handle.expires_at, self._grants.ends_at(stored)) if end is not None]
        self._known[ref] = _Remembered(requester, min(ends, default=None), resolved, sealed)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(ref)

    def _forget_what_may_have_changed(self) -> None:
        version = self._transactions.version()
        keys = self._secrets.keys_if_unlocked
        if version == self._version and keys is not None and self._keys is not None and self._keys() is keys:
            return
        self._known.clear()
        self._version = version
        self._keys = None if keys is None else weakref.ref(keys)
