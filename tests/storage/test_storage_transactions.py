"""When commits reach the disk, and what becomes of statements that fail."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connvault_jupyter.errors import StorageBusy, StorageError
from connvault_jupyter.storage.conformance.samples import NOON, connection, later, refusing
from connvault_jupyter.storage.connections import SqliteConnectionStore
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.opening import open_database

FULL, NORMAL = 2, 1


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "connvault"


@pytest.fixture
def database(data_dir: Path) -> Iterator[Database]:
    opened = open_database(data_dir=data_dir, busy_timeout_s=0.2)
    yield opened
    opened.close()


@pytest.fixture
def connections(database: Database) -> SqliteConnectionStore:
    return SqliteConnectionStore(database=database)


def level(database: Database) -> int:
    row = database.one("PRAGMA synchronous")
    assert row is not None
    return int(row[0])


def test_durable_and_other_transactions_each_have_their_level(database: Database) -> None:
    """FULL syncs at the commit, NORMAL does not; the setting must really change each time."""
    seen = []
    for durable in (True, False, True, False, False, True):
        with database.transaction(durable=durable):
            seen.append(level(database))
    assert seen == [FULL, NORMAL, FULL, NORMAL, NORMAL, FULL]


def test_what_a_block_erases_is_overwritten_and_its_wal_is_empty(
    database: Database, connections: SqliteConnectionStore, data_dir: Path
) -> None:
    """For this block alone, also when it fails: zeroing free pages is too much for each use of a secret."""
    connections.add(connection(display_name="before"))
    with database.erasing():
        assert database.one("PRAGMA secure_delete") == (1,)
        connections.update(connection(revision=2), expected_revision=1)
    assert database.one("PRAGMA secure_delete") == (2,)
    assert (data_dir / "connvault.db-wal").stat().st_size == 0
    assert b'"before"' not in (data_dir / "connvault.db").read_bytes()
    with pytest.raises(RuntimeError), database.erasing():
        raise RuntimeError
    assert database.one("PRAGMA secure_delete") == (2,)


def test_a_transaction_that_is_not_durable_is_unsynced_until_the_flush(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """Whoever owns the database sees that there is something to sync."""
    with database.transaction(durable=False):
        connections.add(connection())
    before = database.unsynced
    database.flush()
    assert (before, database.unsynced) == (True, False)


def test_when_a_store_is_alone_its_change_is_durable(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """One statement or several."""
    connections.add(connection())
    connections.touch("c1", NOON)
    assert not database.unsynced


def test_of_blocks_inside_each_other_the_outermost_says_whether_it_is_durable(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """A use of a secret must not wait for the disk because a row inside was written by a careful method."""
    with database.transaction(durable=False), database.transaction(durable=True):
        connections.add(connection("c1"))
    assert database.unsynced
    database.flush()
    with database.transaction(durable=True), database.transaction(durable=False):
        connections.add(connection("c2"))
    assert not database.unsynced


def test_a_flush_from_another_thread_needs_no_lock(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """The owner's timer syncs while a block is open, and what is committed afterwards is due again."""
    with database.transaction(durable=False):
        connections.add(connection())
    with database.transaction(durable=False):
        connections.touch("c1", NOON)
        timer = threading.Thread(target=database.flush)
        timer.start()
        timer.join()
        assert not database.unsynced
    assert database.unsynced


def test_a_flush_that_fails_stays_due(
    database: Database, connections: SqliteConnectionStore, data_dir: Path
) -> None:
    """What could not be synced must not count as synced."""
    with database.transaction(durable=False):
        connections.add(connection())
    wal = data_dir / "connvault.db-wal"
    hidden = wal.rename(wal.with_name("hidden"))
    with pytest.raises(StorageError):
        database.flush()
    assert database.unsynced
    hidden.rename(wal)
    database.flush()
    assert not database.unsynced


def test_after_a_flush_the_wal_begins_anew(
    database: Database, connections: SqliteConnectionStore, data_dir: Path
) -> None:
    """A commit never has to empty it, and a server that runs for months has no large one."""
    connections.add(connection())
    wal = data_dir / "connvault.db-wal"
    sizes = []
    for _ in range(20):
        for _ in range(50):
            with database.transaction(durable=False):
                connections.touch("c1", NOON)
        database.flush()
        sizes.append(wal.stat().st_size)
    assert sizes[-1] == sizes[1]


def test_while_a_block_is_open_a_flush_waits_for_nobody(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """Nor does it take anything from the block."""
    with database.transaction(durable=False):
        connections.add(connection())
        database.flush()
        connections.touch("c1", NOON)
    assert connections.last_used() == {"c1": NOON}


def test_on_a_network_file_system_every_commit_is_synced(data_dir: Path) -> None:
    """The rollback journal can't group syncs."""
    database = open_database(data_dir=data_dir, network_file_system=lambda _: True)
    with database.transaction(durable=False):
        assert level(database) == FULL
        SqliteConnectionStore(database=database).add(connection())
    assert not database.unsynced
    database.close()


def test_when_a_failed_statement_was_ignored_nothing_is_stored(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """SQLite may have rolled back by then; the rest of the block would be stored without its beginning."""
    with refusing(StorageError), database.transaction():
        connections.add(connection("c1"))
        for _ in range(2):
            with refusing(StorageError):
                database.change("INSERT INTO handles VALUES (NULL)")
        with refusing(StorageError):
            connections.add(connection("c2"))
    assert connections.all() == []
    connections.add(connection("c2"))
    assert len(connections.all()) == 1


def test_a_write_lock_that_another_holds_is_busy_and_then_works(
    database: Database, connections: SqliteConnectionStore, data_dir: Path
) -> None:
    """A bounded wait, a typed error, nothing left behind; reading goes on meanwhile."""
    connections.add(connection())
    with closing(sqlite3.connect(data_dir / "connvault.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy), database.transaction():
            pytest.fail("the lock is taken")
        assert connections.get("c1") is not None
        other.execute("ROLLBACK")
    connections.touch("c1", later(1))
    assert connections.last_used() == {"c1": later(1)}


def test_while_another_holds_the_lock_only_the_first_waits_its_whole_time(
    database: Database, connections: SqliteConnectionStore, data_dir: Path
) -> None:
    """Whoever waits has the lock of all threads of the broker. What has worked again is worth the whole wait again."""

    def timeout_ms() -> int:
        row = database.one("PRAGMA busy_timeout")
        assert row is not None
        return int(row[0])

    whole = timeout_ms()
    with closing(sqlite3.connect(data_dir / "connvault.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for expected in (whole, 50, 50):
            with pytest.raises(StorageBusy), database.transaction():
                pytest.fail("the lock is taken")
            assert timeout_ms() == expected
        other.execute("ROLLBACK")
    connections.add(connection())
    connections.touch("c1", later(1))
    assert timeout_ms() == whole


def test_without_a_wal_the_wait_stays_as_it_is(tmp_path: Path) -> None:
    """There a commit waits for readers, too."""
    opened = open_database(data_dir=tmp_path / "d", busy_timeout_s=0.2, network_file_system=lambda _: True)
    with (
        closing(opened),
        closing(sqlite3.connect(tmp_path / "d" / "connvault.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StorageBusy), opened.transaction():
                pytest.fail("the lock is taken")
        assert opened.one("PRAGMA busy_timeout") == (200,)


def test_the_version_changes_with_the_commits_of_others(
    database: Database, connections: SqliteConnectionStore, data_dir: Path
) -> None:
    """Whatever they did."""
    connections.add(connection())
    before = database.version()
    assert database.version() == before
    other = open_database(data_dir=data_dir)
    SqliteConnectionStore(database=other).touch("c1", NOON)
    assert database.version() != before
    other.close()


def test_the_version_changes_when_a_change_is_undone(
    database: Database, connections: SqliteConnectionStore
) -> None:
    """What was read in between was never true."""
    with refusing(ZeroDivisionError), database.transaction():
        connections.add(connection())
        in_between = database.version()
        _ = 1 // 0
    assert database.version() != in_between


@pytest.mark.parametrize("value", [2**70, "\ud800"], ids=["large integer", "half a character"])
def test_a_value_that_no_row_can_hold_is_a_storage_error(database: Database, value: object) -> None:
    """No exception of another kind leaves the folder."""
    with pytest.raises(StorageError):
        database.one("SELECT 1 FROM connections WHERE id = ?", (value,))


def test_after_close_every_use_is_a_storage_error(data_dir: Path) -> None:
    """Closing twice is none."""
    database = open_database(data_dir=data_dir)
    database.close()
    with pytest.raises(StorageError):
        database.one("SELECT 1")
    with pytest.raises(StorageError), database.transaction():
        pytest.fail("it is closed")
    database.close()
