"""The ports of `services.ports` over connections.json. Last use and last test are in the database: each use would
change the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from ...contracts.connections import Connection, TestOutcome
from ...services.ports import SealedSecret, StoredConnection
from ..connections import SqliteConnectionStore
from ..database import Database
from .connections_file import ConnectionsFile
from .format import Entry


class JsonTransactions:
    """Implements `services.ports.Transactions`: the database's, which the file takes part in."""

    def __init__(self, *, database: Database, file: ConnectionsFile) -> None:
        self._database = database
        self._file = file

    def transaction(self, *, durable: bool = True) -> AbstractContextManager[None]:
        """See `Database.transaction`."""
        return self._database.transaction(durable=durable)

    def version(self) -> object:
        """Other when the file is, whoever changed it."""
        return self._file.version()

    def erasing(self) -> AbstractContextManager[None]:
        """See `Database.erasing`; the file's old content is overwritten too."""
        return self._database.erasing()

    def escape(self) -> AbstractContextManager[None]:
        """See `Database.escape`."""
        return self._database.escape()


class JsonConnectionStore:
    """Implements `services.ports.DocumentStore`. Whether a MAC is right is not decided here.

    Each method raises ConnectionsFileInvalid, SchemaTooNew, StorageBusy or StorageError if the file can't be used:
    nothing is left out of a list, as it would be lost with the next change.
    """

    def __init__(self, *, database: Database, file: ConnectionsFile) -> None:
        self._file = file
        self._rows = SqliteConnectionStore(database=database)

    def add(self, connection: Connection, mac: bytes | None = None) -> None:
        """Raises: NameTaken."""
        with self._file.changing() as contents:
            contents.add(connection, mac)
            self._file.add_anchor(connection.id)

    def get(self, connection_id: str) -> StoredConnection | None:
        """By id."""
        entry = self._file.contents().entries.get(connection_id)
        return None if entry is None else entry.stored

    def by_name(self, name: str) -> StoredConnection | None:
        """Case-sensitive."""
        return self._file.contents().by_name(name)

    def all(self) -> Sequence[StoredConnection]:
        """By name, ignoring case."""
        return self._file.contents().connections

    def update(self, connection: Connection, mac: bytes | None = None, *, expected_revision: int) -> None:
        """Keeps secrets, last use and last test. Raises: RevisionConflict, NameTaken, ConnectionNotFound."""
        with self._file.changing() as contents:
            contents.update(connection, mac, expected_revision=expected_revision)

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        """With its secrets, grants, handles and last test. Raises: RevisionConflict, ConnectionNotFound."""
        with self._file.changing() as contents:
            contents.remove(connection_id, expected_revision=expected_revision)
            self._file.remove_anchor(connection_id)

    def touch(self, connection_id: str, at: datetime) -> None:
        """Notes the last use; does nothing if the connection is gone."""
        self._rows.touch(connection_id, at)

    def last_used(self) -> Mapping[str, datetime]:
        """By connection id, without those never used."""
        return self._rows.last_used()

    def save_test(self, connection_id: str, outcome: TestOutcome) -> None:
        """Replaces the previous one; does nothing if the connection is gone."""
        self._rows.save_test(connection_id, outcome)

    def tests(self) -> Mapping[str, TestOutcome]:
        """By connection id, without those never tested."""
        return self._rows.tests()


class JsonSecretStore:
    """Implements `services.ports.SecretStore`. Raises as `JsonConnectionStore`."""

    def __init__(self, *, file: ConnectionsFile) -> None:
        self._file = file

    def put(self, secret: SealedSecret) -> None:
        """Replaces the secret of the same connection and field. Raises: StorageError: there is no such connection."""
        with self._file.changing() as contents:
            contents.put_secret(secret)

    def get(self, connection_id: str, field: str) -> SealedSecret | None:
        """By connection and field."""
        entry = self._file.contents().entries.get(connection_id)
        return None if entry is None else entry.secrets.get(field)

    def of(self, connection_id: str) -> Sequence[SealedSecret]:
        """By field."""
        entry = self._file.contents().entries.get(connection_id)
        return [] if entry is None else _by_field(entry)

    def all(self) -> Sequence[SealedSecret]:
        """By connection and field."""
        # One look at the file: all are of one state of it.
        entries = self._file.contents().entries
        return [secret for one in sorted(entries) for secret in _by_field(entries[one])]

    def fields(self, connection_id: str | None = None) -> Mapping[str, frozenset[str]]:
        """By connection, the fields that have a secret; connections without any are left out."""
        fields = self._file.contents().fields
        if connection_id is None:
            return fields
        return {connection_id: fields[connection_id]} if connection_id in fields else {}

    def remove(self, connection_id: str, field: str) -> bool:
        """Whether there was one."""
        with self._file.changing() as contents:
            return contents.remove_secret(connection_id, field)


def _by_field(entry: Entry) -> list[SealedSecret]:
    return [entry.secrets[field] for field in sorted(entry.secrets)]
