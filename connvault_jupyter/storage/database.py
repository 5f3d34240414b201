"""An open SQLite database: statements, transactions, and when they reach the disk. It names no tables.

The caller holds one lock around everything except `flush`, which may be called from any thread without it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from ..errors import StorageBusy, StorageError, StorageFull
from .checkpoints import Checkpoints
from .disk_reserve import Reserve
from .schema import Acting, acting
from .sqlite_errors import translated, translated_os

Row = tuple[Any, ...]
Parameters = Sequence[Any]


# Longer than any of our transactions holds the write lock.
_MOMENT_S = 0.05


class Companion(Protocol):
    """What changes together with the database. It is told of each outermost transaction."""

    def began(self, *, erasing: bool) -> None:
        """The write lock is held, and may have been taken after a transaction whose end was never told."""

    def prepare(self) -> None:
        """Before the COMMIT. If it raises, everything is rolled back."""

    def ended(self, *, committed: bool) -> None:
        """Without the write lock. Must not raise: what was committed can't be undone."""


class Database:
    """An open database. Implements `services.ports.Transactions`.

    In WAL mode a commit with `durable=True` is synced before it returns (`synchronous = FULL`); one without is handed
    to the operating system, where a crash of this process can't harm it, and synced by the next `flush`. Whoever owns
    the database calls `flush` at least once a second while `unsynced` is true. On a network file system the rollback
    journal is used instead, and every commit is synced.
    """

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        path: Path,
        checkpoints: Checkpoints | None,
        reserve: Reserve,
        acting: Acting,
        busy_timeout_s: float,
    ) -> None:
        """`checkpoints` `None`: the database has no WAL. `busy_timeout_s`: the connection's own."""
        self._connection = connection
        self._acting = acting
        self._busy_timeout_s = busy_timeout_s
        self._is_patient = True
        self._waited_in_vain = False
        self._schema_version: int | None = None
        self._wal_path = path.with_name(path.name + "-wal")
        self._checkpoints = checkpoints
        self._checkpoint_due = False
        self._reserve = reserve
        self._changes = 0
        self._data_version: int | None = None
        self._level = ""
        self._depth = 0
        self._escaping = False
        self._spoilt = False
        self._unsynced = False
        self._companion: Companion | None = None

    def accompany(self, companion: Companion) -> None:
        """From now on, `companion` takes part in each transaction. There is at most one."""
        self._companion = companion

    @property
    def inside(self) -> bool:
        """Whether a transaction is open."""
        return self._depth > 0

    def transaction(self, *, durable: bool = True) -> _Transaction:
        """See `Transactions.transaction`. In nested blocks the outermost one decides whether it is durable.

        If an inner block fails, the whole transaction is rolled back, even if the exception was caught: the block may
        have done only half of its work.
        """
        return _Transaction(self, durable=durable, escaping=False)

    def escape(self) -> _Transaction:
        """See `Transactions.escape`: a durable transaction; if space is short, the reserve is freed first.

        If the disk fills up between that and the commit, `StorageFull` is raised with the reserve freed, so that the
        next try has space. The reserve is created again as soon as there is room for it.
        """
        return _Transaction(self, durable=True, escaping=True)

    def erasing(self) -> _Transaction:
        """See `Transactions.erasing`. The file system may nevertheless keep overwritten data, and so do backups."""
        return _Transaction(self, durable=True, escaping=False, erasing=True)

    def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a query. Raises: StorageBusy, StorageError."""
        found = self._fetch(sql, parameters)
        return found[0] if found else None

    def many(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a query. Raises: StorageBusy, StorageError."""
        return self._fetch(sql, parameters)

    def change(self, sql: str, parameters: Parameters = (), *, telling: bool = True) -> int:
        """Runs one writing statement, in its own durable transaction if none is open; returns the number of rows
        changed.

        `revealing_commands` false: `version` stays the same, because no cache depends on this row.

        Raises: StorageFull, StorageBusy, StorageError.
        """
        if telling:
            self._changes += 1
        if self._depth:
            return self._run(sql, parameters).rowcount
        with self.transaction():
            return self._run(sql, parameters).rowcount

    def version(self) -> tuple[int, int]:
        """See `Transactions.version`: covers commits of other processes and changes here."""
        if self._depth and self._data_version is not None:
            # Nobody else can commit during a transaction.
            self._refuse_if_spoilt()
            return self._data_version, self._changes
        data_version: int = self._fetch("PRAGMA data_version", ())[0][0]
        if self._depth:
            self._data_version = data_version
        return data_version, self._changes

    @property
    def unsynced(self) -> bool:
        """Whether there are commits that a power cut could undo."""
        return self._unsynced

    def flush(self) -> None:
        """Syncs what was committed without `durable`, and empties the WAL. Costs nothing if there is nothing to do.

        Needs no lock.

        Raises: StorageFull, StorageError: committed data is still there, but a power cut could undo it.
        """
        if self._unsynced:
            self._sync()
        if self._checkpoint_due and self._checkpoints is not None:
            self._checkpoint_due = False
            self._checkpoints.run()

    def sync_log(self) -> None:
        """Syncs what any process has committed. Raises: StorageFull, StorageError."""
        # Without a WAL each commit was synced.
        if self._checkpoints is not None:
            self._sync()

    def _sync(self) -> None:
        # Reset first, as commits during the sync may not be included in it.
        self._unsynced = False
        try:
            sync_file(self._wal_path)
        except OSError as exc:
            self._unsynced = True
            raise translated_os(exc) from exc

    def close(self) -> None:
        """Syncs and closes. Raises: StorageError."""
        try:
            self.flush()
        finally:
            if self._checkpoints is not None:
                self._checkpoints.close()
            try:
                self._connection.close()
            except sqlite3.Error as exc:
                raise self._translated(exc) from exc

    def _begin(self, *, durable: bool, escaping: bool, erasing: bool) -> None:
        if escaping and self._reserve.space_is_short():
            self._reserve.free()
        if self._depth:
            self._refuse_if_spoilt()
            self._escaping |= escaping
        else:
            # A transaction may be left by an interrupt between BEGIN and here.
            self._roll_back()
            self._set_level("FULL" if durable or self._checkpoints is None else "NORMAL")
            if erasing:
                self._set("secure_delete = ON")
            self._wait_for_the_write_lock()
            self._escaping, self._spoilt, self._data_version = escaping, False, None
            self._check_schema()
        self._depth += 1
        if self._depth == 1 and self._companion is not None:
            try:
                self._companion.began(erasing=erasing)
            except BaseException:
                self._depth = 0
                self._roll_back()
                raise

    def _wait_for_the_write_lock(self) -> None:
        """Waits only briefly if others hold it: whoever waits here holds the lock that all other threads need.

        Without a WAL the commit also waits for readers, and needs more time.
        """
        if self._is_patient is self._waited_in_vain:
            self._is_patient = not self._waited_in_vain
            timeout_s = self._busy_timeout_s if self._is_patient else min(_MOMENT_S, self._busy_timeout_s)
            self._set(f"busy_timeout = {int(timeout_s * 1000)}")
        try:
            self._run("BEGIN IMMEDIATE", ())
        except StorageBusy:
            self._waited_in_vain = self._checkpoints is not None
            raise
        self._waited_in_vain = False

    def _check_schema(self) -> None:
        """A foreign trigger could swallow audit events, or a revoke. About 1 us if nothing changed."""
        try:
            (version,) = self._connection.execute("PRAGMA schema_version").fetchone()
            if version == self._schema_version:
                return
            changed = acting(self._connection) != self._acting
        except sqlite3.Error as exc:
            self._roll_back()
            raise self._translated(exc) from exc
        if changed:
            self._roll_back()
            raise StorageError(
                "The schema of the connvault database was changed from outside (a trigger or view was added "
                "or removed). Restore its newest backup, or update connvault-jupyter if a newer version "
                "uses it too."
            )
        self._schema_version = version

    def _end(self, *, failed: bool) -> None:
        self._spoilt |= failed
        if self._depth > 1:
            self._depth -= 1
            return
        committed = False
        try:
            if not self._spoilt and self._companion is not None:
                # Still inside: it writes its own row.
                self._companion.prepare()
            self._depth = 0
            self._finish(failed=failed)
            committed = True
        finally:
            if self._depth:
                self._depth = 0
                self._changes += 1
                self._roll_back()
            if self._companion is not None:
                self._companion.ended(committed=committed and not failed)

    def _finish(self, *, failed: bool) -> None:
        if self._spoilt:
            # What was read during the transaction is not valid.
            self._changes += 1
            self._roll_back()
            if not failed:
                raise StorageError("Part of the change failed, so none of it was stored.")
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as exc:
            self._changes += 1
            self._roll_back()
            error = self._translated(exc)
            if self._escaping and isinstance(error, StorageFull):
                self._reserve.free()
            raise error from exc
        self._checkpoint_due = True
        if self._level == "NORMAL":
            self._unsynced = True
        if self._escaping:
            self._reserve.make()

    def _roll_back(self) -> None:
        try:
            # SQLite may already have done it: https://www.sqlite.org/lang_transaction.html 3.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as exc:
            raise self._translated(exc) from exc

    def _erased(self) -> None:
        """After the block of `erasing`, the WAL still contains the overwritten data."""
        self._set("secure_delete = FAST")
        if self._checkpoints is not None:
            self._checkpoints.run(emptying=True)

    def _set_level(self, level: str) -> None:
        if level != self._level:
            self._set(f"synchronous = {level}")
            self._level = level

    def _set(self, setting: str) -> None:
        try:
            # The pragma takes effect when compiled, so it must not come from the statement cache, which
            # `executescript` bypasses. 1 us. SQLite refuses `synchronous` inside a transaction.
            self._connection.executescript(f"PRAGMA {setting}")
        except sqlite3.Error as exc:
            raise self._translated(exc) from exc

    def _refuse_if_spoilt(self) -> None:
        if self._depth and self._spoilt:
            # If SQLite has already rolled back the transaction, the rest would be stored alone.
            raise StorageError("Part of the change failed earlier, so none of it is stored.")

    def _run(self, sql: str, parameters: Parameters) -> sqlite3.Cursor:
        self._refuse_if_spoilt()
        try:
            return self._connection.execute(sql, parameters)
        except (sqlite3.Error, OverflowError, UnicodeError) as exc:
            raise self._spoiling(exc) from exc

    def _fetch(self, sql: str, parameters: Parameters) -> list[Row]:
        self._refuse_if_spoilt()
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeError) as exc:
            if "decode to UTF-8" not in str(exc):
                raise self._spoiling(exc) from exc
        # Somebody damaged a text. One such row must not hide the others, so it is read anyway and its parser refuses
        # it. sqlite3's own error would quote the text.
        self._connection.text_factory = _lenient_text
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as exc:
            raise self._spoiling(exc) from None
        finally:
            self._connection.text_factory = str

    def _spoiling(self, error: Exception) -> StorageError:
        """What to raise for a failed statement. SQLite may have rolled back the transaction, so no statement may
        follow."""
        self._spoilt = self._depth > 0
        if isinstance(error, sqlite3.Error):
            return self._translated(error)
        # An integer beyond 64 bits or a lone surrogate: no row can hold it.
        return StorageError()

    def _translated(self, error: sqlite3.Error) -> StorageError:
        return translated(error, space_is_short=self._reserve.space_is_short)


class _Transaction:
    """The block. A class, not a generator: it is entered at each use of a secret, and this is 2 us cheaper."""

    __slots__ = ("_database", "_durable", "_erasing", "_escaping")

    def __init__(self, database: Database, *, durable: bool, escaping: bool, erasing: bool = False) -> None:
        self._database = database
        self._durable = durable
        self._escaping = escaping
        self._erasing = erasing

    def __enter__(self) -> None:
        self._database._begin(durable=self._durable, escaping=self._escaping, erasing=self._erasing)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._database._end(failed=kind is not None)
        finally:
            if self._erasing:
                self._database._erased()


def sync_file(path: Path) -> None:
    """Syncs it to the disk. Safe for the -wal of an open database: SQLite has no locks on it that closing it here
    would drop.

    Raises: OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lenient_text(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
