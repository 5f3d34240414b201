"""Translates sqlite3's exceptions into the package's own errors. No SQL here, and no decisions."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable

from ..errors import StorageBusy, StorageError, StorageFull

# Primary result codes, https://www.sqlite.org/rescode.html; the sqlite3 module only names them since Python 3.11.
_BUSY, _LOCKED, _READONLY, _IOERR, _FULL, _CANTOPEN = 5, 6, 8, 10, 13, 14
_CORRUPT, _NOTADB = 11, 26

# Python 3.10 has no `sqlite_errorcode`; these are the texts of sqlite3_errstr().
_CODE_OF_TEXT = {
    "database is locked": _BUSY,
    "database table is locked": _LOCKED,
    "attempt to write a readonly database": _READONLY,
    "disk I/O error": _IOERR,
    "database or disk is full": _FULL,
    "unable to open database file": _CANTOPEN,
    "database disk image is malformed": _CORRUPT,
    "file is not a database": _NOTADB,
}

# EFBIG: a limit on file sizes, which has the same effect as a full disk.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def result_code(error: sqlite3.Error) -> int | None:
    """The primary result code; `None` if the error is sqlite3's own and not SQLite's."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return _CODE_OF_TEXT.get(str(error)) if code is None else code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    return result_code(error) in (_BUSY, _LOCKED)


def is_forbidden(error: sqlite3.Error) -> bool:
    """Whether the files may not be written: missing permission, or a read-only volume."""
    return result_code(error) in (_READONLY, _CANTOPEN)


def translated(error: sqlite3.Error, *, space_is_short: Callable[[], bool]) -> StorageError:
    """The error to raise instead.

    SQLite reports FULL only for ENOSPC; an exceeded quota, or a -shm that can't grow, is an I/O error. So for an I/O
    error `space_is_short` is called.
    """
    code = result_code(error)
    if code == _FULL or (code == _IOERR and space_is_short()):
        return StorageFull()
    if code in (_BUSY, _LOCKED):
        return StorageBusy()
    if code in (_CORRUPT, _NOTADB):
        return StorageError(_DAMAGED)
    return StorageError()


_DAMAGED = (
    "The connvault database is damaged, or is not one. Restore connvault.db from its newest backup: your own, or a "
    "copy beside it (connvault.db.backup-... or connvault.db.before-...)."
)


def translated_os(error: OSError) -> StorageError:
    """The same for errors of the operating system about our files."""
    return StorageFull() if error.errno in NO_SPACE else StorageError()
