"""What a handle stood for a moment ago, as long as nothing has changed since. No rule of its own: `resolve` decides.

A notebook that queries in a loop uses one handle again and again. Looking up four rows and judging them each time would
be half of what a use costs.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ...contracts.access import Requester
from ..context import Context
from ..grants.ended import Ended
from ..grants.service import Grants, belongs
from ..ports import SealedSecret
from ..secrets.service import SecretsService
from ..vault_ports import Keys
from .resolve import ResolvedHandle

# More handles than are in use at a time; past it all are looked up anew.
_REMEMBERED = 512


@dataclass(frozen=True)
class _Remembered:
    requester: Requester
    until: datetime | None
    opened: ResolvedHandle
    sealed: Sequence[SealedSecret]


class ResolveCache:
    """Asked and told inside a transaction only: there nobody else can change anything.

    It forgets everything with the first change by anybody (`Transactions.version`) and when the keys are not the same
    any more. The keys are held weakly: locking must let go of them.
    """

    def __init__(
        self,
        *,
        context: Context,
        grants: Grants,
        secrets: SecretsService,
        ended: Ended,
    ) -> None:
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
        """Whether this process has used the handle before, whatever has changed since."""
        return ref in self._seen

    def of(self, ref: str, requester: Requester) -> tuple[ResolvedHandle, Sequence[SealedSecret]] | None:
        """What was found before; `None` if it must be looked up."""
        self._forget_what_may_have_changed()
        known = self._known.get(ref)
        if self._ended:
            # Something that is not stored yet: as if nothing were known.
            return None
        if known is None or known.requester != requester:
            return None
        if known.until is not None and self._clock() >= known.until:
            return None
        return known.opened, known.sealed

    def note(
        self, ref: str, requester: Requester, opened: ResolvedHandle, sealed: Sequence[SealedSecret]
    ) -> None:
        """Remembers what was looked up in this transaction, if it may be used again without another look."""
        stored = opened.stored
        # A grant that fits only as long as a notebook has its name of now is judged each time.
        if stored is None or self._keys is None or not belongs(stored.grant, requester):
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        ends = [end for end in (opened.handle.expires_at, self._grants.ends_at(stored)) if end is not None]
        self._known[ref] = _Remembered(requester, min(ends, default=None), opened, sealed)
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
