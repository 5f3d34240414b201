"""Moves what is in the WAL into the database file, beside the commits instead of in one of them. No table by name here.

SQLite's own way is that the commit which fills the WAL pays: 3 to 4 ms, each hundredth use of a secret or so.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading

# Pages of 4 KiB. A writer that never pauses leaves a checkpoint beside it no moment in which the WAL is empty and can
# begin anew; then some commit pays after all, instead of a file that grows for good. SQLite's own bound is 1,000.
LONGEST_WAL_PAGES = 4000


class Checkpoints:
    """A connection of its own: a checkpoint on the writer's would hold the writer up. Safe from several threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._closed = False

    def run(self, *, emptying: bool = False) -> None:
        """As far as it goes without waiting for anybody (https://www.sqlite.org/wal.html 3.1). Never raises.

        `emptying`: waits for others as long as a statement does, and leaves a WAL of no bytes.
        """
        with self._lock:
            if not self._closed:
                # Nothing is lost with it: what is in the WAL is committed. A full disk shows at the commits.
                with contextlib.suppress(sqlite3.Error):
                    mode = "TRUNCATE" if emptying else "PASSIVE"
                    self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
