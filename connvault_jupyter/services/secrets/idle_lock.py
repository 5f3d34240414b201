"""Locks the vault after a time in which nothing was used and no operator acted. Off unless it is configured.

What counts is what the activity log has a row for: each use, and each decision and change of a person. Looking at lists
does not count, nor does whatever was refused: code could keep the vault open by asking in vain. A client that is open
at a relay counts as a use, as locking would end its query. Each server on a vault counts, and locks, for itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..audit.service import AuditService
from ..context import Context
from ..relay_ports import Relays
from .held_keys import HeldKeys
from .service import SecretsService

# Who locked it, in the activity log.
IDLE = "lock after idle time"


class IdleLock:
    """`tick` is called as time passes, without the lock."""

    def __init__(
        self,
        *,
        context: Context,
        held: HeldKeys,
        secrets: SecretsService,
        audit: AuditService,
        relays: Relays,
    ) -> None:
        self._held = held
        self._secrets = secrets
        self._audit = audit
        self._relays = relays
        self._clock = context.clock
        self._lock = context.lock
        self._after = timedelta(seconds=context.settings.lock_after_idle_s)
        self._since: datetime | None = None
        self._acts = 0

    def tick(self) -> None:
        """Locks the vault if it is time. Works on a full disk."""
        if not self._after:
            return
        with self._lock:
            due = self._is_due()
        if due:
            self._secrets.lock(actor=IDLE)

    def _is_due(self) -> bool:
        if self._held.before_the_look is None:
            self._since = None
            return False
        now, acts = self._clock(), self._audit.acts
        # A clock that was set back says nothing about the time that has passed.
        if self._since is None or acts != self._acts or now < self._since:
            self._since, self._acts = now, acts
        if now - self._since < self._after:
            return False
        if self._relays.in_use():
            self._since = now
            return False
        return True
