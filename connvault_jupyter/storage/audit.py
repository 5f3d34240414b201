"""The activity log: events are appended, pruned from the start, never changed. Digests and MACs are computed
elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from ..contracts.audit import AuditEvent, AuditFilter, AuditType
from ..errors import StorageError
from ..services.ports import ChainLink, Checkpoint
from .database import Database, Row
from .rows import agree, microseconds, read_all, read_one

T = TypeVar("T")

NOTHING_BEFORE = bytes(32)
"""The digest before the first event."""

_LINK = (
    "SELECT sequence, at, type, connection_id, connection, requester_key, body, previous, digest, mac, "
    "generation"
    " FROM audit"
)

# The size of a row without its body: two digests, a MAC, columns, index entries, and the unused part of pages.
# Measured on a log of 8,000 uses.
_ROW_OVERHEAD_BYTES = 420

_DAY_US = 24 * 3600 * 1_000_000
_EPOCH_DAY = datetime(1970, 1, 1, tzinfo=timezone.utc).date()

# SQLite's largest integer; a sequence given by a client may be larger.
_LAST_SEQUENCE = 2**63 - 1


class SqliteAuditStore:
    """Implements `services.ports.AuditStore`. A row's event is its body: the bytes that the digest covers."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def head(self) -> tuple[int, bytes]:
        """(sequence, digest) of the last event; those of the checkpoint if all are pruned; (0, 32 zero bytes) at
        first."""
        row = self._database.one(
            "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1"
        ) or self._database.one("SELECT sequence, digest FROM audit_checkpoint")
        if row is None:
            return 0, NOTHING_BEFORE
        if not isinstance(row[1], bytes):
            raise StorageError(
                "The last event of the activity log can't be read, so nothing can be added to it."
            )
        return row[0], row[1]

    def append(self, link: ChainLink) -> None:
        """Raises: StorageError: the sequence already exists, or the event was not stored."""
        event = link.event
        stored = self._database.change(
            "INSERT INTO audit (sequence, at, type, connection_id, connection, requester_key, end_offset, "
            "body,"
            " previous, digest, mac, generation) VALUES (?, ?, ?, ?, ?, ?,"
            " ? + coalesce((SELECT end_offset FROM audit ORDER BY sequence DESC LIMIT 1),"
            " (SELECT end_offset FROM audit_checkpoint), 0), ?, ?, ?, ?, ?)",
            (
                event.sequence,
                microseconds(event.at),
                event.type,
                event.connection_id,
                event.connection,
                event.requester_key,
                len(link.body) + _ROW_OVERHEAD_BYTES,
                link.body,
                link.previous,
                link.digest,
                link.mac,
                link.generation,
            ),
            telling=False,
        )
        if stored != 1:
            # Somebody has recreated the table with ON CONFLICT IGNORE.
            raise StorageError(
                "The activity log can't be added to. Restore the database from its newest backup."
            )

    def page(
        self,
        filters: AuditFilter,
        *,
        requester_key: str | None = None,
        connection: str | None = None,
        without: Collection[AuditType] = (),
    ) -> Sequence[AuditEvent]:
        """Newest first, at most `filters.limit`. Unreadable rows are left out."""
        wanted = {
            "connection_id": filters.connection_id,
            "type": filters.type,
            "requester_key": requester_key,
            "connection": connection,
        }
        asked = {column: value for column, value in wanted.items() if value is not None}
        # S608 below: the column names come from the table above, never from outside.
        conditions = "".join(f" AND {column} = ?" for column in asked) + " AND type <> ?" * len(without)
        sql = (
            f"SELECT sequence, body FROM audit WHERE sequence < ?{conditions} ORDER BY sequence DESC LIMIT ?"  # noqa: S608
        )
        before = _LAST_SEQUENCE if filters.before is None else min(filters.before, _LAST_SEQUENCE)
        return self._filled(_event, sql, before, [*asked.values(), *without], filters.limit)

    def chain(self, after: int, limit: int) -> Sequence[ChainLink]:
        """Oldest first, at most `limit`. Unreadable rows are left out: the gap in the sequence reveals them."""
        sql = f"{_LINK} WHERE sequence > ? ORDER BY sequence LIMIT ?"
        return self._filled(_link, sql, min(after, _LAST_SEQUENCE), [], limit)

    def span(self, since: datetime | None, until: datetime | None) -> tuple[int, int] | None:
        """Reads every row: there is no index by time, as nothing that happens often asks for one."""
        row = self._database.one(
            "SELECT min(sequence), max(sequence) FROM audit WHERE at >= ? AND at <= ?",
            (
                -_LAST_SEQUENCE if since is None else microseconds(since),
                _LAST_SEQUENCE if until is None else microseconds(until),
            ),
        )
        return None if row is None or row[0] is None else (row[0], row[1])

    def size_bytes(self) -> int:
        """The approximate size of the remaining rows in the file. Cheap enough to be called at each append."""
        row = self._database.one(
            "SELECT (SELECT end_offset FROM audit ORDER BY sequence DESC LIMIT 1),"
            " (SELECT end_offset FROM audit_checkpoint)"
        )
        end, start = row or (None, None)
        return 0 if end is None else max(0, int(end) - int(start or 0))

    def checkpoint(self) -> Checkpoint | None:
        """`None`: nothing was pruned yet. Raises: StorageError: the row can't be read."""
        row = self._database.one("SELECT sequence, digest, mac FROM audit_checkpoint")
        return read_one(_checkpoint, row, "audit_checkpoint")

    def prune(self, checkpoint: Checkpoint) -> int:
        """Removes the events up to and including `checkpoint.sequence`, and stores the checkpoint; returns how many.

        Raises: StorageError: there is no such event.
        """
        with self._database.transaction():
            row = self._database.one(
                "SELECT end_offset FROM audit WHERE sequence = ?", (checkpoint.sequence,)
            )
            if row is None:
                raise StorageError("The activity log can only be pruned up to an event that exists.")
            self._database.change(
                "INSERT OR REPLACE INTO audit_checkpoint (id, sequence, digest, mac, end_offset)"
                " VALUES (1, ?, ?, ?, ?)",
                (checkpoint.sequence, checkpoint.digest, checkpoint.mac, row[0]),
            )
            return self._database.change("DELETE FROM audit WHERE sequence <= ?", (checkpoint.sequence,))

    def replace_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Does nothing if there is none for this event."""
        self._database.change(
            "UPDATE audit_checkpoint SET digest = ?, mac = ? WHERE sequence = ?",
            (checkpoint.digest, checkpoint.mac, checkpoint.sequence),
        )

    def uses_by_day(self, connection_id: str, since: datetime) -> Mapping[str, int]:
        """By UTC day; days without use are left out."""
        rows = self._database.many(
            "SELECT at / ?, count(*) FROM audit WHERE connection_id = ? AND at >= ?"
            " AND type IN ('access:used', 'access:checked', 'access:revealed') GROUP BY 1 ORDER BY 1",
            (_DAY_US, connection_id, microseconds(since)),
        )
        return dict(read_all(_day, rows, "audit"))

    def _filled(
        self, parse: Callable[[Row], T], sql: str, start: int, conditions: list[Any], limit: int
    ) -> list[T]:
        """Reads on after rows that were left out: fewer than `limit` must mean that there are no more."""
        found: list[T] = []
        while len(found) < limit:
            wanted = limit - len(found)
            rows = self._database.many(sql, (start, *conditions, wanted))
            found += read_all(parse, rows, "audit")
            if len(rows) < wanted:
                break
            start = rows[-1][0]
        return found


def _event(row: Row) -> AuditEvent:
    event = AuditEvent.model_validate_json(row[1])
    agree((row[0], event.sequence))
    return event


def _link(row: Row) -> ChainLink:
    sequence, at, kind, connection_id, connection, requester_key, body, previous, digest, mac, generation = (
        row
    )
    event = AuditEvent.model_validate_json(body)
    agree(
        (sequence, event.sequence),
        (at, microseconds(event.at)),
        (kind, event.type),
        (connection_id, event.connection_id),
        (connection, event.connection),
        (requester_key, event.requester_key),
    )
    if not (isinstance(body, bytes) and isinstance(previous, bytes) and isinstance(digest, bytes)):
        raise TypeError("not an audit event")
    if not isinstance(mac, bytes | None) or not isinstance(generation, int | None):
        raise TypeError("not an audit event")
    return ChainLink(event=event, body=body, previous=previous, digest=digest, mac=mac, generation=generation)


def _checkpoint(row: Row) -> Checkpoint:
    sequence, digest, mac = row
    if not isinstance(digest, bytes) or not isinstance(mac, bytes | None):
        raise TypeError("not a checkpoint")
    return Checkpoint(sequence=sequence, digest=digest, mac=mac)


def _day(row: Row) -> tuple[str, int]:
    return (_EPOCH_DAY + timedelta(days=row[0])).isoformat(), row[1]
