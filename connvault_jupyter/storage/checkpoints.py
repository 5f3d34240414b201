"""Copies the WAL into the database file, alongside the commits instead of within one of them. It names no tables.

By default, SQLite lets the commit that fills the WAL pay for it: 3 to 4 ms at about every hundredth use of a secret.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading

# Pages of 4 KiB. With a writer that never pauses, the WAL is never empty and can't restart; from this size on a commit
# pays after all, so that the file does not grow for ever. SQLite's default is 1,000.
LONGEST_WAL_PAGES = 4000


class Checkpoints:
    """Uses its own connection, as a checkpoint on the writer's would block the writer. Thread-safe."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._closed = False

    def run(self, *, emptying: bool = False) -> None:
        """As far as possible without waiting for anybody (https://www.sqlite.org/wal.html 3.1). Never raises.

        `emptying`: waits for others as long as a statement does, and truncates the WAL to zero bytes.
        """
        with self._lock:
            if not self._closed:
                # No data is lost: the WAL's content is committed. Commits will report a full disk.
                with contextlib.suppress(sqlite3.Error):
                    mode = "TRUNCATE" if emptying else "PASSIVE"
                    self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
