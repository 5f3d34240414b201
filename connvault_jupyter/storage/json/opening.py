"""Opens connections.json beside an open database, or makes it. The database says which of both stores a vault has."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...errors import StorageError
from ..database import Database
from .connections_file import ConnectionsFile
from .format import text_of
from .private_file import PrivateFile

FILE_NAME = "connections.json"


def is_in_use(database: Database) -> bool:
    """Whether the connections of this vault are in the file. Raises: StorageError."""
    return database.one("SELECT 1 FROM json_store") is not None


def open_connections_file(database: Database, data_dir: Path) -> ConnectionsFile:
    """Opens `connections.json` in the database's directory, and lets it take part in the transactions.

    A vault that has no connections yet begins with this store: with an empty file, or with the one that is there.

    Raises:
        StorageError: the connections are in the database; the file is a symbolic link, another user's, or no file.
        StorageBusy, StorageFull.
    """
    private = PrivateFile(data_dir / FILE_NAME)
    private.claim()
    # The first of several processes decides.
    with database.transaction():
        if not is_in_use(database):
            if database.one("SELECT 1 FROM connections") is not None:
                raise StorageError(
                    "The connections of this vault are in its database. Set "
                    'ConnvaultExtension.connection_store to "sqlite", or move them first.'
                )
            begin(database, private)
    file = ConnectionsFile(database=database, file=private)
    file.recover()
    database.accompany(file)
    return file


def begin(database: Database, private: PrivateFile) -> None:
    """In a transaction: from its commit on, the connections of this vault are in the file, which is made if there is
    none.

    Raises: ConnectionsFileInvalid, StorageBusy, StorageFull, StorageError."""
    with private.locked():
        found = private.read()
        if found is None:
            empty = text_of({})
            private.write_pending(empty)
            # Before the commit: a file without its row is found and taken by the next opening.
            try:
                private.install()
            except OSError as exc:
                raise StorageError from exc
            digest = hashlib.sha256(empty).digest()
        else:
            digest = found.digest
    database.change("INSERT INTO json_store (id, previous_digest, digest) VALUES (1, ?, ?)", (digest, digest))
