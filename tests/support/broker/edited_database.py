"""The database of a running broker, as another process of the same user edits it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.broker.requester import Refused, RequesterProcess

# The checkpoint of a broker's own WAL is not disturbed by this; it waits for locks as any second server would.
BUSY_S = 5.0


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(
        sqlite3.connect(folder / "vault" / "connvault.db", isolation_level=None, timeout=BUSY_S)
    ) as opened:
        yield opened


def refused(process: RequesterProcess, code: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        process.run(code)
    return caught.value.kind, caught.value.details.get("reason", "").strip("'")


def put(opened: sqlite3.Connection, rows: str) -> None:
    """Replaces the record by these rows. Its triggers let rows go below a checkpoint; so there is one for a moment."""
    opened.execute("BEGIN IMMEDIATE")
    opened.execute("CREATE TEMP TABLE checkpoint_then AS SELECT * FROM audit_checkpoint")
    opened.execute("INSERT OR REPLACE INTO audit_checkpoint VALUES (1, 1 << 60, zeroblob(32), NULL, 0)")
    opened.execute("DELETE FROM audit")
    opened.execute("DELETE FROM audit_checkpoint")
    opened.execute("INSERT INTO audit_checkpoint SELECT * FROM checkpoint_then")
    opened.execute("DROP TABLE checkpoint_then")
    opened.execute(f"INSERT INTO audit SELECT * FROM {rows}")
    opened.execute("COMMIT")
