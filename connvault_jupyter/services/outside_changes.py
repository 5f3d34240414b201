"""Detects what nobody reports to the broker: keys changed by another server, edited documents and projects' files.
Called by the timer.

Reads only detect; findings are logged here, each content once, in a separate transaction, as a read may be part of one
that is rolled back.
"""

from __future__ import annotations

from datetime import timedelta

from ..contracts.events import Event
from ..errors import StorageError
from .connections.directory import Directory
from .connections.project_changes import ProjectChanges
from .context import Context
from .secrets.held_keys import HeldKeys

# All documents are read, if anything was changed at all: 2 ms for a thousand. A use of one detects it at once.
_LOOK_EVERY = timedelta(seconds=10)

# Two looks at the folder of each project of which something was accepted. A use looks each time.
_LOOK_AT_PROJECTS_EVERY = timedelta(seconds=1)


class OutsideChanges:
    """All methods are called with the lock held."""

    def __init__(self, *, context: Context, held: HeldKeys, directory: Directory) -> None:
        self._held = held
        self._documents = directory.documents
        self._workspaces = directory.workspaces
        self._projects = ProjectChanges(context=context, directory=directory)
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._publish = context.publish
        self._told: dict[str, bytes] = {}
        self._told_superseded = False
        self._seen: object = None
        self._next_look = self._next_look_at_projects = context.clock()

    def tick(self) -> None:
        """Checks, logs and publishes."""
        keys = self._held.now
        if self._held.superseded != self._told_superseded:
            self._told_superseded = self._held.superseded
            self._publish(Event(event="vault:changed"))
        self._look_at_projects()
        if keys is None:
            return
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            if (seen := self._transactions.version()) != self._seen:
                self._seen = seen
                self._documents.all()
        self._record()
        self._projects.record()

    def _look_at_projects(self) -> None:
        now = self._clock()
        if now >= self._next_look_at_projects:
            self._next_look_at_projects = now + _LOOK_AT_PROJECTS_EVERY
            if self._workspaces.news():
                # Whoever hears it looks at all open handles again: those of a changed copy are cut.
                self._publish(Event(event="connections:changed"))
                self._projects.changed()

    def _record(self) -> None:
        for finding in self._documents.findings():
            connection = finding.connection
            if self._told.get(connection.id) == finding.digest:
                continue
            try:
                with self._transactions.transaction():
                    if not self._documents.still(finding):
                        continue
                    self._audit.record(
                        "connection:edited",
                        connection=connection,
                        outcome="failed",
                        code=f"connection_{finding.reason}",
                    )
            except StorageError:
                # A full disk: the next read detects it again.
                continue
            self._told[connection.id] = finding.digest
            self._publish(Event(event="connections:changed", id=connection.id))
