"""Opens the database in a directory: migrated and private. It names no tables."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import StorageBusy, StorageFull
from .checkpoints import LONGEST_WAL_PAGES, Checkpoints
from .database import Database, sync_file
from .disk_reserve import Reserve
from .file_systems import on_network_file_system
from .private_files import claim_private, create_private, private_directory, unusable
from .schema import Migration, acting_of, migrate, shipped_migrations
from .sqlite_errors import is_busy, is_forbidden, translated, translated_os

FILE_NAME = "connvault.db"
RESERVE_NAME = "reserve"

# How long a statement waits for another process's transaction. Those take well under a millisecond; a person waiting
# for a cell notices two seconds, and then gets a clear error.
BUSY_TIMEOUT_S = 2.0

# There are about 50 different statements; all stay compiled.
_CACHED_STATEMENTS = 256

_SETTINGS = (
    # Sorting must not write names and labels into a temporary directory.
    "PRAGMA temp_store = MEMORY",
    # Deleted data is overwritten where that costs no extra write.
    "PRAGMA secure_delete = FAST",
    # Others may have edited the file: its schema may only call harmless functions.
    "PRAGMA trusted_schema = OFF",
)


def open_database(
    *,
    data_dir: Path,
    network_file_system: Callable[[Path], bool] = on_network_file_system,
    migrations: Sequence[Migration] | None = None,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Database:
    """Opens `connvault.db` in `data_dir`, created (0700, its files 0600) and migrated if necessary.

    `migrations` `None`: those of the package. Several processes may do this at once.

    Raises:
        SchemaTooNew: a newer version of the package wrote it.
        StorageBusy: another process holds it for too long.
        StorageFull: there is no space for a new database.
        StorageError: directory or file is a symbolic link or another user's, or the file is damaged.
    """
    private_directory(data_dir)
    path = data_dir / FILE_NAME
    for suffix in ("", "-wal", "-shm", "-journal"):
        claim_private(data_dir / (FILE_NAME + suffix))
    # Create it before SQLite does, which would use the umask for the file and for its -wal and -shm.
    create_private(path)
    # SQLite would open it read-only, and the first use would fail.
    if not os.access(path, os.R_OK | os.W_OK):
        raise unusable(data_dir, PermissionError(errno.EACCES, f"{path.name} can't be written"))
    wal = not network_file_system(data_dir)
    reserve = Reserve(path=data_dir / RESERVE_NAME)
    steps = shipped_migrations() if migrations is None else migrations
    try:
        connection = _prepared(path, wal, steps, busy_timeout_s, reserve)
    except StorageFull:
        # Even opening needs space for the -shm: without the reserve nobody could start a server to revoke.
        if not reserve.free():
            raise
        connection = _prepared(path, wal, steps, busy_timeout_s, reserve)
    reserve.make()
    return Database(
        connection=connection,
        path=path,
        checkpoints=Checkpoints(_connect(path, busy_timeout_s)) if wal else None,
        reserve=reserve,
        acting=acting_of(steps),
        busy_timeout_s=busy_timeout_s,
    )


def _prepared(
    path: Path, wal: bool, migrations: Sequence[Migration], busy_timeout_s: float, reserve: Reserve
) -> sqlite3.Connection:
    try:
        connection = _connect(path, busy_timeout_s)
        try:
            _set_journal_mode(connection, "wal" if wal else "delete", busy_timeout_s)
            for setting in _SETTINGS:
                connection.execute(setting)
            connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_WAL_PAGES}")
            migrate(
                connection,
                migrations=migrations,
                back_up=lambda version: back_up(path, f"backup-{version:04d}", busy_timeout_s),
            )
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as exc:
        if is_forbidden(exc):
            raise unusable(
                path.parent, PermissionError(errno.EACCES, f"{path.name} can't be written")
            ) from exc
        raise translated(exc, space_is_short=reserve.space_is_short) from exc
    return connection


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        str(path),
        timeout=busy_timeout_s,
        # sqlite3 must not begin transactions on its own.
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )


def _set_journal_mode(connection: sqlite3.Connection, mode: str, timeout_s: float) -> None:
    """Retries while busy: unlike other statements, this one does not wait for processes that do the same."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode:
                return
        except sqlite3.Error as exc:
            if not is_busy(exc):
                raise
        if time.monotonic() > deadline:
            raise StorageBusy
        time.sleep(0.01)


def back_up(path: Path, name: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Path:
    """Creates a copy next to the database, `connvault.db.<name>`: complete, or not at all. The write lock is held.

    Raises: StorageFull, StorageError. sqlite3.Error: translated by the caller."""
    copy = path.with_name(f"{path.name}.{name}")
    # One name for all: what a killed process has left of it goes with the next try.
    draft = copy.with_name(f"{copy.name}.part")
    try:
        draft.unlink(missing_ok=True)
        create_private(draft)
        # Uses a separate connection: SQLite does not copy from one that is writing.
        source, target = _connect(path, busy_timeout_s), _connect(draft, busy_timeout_s)
        try:
            source.backup(target)
        finally:
            target.close()
            source.close()
        sync_file(draft)
        draft.replace(copy)
        return copy
    except OSError as exc:
        raise translated_os(exc) from exc
    finally:
        draft.unlink(missing_ok=True)
