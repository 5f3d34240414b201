"""Logs refusals: a few audit events, then sums, so that a loop of refused requests can't push everything else out of
the log.

For each requester, each kind of refusal of each connection makes one event per half minute, and all kinds together
only a few. The rest is counted, and the count becomes one event. A broker that is killed loses the counts of the last
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
from ..ports import Clock, RunningRequesters
from ..short_memory import MAX_REMEMBERED, Often, Until, throttle_key

# As long as the pause after a no: a loop makes two events a minute.
NOTED_EVERY_S = 30

# Per requester in that time. More than a person reads; the same refusal for twenty connections is one incident.
MAX_NOTED = 10


def said_never() -> AccessDenied:
    """The refusal after a person has said *never*, now or earlier."""
    return AccessDenied(
        "This notebook may never use this connection. Undo that in the Connections panel first.",
        reason="never",
    )


@dataclass(frozen=True)
class _Sum:
    """Refusals of one requester. What they do not have in common is `None`."""

    due: datetime
    count: int
    requester: Requester | None
    connection: Connection | None
    code: str | None


class RefusalLog:
    """Logs refusals that came without a question. Called with the lock held."""

    def __init__(self, *, audit: AuditService, running: RunningRequesters, clock: Clock) -> None:
        self._audit = audit
        self._running = running
        self._clock = clock
        self._noted: Until[tuple[str, str, str]] = Until()
        self._rows: Often[str] = Often(limit=MAX_NOTED)
        self._sums: dict[str, _Sum] = {}

    def note(self, requester: Requester, connection: Connection | None, error: ConnvaultError) -> None:
        """Appends an event `access:refused`, or counts it if there was a similar one just now."""
        who, now = throttle_key(requester), self._clock()
        key = (who, connection.id if connection is not None else "", error.code)
        if self._noted.first(key, now, NOTED_EVERY_S) and not self._rows.once_more(who, now, NOTED_EVERY_S):
            self._record(_Sum(now, 1, requester, connection, error.code), counted=False)
        else:
            self._count(who, requester, connection, error.code)

    def noting(self, requester: Requester, about: Callable[[], Connection | None]) -> Noting:
        """A block in which each refusal is logged: around everything that a requester asks for, except the wait for a
        person, whose answer is logged with its question. Not inside a transaction, which would be rolled back with it.

        `about` is called when something was refused. The name that the requester gave is not kept: it may be anything.
        """
        return Noting(self, requester, about)

    def sum_up(self, *, all_of_them: bool = False) -> None:
        """Appends the counts whose half minute has passed, one event per requester. What can't be logged stays
        counted."""
        now = self._clock()
        for who, found in tuple(self._sums.items()):
            if (all_of_them or now >= found.due) and self._record(found, counted=True):
                del self._sums[who]

    def note_refused(
        self, requester: Requester, about: Callable[[], Connection | None], error: ConnvaultError
    ) -> None:
        """`note`, for an error that may be the database's own: then nothing was refused, or nothing could be
        logged."""
        if isinstance(error, StorageError):
            return
        with suppress(StorageError):
            self.note(self._running.current(requester), about(), error)

    def _count(self, who: str, requester: Requester, connection: Connection | None, code: str) -> None:
        found = self._sums.get(who)
        if found is None:
            due = self._clock() + timedelta(seconds=NOTED_EVERY_S)
            if len(self._sums) >= MAX_REMEMBERED:
                self.sum_up(all_of_them=True)
            while len(self._sums) >= MAX_REMEMBERED:
                del self._sums[next(iter(self._sums))]
            self._sums[who] = _Sum(due, 1, requester, connection, code)
            return
        same_requester = found.requester is not None and found.requester.key == requester.key
        same_connection = (
            found.connection is not None and connection is not None and found.connection.id == connection.id
        )
        self._sums[who] = _Sum(
            found.due,
            found.count + 1,
            requester if same_requester else None,
            connection if same_connection else None,
            code if found.code == code else None,
        )

    def _record(self, found: _Sum, *, counted: bool) -> bool:
        # The refusal stands; failing to log it must not turn it into another error.
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
    """The block. A class, not a generator, for speed: it is entered at each use of a secret."""

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
