"""What sqlite3 says, in the package's words: by result code, and by text where Python 3.10 gives no code."""

from __future__ import annotations

import sqlite3

import pytest

from connvault_jupyter.errors import StorageBusy, StorageError, StorageFull
from connvault_jupyter.storage.sqlite_errors import translated

FULL, BUSY, LOCKED, IOERR, IOERR_SHMSIZE, BUSY_RECOVERY, CORRUPT = 13, 5, 6, 10, 10 | 19 << 8, 5 | 1 << 8, 11


@pytest.mark.parametrize(
    ("code", "text", "short", "expected"),
    [
        (FULL, "", False, StorageFull),
        (BUSY, "", False, StorageBusy),
        (LOCKED, "", False, StorageBusy),
        (BUSY_RECOVERY, "", True, StorageBusy),
        (IOERR, "", False, StorageError),
        (IOERR, "", True, StorageFull),
        (IOERR_SHMSIZE, "", True, StorageFull),
        (CORRUPT, "", True, StorageError),
        (None, "database or disk is full", False, StorageFull),
        (None, "database is locked", False, StorageBusy),
        (None, "database table is locked", False, StorageBusy),
        (None, "disk I/O error", True, StorageFull),
        (None, "disk I/O error", False, StorageError),
        (None, "no such table: lake", True, StorageError),
    ],
)
def test_each_answer_has_its_error(
    code: int | None, text: str, short: bool, expected: type[StorageError]
) -> None:
    """And no text of SQLite goes further."""
    error = sqlite3.OperationalError(text)
    if code is not None:
        error.sqlite_errorcode = code
    found = translated(error, space_is_short=lambda: short)
    assert type(found) is expected
    assert not text or text not in str(found)
