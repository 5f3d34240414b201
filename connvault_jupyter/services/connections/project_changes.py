"""Logs that a project's file no longer says what this person accepted: each content once, by the names of what differs.

No value gets into the log: it is the project's, and could be a secret by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...contracts.audit import MAX_FIELD_CHARS
from ...contracts.connections import Connection
from ...errors import StorageError
from ..context import Context
from .directory import Directory
from .documents import differs_from_file

# Whoever changes a file in a loop does not fill the log; the last content is logged in any case.
_TELL_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class _Told:
    """When a change was last logged, and of which content; `None`: since then, the file has said what was accepted."""

    at: datetime
    content: bytes | None


class ProjectChanges:
    """All methods are called with the lock held."""

    def __init__(self, *, context: Context, directory: Directory) -> None:
        self._documents = directory.documents
        self._workspaces = directory.workspaces
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._told: dict[str, _Told] = {}
        self._is_due = True

    def changed(self) -> None:
        """A file is another one than before."""
        self._is_due = True

    def record(self) -> None:
        """Logs what is new since the last call. Needs the keys: without them nobody can tell what was accepted."""
        if not self._is_due:
            return
        try:
            every = self._documents.all()
        except StorageError:
            # Tried again, as below.
            return
        self._is_due = False
        now = self._clock()
        for connection_id, content in self._new(every, now):
            try:
                self._record(connection_id)
            except StorageError:
                # A full disk: tried again.
                self._is_due = True
            else:
                self._told[connection_id] = _Told(now, content)

    def _new(self, every: Sequence[Connection], now: datetime) -> Sequence[tuple[str, bytes]]:
        """The connections of which something is to be logged, and what is said of them. Forgets those that are gone."""
        told, self._told, new = self._told, {}, []
        for connection in every:
            before = told.get(connection.id)
            content = self._workspaces.content(connection) if differs_from_file(connection) else None
            if before is not None:
                self._told[connection.id] = _Told(before.at, None) if content is None else before
            if content is None or (before is not None and before.content == content):
                continue
            if before is not None and now - before.at < _TELL_EVERY:
                self._is_due = True
                continue
            new.append((connection.id, content))
        return new

    def _record(self, connection_id: str) -> None:
        with self._transactions.transaction():
            connection = self._documents.get(connection_id)
            if connection is None or not differs_from_file(connection):
                # Another server has accepted it in the meantime.
                return
            self._audit.record(
                "connection:changed_in_project",
                connection=connection,
                outcome="failed",
                code=connection.status_reason,
                field=_in_short(self._workspaces.differing(connection)),
            )


def _in_short(names: Sequence[str]) -> str | None:
    """As many names as fit into a row, and how many more there are."""
    for kept in range(len(names), -1, -1):
        more = [] if kept == len(names) else [f"+{len(names) - kept}"]
        shown = ", ".join([*names[:kept], *more])
        if len(shown) <= MAX_FIELD_CHARS:
            return shown or None
    return None
