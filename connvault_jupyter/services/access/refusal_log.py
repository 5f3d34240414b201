"""Refusals on record: a few rows, then sums, so that a loop that is refused can't push the rest off the record.

Of one asker each kind for each connection makes a row once in a while, and all of its kinds together only so many; what
comes above that is counted, and the count is one row. A broker that is killed forgets what it has counted in the last
half minute.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...contracts.access import Requester
from ...contracts.connections import Connection
from ...errors import AccessDenied, ConnvaultError, StorageError
from ..audit.service import AuditService
from ..consent.throttle import MAX_REMEMBERED, Often, Until, asker_of
from ..ports import Clock, RunningRequesters

# As long as the pause after a no: a loop makes two rows a minute.
NOTED_EVERY_S = 30

# Of one asker in that time: more than a person reads, and the same refusal at twenty connections is one matter.
MAX_NOTED = 10


def said_never() -> AccessDenied:
    """A person has said *never*, just now or before."""
    return AccessDenied(
        "This notebook may never use this connection. Undo that in the Connections panel first.",
        reason="never",
    )


@dataclass(frozen=True)
class _Sum:
    """Refusals of one asker. What they do not have in common is `None`."""

    due: datetime
    count: int
    requester: Requester | None
    connection: Connection | None
    code: str | None


class RefusalLog:
    """Notes refusals that no question stands for. Called with the lock held."""

    def __init__(self, *, audit: AuditService, running: RunningRequesters, clock: Clock) -> None:
        self._audit = audit
        self._running = running
        self._clock = clock
        self._noted: Until[tuple[str, str, str]] = Until()
        self._rows: Often[str] = Often(limit=MAX_NOTED)
        self._sums: dict[str, _Sum] = {}

    def note(self, requester: Requester, connection: Connection | None, error: ConnvaultError) -> None:
        """Appends a row `access:refused`, or counts it if there was one like it just now."""
        asker, now = asker_of(requester), self._clock()
        key = (asker, connection.id if connection is not None else "", error.code)
        if self._noted.first(key, now, NOTED_EVERY_S) and not self._rows.once_more(asker, now, NOTED_EVERY_S):
            self._record(_Sum(now, 1, requester, connection, error.code), counted=False)
        else:
            self._count(asker, requester, connection, error.code)

    def noting(self, requester: Requester, about: Callable[[], Connection | None]) -> Noting:
        """A block in which each refusal is noted: around all that a requester asks for, but the wait for a person,
        whose answer is on record with its question. Not in a transaction, which would be rolled back with it.

        `about` is asked when something was refused. What a requester calls a connection is not kept: it may be
        anything.
        """
        return Noting(self, requester, about)

    def sum_up(self, *, all_of_them: bool = False) -> None:
        """Appends the counts whose half minute is over, one row an asker. What can't be recorded counts on."""
        now = self._clock()
        for asker, found in tuple(self._sums.items()):
            if (all_of_them or now >= found.due) and self._record(found, counted=True):
                del self._sums[asker]

    def note_refused(
        self, requester: Requester, about: Callable[[], Connection | None], error: ConnvaultError
    ) -> None:
        """`note`, of what may also be a fault of the database: then nothing was refused, or could be recorded."""
        if isinstance(error, StorageError):
            return
        with suppress(StorageError):
            self.note(self._running.current(requester), about(), error)

    def _count(self, asker: str, requester: Requester, connection: Connection | None, code: str) -> None:
        found = self._sums.get(asker)
        if found is None:
            due = self._clock() + timedelta(seconds=NOTED_EVERY_S)
            if len(self._sums) >= MAX_REMEMBERED:
                self.sum_up(all_of_them=True)
            while len(self._sums) >= MAX_REMEMBERED:
                del self._sums[next(iter(self._sums))]
            self._sums[asker] = _Sum(due, 1, requester, connection, code)
            return
        same_requester = found.requester is not None and found.requester.key == requester.key
        same_connection = (
            found.connection is not None and connection is not None and found.connection.id == connection.id
        )
        self._sums[asker] = _Sum(
            found.due,
            found.count + 1,
            requester if same_requester else None,
            connection if same_connection else None,
            code if found.code == code else None,
        )

    def _record(self, found: _Sum, *, counted: bool) -> bool:
        # The refusal stands; that it can't be recorded must not turn it into another error.
        with suppress(StorageError):
            self._audit.record(
                "access:refused",
                outcome="refused",
                code=found.code,
                connection=found.connection,
                requester=found.requester,
                count=found.count if counted else None,
                durable=False,
            )
            return True
        return False


class Noting:
    """The block. A class, not a generator: it is entered at each use of a secret."""

    __slots__ = ("_about", "_refusal_log", "_requester")

    def __init__(
        self, refusal_log: RefusalLog, requester: Requester, about: Callable[[], Connection | None]
    ) -> None:
        self._refusal_log = refusal_log
        self._requester = requester
        self._about = about

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ConnvaultError):
            self._refusal_log.note_refused(self._requester, self._about, error)
