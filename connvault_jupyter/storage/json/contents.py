"""What is in the file, in memory: entries, and what they are found by. It is not changed once others can see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ...contracts.connections import Connection
from ...errors import ConnectionNotFound, NameTaken, RevisionConflict, StorageError
from ...services.ports import SealedSecret, StoredConnection
from .format import Entry


class Contents:
    """Entries by id. Names are unique within a place, without regard to case; refs of secrets are unique.

    Whether JSON can hold what was put into it is seen by `check`, once for each entry that was changed.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._unchecked: set[str] = set()
        self._set(entries)

    def _set(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)
        self._names = {_key(entry.stored.connection): one for one, entry in self._entries.items()}
        self._refs = {
            secret.ref: (one, name)
            for one, entry in entries.items()
            for name, secret in entry.secrets.items()
        }

    def copy(self) -> Contents:
        """A copy to be changed."""
        return Contents(self._entries)

    def check(self) -> None:
        """Raises: StorageError: what was changed can't be written, or could not be read again."""
        for one in self._unchecked & self._entries.keys():
            self._entries[one].check()
        self._unchecked.clear()

    @property
    def entries(self) -> Mapping[str, Entry]:
        return self._entries

    @cached_property
    def connections(self) -> Sequence[StoredConnection]:
        """By name, ignoring case."""
        return [self._entries[self._names[name]].stored for name in sorted(self._names)]

    @cached_property
    def fields(self) -> Mapping[str, frozenset[str]]:
        """By connection, the fields that have a secret; connections without any are left out."""
        return {one: frozenset(entry.secrets) for one, entry in self._entries.items() if entry.secrets}

    def by_name(self, name: str) -> StoredConnection | None:
        """The person's own, case-sensitive."""
        entry = self._entries.get(self._names.get((name.lower(), ""), ""))
        return entry.stored if entry is not None and entry.stored.connection.name == name else None

    def add(self, connection: Connection, mac: bytes | None) -> None:
        """Raises: NameTaken. StorageError: the id is taken."""
        self._refuse_taken(connection)
        if connection.id in self._entries:
            raise StorageError
        self._put(Entry(StoredConnection(connection, mac)))

    def update(self, connection: Connection, mac: bytes | None, *, expected_revision: int) -> None:
        """Raises: RevisionConflict, NameTaken, ConnectionNotFound."""
        before = self._expected(connection.id, expected_revision)
        self._refuse_taken(connection)
        self._put(replace(before, stored=StoredConnection(connection, mac)))

    def replace_all(self, entries: Mapping[str, Entry]) -> None:
        """Everything is what `entries` has, whose names and refs are unique."""
        self._set(entries)
        self._forget()
        self._unchecked = set(entries)

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        """With its secrets. Raises: RevisionConflict, ConnectionNotFound."""
        before = self._expected(connection_id, expected_revision)
        self._forget()
        del self._entries[connection_id]
        del self._names[_key(before.stored.connection)]
        for secret in before.secrets.values():
            del self._refs[secret.ref]

    def put_secret(self, secret: SealedSecret) -> None:
        """Raises: StorageError: there is no such connection, or another secret has this ref."""
        place = secret.connection_id, secret.field
        before = self._entries.get(secret.connection_id)
        if before is None or self._refs.get(secret.ref, place) != place:
            raise StorageError
        replaced = before.secrets.get(secret.field)
        self._put(replace(before, secrets={**before.secrets, secret.field: secret}))
        if replaced is not None:
            del self._refs[replaced.ref]
        self._refs[secret.ref] = place

    def remove_secret(self, connection_id: str, name: str) -> bool:
        """Whether there was one."""
        before = self._entries.get(connection_id)
        if before is None or name not in before.secrets:
            return False
        self._put(replace(before, secrets={one: kept for one, kept in before.secrets.items() if one != name}))
        del self._refs[before.secrets[name].ref]
        return True

    def _put(self, entry: Entry) -> None:
        self._forget()
        connection = entry.stored.connection
        before = self._entries.get(connection.id)
        if before is not None:
            del self._names[_key(before.stored.connection)]
        self._entries[connection.id] = entry
        self._names[_key(connection)] = connection.id
        self._unchecked.add(connection.id)

    def _expected(self, connection_id: str, revision: int) -> Entry:
        found = self._entries.get(connection_id)
        if found is None:
            raise ConnectionNotFound
        if found.stored.connection.revision != revision:
            raise RevisionConflict
        return found

    def _refuse_taken(self, connection: Connection) -> None:
        if self._names.get(_key(connection), connection.id) != connection.id:
            raise NameTaken

    def _forget(self) -> None:
        self.__dict__.pop("connections", None)
        self.__dict__.pop("fields", None)


def _key(connection: Connection) -> tuple[str, str]:
    return connection.name.lower(), connection.place
