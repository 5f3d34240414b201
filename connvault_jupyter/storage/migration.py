"""Moves the connections and sealed secrets of a vault between its database and connections.json.

All of them, in one transaction: a kill leaves them where they were or where they go, and whoever is killed begins
again. Permissions, handles, the activity log, last uses and last tests stay where they are. Nothing is unsealed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Literal

from ..contracts.audit import AuditEvent
from ..contracts.supervision import ConnectionStoreKind
from ..errors import StorageBusy, StorageError
from ..services.audit.chain import link
from ..services.ports import Clock, SealedSecret
from .audit import SqliteAuditStore
from .connections import SqliteConnectionStore, document_of, name_key
from .database import Database
from .file_systems import on_network_file_system
from .json.connections_file import ConnectionsFile
from .json.format import Entry, entries_of, text_of
from .json.opening import FILE_NAME as JSON_NAME
from .json.opening import begin, is_in_use, open_connections_file
from .json.private_file import PrivateFile
from .opening import FILE_NAME, back_up, open_database
from .secrets import SqliteSecretStore


@dataclass(frozen=True)
class Migrated:
    """What was moved, or would be. `already`: there was nothing to do. `backups`: what the vault was before."""

    to: ConnectionStoreKind
    connections: int
    secrets: int
    already: bool = False
    backups: tuple[Path, ...] = ()


def migrate(
    *,
    data_dir: Path,
    to: ConnectionStoreKind,
    dry_run: bool = False,
    clock: Clock | None = None,
    network_file_system: Callable[[Path], bool] = on_network_file_system,
) -> Migrated:
    """Moves them, and leaves copies of the database (and of connections.json) as they were, named `...before-<to>`.

    `clock`: with it the activity log says that they were moved, in the same transaction.
    `dry_run`: everything is read, converted and compared, and then undone; no copies are made. Servers that use the
    vault can't write until they are started with the other `connection_store`, and say so.

    Raises:
        StorageError: there is no vault here; something can't be read, so that it would be lost; what was written is
            not what was read. Nothing has changed.
        ConnectionsFileInvalid, SchemaTooNew, StorageBusy, StorageFull.
    """
    if not (data_dir / FILE_NAME).exists():
        raise StorageError(f"There is no vault in {data_dir}. Give the folder that has {FILE_NAME}.")
    database = open_database(data_dir=data_dir, network_file_system=network_file_system)
    try:
        return (
            _to_json(database, data_dir, dry_run, clock)
            if to == "json"
            else _to_sqlite(database, data_dir, dry_run, clock)
        )
    except _DryRun as undone:
        return undone.found
    finally:
        database.close()


class _DryRun(Exception):
    """Undoes the transaction."""

    def __init__(self, found: Migrated) -> None:
        super().__init__()
        self.found = found


def _to_json(database: Database, data_dir: Path, dry_run: bool, clock: Clock | None) -> Migrated:
    private = PrivateFile(data_dir / JSON_NAME)
    private.claim()
    # The old rows of secrets are sealed, and leave the database all the same.
    with database.erasing():
        if is_in_use(database):
            return _already(database, "json")
        entries = _entries(database)
        if entries_of(text_of(entries), private.path)[0] != entries:
            raise StorageError(_DIFFERS)
        found = Migrated("json", len(entries), sum(len(entry.secrets) for entry in entries.values()))
        present = private.read()
        if present is not None:
            # Before anything is copied: it says what is wrong with it.
            entries_of(present.data, private.path)
        if dry_run:
            raise _DryRun(found)
        backups = [_back_up_database(data_dir, "json")]
        if present is not None and present.data != text_of({}):
            # Nobody uses it: somebody has put it there.
            backups.append(private.back_up(present.data, _free(private.path, "json")))
        begin(database, private)
        database.change(
            "UPDATE connections SET name = ':' || hex(id), revision = 0, document = '', mac = NULL"
        )
        database.change("DELETE FROM secrets")
        file = ConnectionsFile(database=database, file=private)
        database.accompany(file)
        with file.changing() as contents:
            contents.replace_all(entries)
        _note(database, "json", clock)
    return replace(found, backups=tuple(backups))


def _to_sqlite(database: Database, data_dir: Path, dry_run: bool, clock: Clock | None) -> Migrated:
    private = PrivateFile(data_dir / JSON_NAME)
    if not is_in_use(database):
        _finish(private)
        return _already(database, "sqlite")
    file = open_connections_file(database, data_dir)
    with database.transaction():
        entries = file.contents().entries
        present = private.read()
        if present is None or entries_of(present.data, private.path)[0] != entries:
            raise StorageBusy(f"{private.path} was changed by another program at this moment. Try again.")
        found = Migrated("sqlite", len(entries), sum(len(entry.secrets) for entry in entries.values()))
        backups: list[Path] = []
        if not dry_run:
            backups = [
                _back_up_database(data_dir, "sqlite"),
                private.back_up(present.data, _free(private.path, "sqlite")),
            ]
        database.change("DELETE FROM json_store")
        _store(database, entries)
        if _entries(database) != entries:
            raise StorageError(_DIFFERS)
        if dry_run:
            raise _DryRun(found)
        _note(database, "sqlite", clock)
    _finish(private)
    return replace(found, backups=tuple(backups))


_DIFFERS = "What would be stored is not what was read, so nothing was moved. Please report this."


def _entries(database: Database) -> dict[str, Entry]:
    """All rows. Raises: StorageError: one of them can't be read."""
    connections = {one.connection.id: one for one in SqliteConnectionStore(database=database).all()}
    secrets: dict[str, dict[str, SealedSecret]] = {}
    for secret in SqliteSecretStore(database=database).all():
        secrets.setdefault(secret.connection_id, {})[secret.field] = secret
    unread = _count(database, "connections") - len(connections)
    unread += _count(database, "secrets") - sum(map(len, secrets.values()))
    if unread:
        raise StorageError(
            f"{unread} rows of the database can't be read (the log names them), so nothing was moved. Restore or "
            "remove them first."
        )
    return {one: Entry(stored, secrets.get(one, {})) for one, stored in connections.items()}


def _note(database: Database, to: ConnectionStoreKind, clock: Clock | None) -> None:
    """Without keys, so without a MAC: a later event that has one covers it."""
    if clock is not None:
        audit = SqliteAuditStore(database=database)
        sequence, previous = audit.head()
        event = AuditEvent(
            sequence=sequence + 1,
            at=clock(),
            type="vault:moved",
            field=to,
            decided_by="jupyter connvault migrate",
        )
        audit.append(link(event, previous, None))


def _count(database: Database, table: Literal["connections", "secrets"]) -> int:
    row = database.one(f"SELECT count(*) FROM {table}")  # noqa: S608 - one of two words
    return 0 if row is None else int(row[0])


def _store(database: Database, entries: Mapping[str, Entry]) -> None:
    """Makes rows of the anchors, which keep what hangs on them."""
    secrets = SqliteSecretStore(database=database)
    for one, entry in entries.items():
        connection = entry.stored.connection
        database.change(
            "UPDATE connections SET name = ?, revision = ?, document = ?, mac = ? WHERE id = ?",
            (name_key(connection), connection.revision, document_of(connection), entry.stored.mac, one),
        )
        for secret in entry.secrets.values():
            secrets.put(secret)


def _already(database: Database, to: ConnectionStoreKind) -> Migrated:
    return Migrated(to, _count(database, "connections"), 0, already=True)


def _back_up_database(data_dir: Path, to: ConnectionStoreKind) -> Path:
    path = data_dir / FILE_NAME
    try:
        return back_up(path, _free(path, to))
    except sqlite3.Error as exc:
        raise StorageError("The database can't be copied, so nothing was moved. See the server log.") from exc


def _free(path: Path, to: ConnectionStoreKind) -> str:
    """A name that no copy has yet: an earlier one may be the only one of its kind."""
    names = chain([f"before-{to}"], (f"before-{to}-{number}" for number in count(2)))
    return next(name for name in names if not path.with_name(f"{path.name}.{name}").exists())


def _finish(private: PrivateFile) -> None:
    """Removes what nobody uses any more, if there is a copy of it."""
    with private.locked():
        present = private.read()
        copies = private.path.parent.glob(f"{private.path.name}.before-sqlite*")
        if present is not None and any(copy.read_bytes() == present.data for copy in copies):
            private.remove()
