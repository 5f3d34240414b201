"""Connections with their last use and last test. Which change is allowed, and what it voids, is not decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from math import isfinite

from ..contracts.connections import Connection, TestOutcome
from ..errors import ConnectionNotFound, NameTaken, RevisionConflict, StorageError
from ..services.ports import StoredConnection
from .database import Database, Row
from .rows import agree, canonical, canonical_json, instant, microseconds, read_all, read_one

_TABLE = "connections"
_SELECT = "SELECT id, name, revision, document, mac FROM connections"


class SqliteConnectionStore:
    """Implements `services.ports.DocumentStore`. Whether a MAC is right is not decided here."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def add(self, connection: Connection, mac: bytes | None = None) -> None:
        """Raises: NameTaken."""
        with self._database.transaction():
            self._refuse_taken(connection)
            self._database.change(
                "INSERT INTO connections (id, name, revision, document, mac) VALUES (?, ?, ?, ?, ?)",
                (connection.id, name_key(connection), connection.revision, document_of(connection), mac),
            )

    def get(self, connection_id: str) -> StoredConnection | None:
        """Raises: StorageError: the row can't be read."""
        row = self._database.one(f"{_SELECT} WHERE id = ?", (connection_id,))
        return read_one(_connection, row, _TABLE)

    def by_name(self, name: str) -> StoredConnection | None:
        """The person's own, case-sensitive. Raises: StorageError: the row can't be read."""
        # The first condition uses the index, the second one compares the case.
        row = self._database.one(f"{_SELECT} WHERE name = ? AND name = ? COLLATE BINARY", (name, name))
        return read_one(_connection, row, _TABLE)

    def all(self) -> Sequence[StoredConnection]:
        """By name, ignoring case. Unreadable rows are left out."""
        return read_all(_connection, self._database.many(f"{_SELECT} ORDER BY name"), _TABLE)

    def update(self, connection: Connection, mac: bytes | None = None, *, expected_revision: int) -> None:
        """Keeps last use and last test. Raises: RevisionConflict, NameTaken, ConnectionNotFound."""
        with self._database.transaction():
            self._check_revision(connection.id, expected_revision)
            self._refuse_taken(connection)
            self._database.change(
                "UPDATE connections SET name = ?, revision = ?, document = ?, mac = ? WHERE id = ?",
                (name_key(connection), connection.revision, document_of(connection), mac, connection.id),
            )

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        """With its secrets, grants, handles and last test. Raises: RevisionConflict, ConnectionNotFound."""
        with self._database.transaction():
            self._check_revision(connection_id, expected_revision)
            self._database.change("DELETE FROM connections WHERE id = ?", (connection_id,))

    def touch(self, connection_id: str, at: datetime) -> None:
        """Notes the last use; does nothing if the connection is gone."""
        self._database.change(
            "UPDATE connections SET last_used_at = ? WHERE id = ?",
            (microseconds(at), connection_id),
            telling=False,
        )

    def last_used(self) -> Mapping[str, datetime]:
        """By connection id, without those never used."""
        rows = self._database.many("SELECT id, last_used_at FROM connections WHERE last_used_at IS NOT NULL")
        return dict(read_all(_last_use, rows, _TABLE))

    def save_test(self, connection_id: str, outcome: TestOutcome) -> None:
        """Replaces the previous one; does nothing if the connection is gone."""
        self._database.change(
            "UPDATE connections SET last_test = ? WHERE id = ?", (canonical(outcome), connection_id)
        )

    def tests(self) -> Mapping[str, TestOutcome]:
        """By connection id, without those never tested."""
        rows = self._database.many("SELECT id, last_test FROM connections WHERE last_test IS NOT NULL")
        return dict(read_all(_last_test, rows, _TABLE))

    def _check_revision(self, connection_id: str, expected: int) -> None:
        row = self._database.one("SELECT revision FROM connections WHERE id = ?", (connection_id,))
        if row is None:
            raise ConnectionNotFound
        # Compared here: an integer from outside may be larger than SQLite's.
        if row[0] != expected:
            raise RevisionConflict

    def _refuse_taken(self, connection: Connection) -> None:
        if self._database.one(
            "SELECT 1 FROM connections WHERE name = ? AND id <> ?", (name_key(connection), connection.id)
        ):
            raise NameTaken


def document_of(connection: Connection) -> str:
    """The text of a connection, for its row. One of the person's own says nothing of a workspace, as before there were
    any."""
    left_out = {"workspace"} if connection.workspace is None else set()
    return canonical_json(connection.model_dump(mode="json", exclude=left_out))


def name_key(connection: Connection) -> str:
    """What the column `name` has, which is unique without regard to case: the name, and the place of one that is not
    the person's own, in digits that have no case. No name has a space, which comes before all their characters."""
    root = connection.place
    return f"{connection.name} {root.encode().hex()}" if root else connection.name


# Cached by content, so it can't be stale, whoever wrote the row. A list of 1,000 then takes a third of the time.
@lru_cache(maxsize=2048)
def parsed(document: str) -> Connection:
    """The connection in this JSON text. Raises: ValueError."""
    connection = Connection.model_validate_json(document)
    # Its MAC covers JSON, which has no such numbers, and we never store any.
    if any(isinstance(value, float) and not isfinite(value) for value in connection.fields.values()):
        raise ValueError("not a number")
    return connection


def _connection(row: Row) -> StoredConnection:
    connection_id, name, revision, document, mac = row
    if document == "":
        # A list without it would look like a loss.
        raise StorageError(
            "The connections of this vault were moved to connections.json. Set "
            'ConnvaultExtension.connection_store to "json", then restart the server.'
        )
    connection = parsed(document)
    agree((connection_id, connection.id), (name, name_key(connection)), (revision, connection.revision))
    # A value of another type can't be a MAC. Treat it as a wrong one, not as a missing one.
    return StoredConnection(connection, mac if isinstance(mac, bytes | None) else b"")


def _last_use(row: Row) -> tuple[str, datetime]:
    return row[0], instant(row[1])


def _last_test(row: Row) -> tuple[str, TestOutcome]:
    return row[0], TestOutcome.model_validate_json(row[1])
