"""How grants end: revoked by a person or by their own notebook, void, ended with their run, or expired.

Open connections are cut first, then the database is changed. So it works on a full disk (the effect first, the log
where it can be written), and what can't be stored while another process blocks the database is tried again. Nothing is
granted here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from ...contracts.access import Grant, Requester
from ...contracts.connections import Connection
from ...contracts.events import Event
from ...errors import GrantNotFound, StorageError
from ...handle_end_reasons import HandleEnd
from ..context import Context
from ..ports import ConnectionStore, RunningRequesters
from .ended import Ended, name_of
from .handles import Handles
from .service import Grants, belongs

T = TypeVar("T")

_DURABLE = frozenset({"for", "always"})

NOT_STORED = (
    "The permission has ended and open clients were cut off, but this can't be stored now: the disk is "
    "full, or another program holds the connvault database. connvault keeps trying. If its broker stops "
    "before it succeeds, the permission is back."
)


class Revocation:
    """Ends grants together with their handles."""

    def __init__(
        self,
        *,
        context: Context,
        connections: ConnectionStore,
        grants: Grants,
        handles: Handles,
        ended: Ended,
        running: RunningRequesters,
    ) -> None:
        self._grants = grants
        self._handles = handles
        self._connections = connections
        self._ended = ended
        self._running = running
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._publish = context.publish
        self._lock = context.lock
        self._unstored: dict[tuple[str, ...], Callable[[], object]] = {}

    def revoke(self, grant_id: str, *, actor: str) -> None:
        """Revokes a grant; the next use of its handles fails. Called without the lock, whose holder may be waiting for
        the database: open connections are cut before that.

        Raises: GrantNotFound. StorageError: it has ended, but that could not be stored yet.
        """

        def store() -> None:
            stored = self._grants.get(grant_id)
            if stored is None:
                raise GrantNotFound
            connection = self._connections.get(stored.grant.connection_id)
            self._audit.effect_first(
                lambda: self._grants.remove(grant_id),
                lambda: self._audit.record(
                    "grant:revoked", connection=connection, grant=stored.grant, decided_by=actor
                ),
            )

        self._ended.add((grant_id,))
        with self._lock:
            self._store((grant_id,), store)
        self._publish(Event(event="grants:changed", id=grant_id))

    def revoke_own(self, connection: Connection, requester: Requester) -> int:
        """Revokes this requester's grants for the connection; returns how many.

        A stored no stays: code must not be able to undo it.
        """
        own = [
            stored.grant
            for stored in self._grants.all(connection.id)
            if stored.grant.decision != "deny_always" and belongs(stored.grant, requester)
        ]

        def record() -> None:
            for grant in own:
                self._audit.record(
                    "grant:revoked",
                    connection=connection,
                    grant=grant,
                    requester=requester,
                    decided_by="requester",
                )

        names = tuple(grant.id for grant in own)
        removed = self._end(
            names,
            lambda: self._audit.effect_first(
                lambda: sum([self._grants.remove(grant.id) for grant in own]), record
            ),
        )
        if removed:
            self._publish(Event(event="grants:changed"))
        return removed

    def release(self, ref: str, requester: Requester) -> bool:
        """Releases a handle, and the `once` grant that covered only it; whether it ended with this caller.

        Raises: HandleInvalid. StorageError: it has ended, but that could not be stored yet.
        """
        handle = self._handles.find(ref, requester)
        stored = None if handle.grant_id is None else self._grants.get(handle.grant_id)
        if not self._handles.let_go(ref):
            return False
        once = stored.grant.id if stored is not None and stored.grant.decision == "once" else None

        def store() -> bool:
            with self._transactions.transaction(durable=False):
                if not self._handles.remove(ref):
                    return False
                if once is not None:
                    self._grants.remove(once, "released")
                self._audit.record(
                    "access:released",
                    connection=self._connections.get(handle.connection_id),
                    grant=None if stored is None else stored.grant,
                    requester=requester,
                    mode=handle.mode,
                )
            return True

        released = self._end((name_of(ref),) if once is None else (name_of(ref), once), store)
        if released and once is not None:
            self._publish(Event(event="grants:changed", id=once))
        return released

    def void(self, connection: Connection, *, except_for: str | None, why: HandleEnd = "changed") -> int:
        """Ends the grants that were given for anything but what this digest covers, in the caller's transaction;
        returns how many."""
        gone = [
            stored.grant
            for stored in self._grants.all(connection.id)
            if stored.grant.decision != "deny_always" and stored.grant.shown_digest != except_for
        ]
        for grant in gone:
            self._grants.remove(grant.id, why)
            self._audit.record("grant:voided", connection=connection, grant=grant)
        return len(gone)

    def documents_gone(self, paths: Sequence[str]) -> None:
        """Voids the durable grants of documents that were deleted, replaced or renamed, or were in such a folder.

        Raises: StorageError: they have ended, but that could not be stored yet.
        """
        keys = {self._running.key_of_document(path) for path in paths}
        folders = tuple(f"{key}/" for key in keys)
        # A document that later has the same name is another document. A stored no is kept nevertheless.
        gone = [
            stored.grant
            for stored in self._grants.all()
            if stored.grant.decision in _DURABLE
            and (stored.grant.requester_key in keys or stored.grant.requester_key.startswith(folders))
        ]
        if not gone:
            return

        def effect() -> None:
            for grant in gone:
                self._grants.remove(grant.id, "document_gone")

        def record() -> None:
            for grant in gone:
                connection = self._connections.get(grant.connection_id)
                self._audit.record("grant:voided", connection=connection, grant=grant)

        self._end(tuple(grant.id for grant in gone), lambda: self._audit.effect_first(effect, record))
        self._publish(Event(event="grants:changed"))

    def instance_ended(self, instance: str) -> None:
        """Ends everything given to this run. An ended run is recognised on its own, so this never waits or fails."""
        with suppress(StorageError):
            if self._end(
                (instance,),
                lambda: self._audit.effect_first(
                    lambda: self._handles.remove_instance(instance), lambda: None
                ),
            ):
                self._publish(Event(event="grants:changed"))

    def reconcile(self, alive: Callable[[str], bool]) -> None:
        """Ends everything given to runs that ended while no broker was running."""
        for instance in self._handles.instances():
            if not alive(instance):
                self.instance_ended(instance)

    def sweep(self) -> tuple[bool, datetime | None]:
        """Removes what has expired or belonged to ended runs, and logs until when it was valid.

        Returns whether anything was removed, and when the next grant expires (`None` if none does). Nothing is removed
        while the vault is locked: a forged grant must be noticed, and only the keys can tell.
        """
        now = self._clock()
        ends: list[datetime] = []
        over: list[tuple[Grant, HandleEnd]] = []
        for stored in self._grants.all():
            end = self._grants.ends_at(stored)
            if end is not None and end > now:
                ends.append(end)
            if self._grants.over(stored):
                over.append((stored.grant, "expired" if end is not None and end <= now else "kernel_gone"))
        if over:
            # They no longer count in any case; the next sweep finds those that remain.
            with suppress(StorageError):
                self._audit.effect_first(
                    lambda: [self._grants.remove(grant.id, why) for grant, why in over], lambda: None
                )
        return bool(over), min(ends, default=None)

    def store_the_rest(self) -> None:
        """Tries again to store what has ended."""
        for names, store in tuple(self._unstored.items()):
            try:
                store()
            except StorageError:
                # The others would fail for the same reason.
                return
            except GrantNotFound:
                # Another server has already removed it.
                pass
            self._settled(names)
            self._publish(Event(event="grants:changed"))

    def _end(self, names: tuple[str, ...], store: Callable[[], T]) -> T:
        """Cuts open connections and refuses every next use; then calls `store`."""
        self._ended.add(names)
        return self._store(names, store)

    def _store(self, names: tuple[str, ...], store: Callable[[], T]) -> T:
        try:
            result = store()
        except StorageError as exc:
            self._unstored[names] = store
            raise type(exc)(NOT_STORED) from exc
        except BaseException:
            self._settled(names)
            raise
        self._settled(names)
        return result

    def _settled(self, names: tuple[str, ...]) -> None:
        self._unstored.pop(names, None)
        self._ended.forget(names)
