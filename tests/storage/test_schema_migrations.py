"""How a database gets to the newest schema, alone and in company."""

from __future__ import annotations

import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from connvault_jupyter.errors import SchemaTooNew, StorageError
from connvault_jupyter.storage.conformance.samples import append, connection, stored
from connvault_jupyter.storage.opening import open_database
from connvault_jupyter.storage.rows import canonical
from connvault_jupyter.storage.schema import Migration, shipped_migrations
from connvault_jupyter.storage.stores import open_stores, stores_of
from tests.support.services.storage import ask, child, edit, line, tell

SHIPPED = shipped_migrations()
NEWEST = SHIPPED[-1].number

# What a later version might bring: a column, and a trigger with a semicolon inside.
LATER = Migration(
    NEWEST + 1,
    """
    ALTER TABLE connections ADD COLUMN note TEXT; -- a comment; with a semicolon
    CREATE TRIGGER noted AFTER INSERT ON connections
    BEGIN
        UPDATE connections SET note = 'a;b' WHERE id = NEW.id;
    END;
    """,
)
BROKEN = Migration(NEWEST + 1, "CREATE TABLE half (x); INSERT INTO missing VALUES (1);")
ORPHANING = Migration(NEWEST + 1, "INSERT INTO secrets VALUES ('gone', 'f', 'r', x'00', 0);")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "connvault"


def version(data_dir: Path) -> object:
    return ask(data_dir / "connvault.db", "PRAGMA user_version")[0][0]


def backups(data_dir: Path) -> list[str]:
    return sorted(file.name for file in data_dir.iterdir() if "backup" in file.name)


def test_the_shipped_migrations_are_numbered_without_gaps() -> None:
    """A gap would be a step that some databases never took."""
    assert [step.number for step in SHIPPED] == list(range(1, NEWEST + 1))


def test_a_new_database_is_made_without_a_backup(data_dir: Path) -> None:
    """There is nothing to save yet."""
    open_database(data_dir=data_dir).close()
    assert version(data_dir) == NEWEST
    assert backups(data_dir) == []


def test_opening_a_current_database_changes_nothing(data_dir: Path) -> None:
    """Opening it again changes neither version nor content."""
    database, stores = open_stores(data_dir=data_dir)
    stores.connections.add(connection())
    database.close()
    database, stores = open_stores(data_dir=data_dir)
    assert stores.connections.get("c1") == stored()
    database.close()
    assert backups(data_dir) == []


@pytest.mark.parametrize("start", range(1, NEWEST + 1))
def test_a_database_of_each_version_gets_to_the_newest_with_its_content(data_dir: Path, start: int) -> None:
    """A backup is left for each step, private, and holds what was there before."""
    old = open_database(data_dir=data_dir, migrations=SHIPPED[:start])
    old.close()
    document = canonical(connection())
    edit(
        data_dir,
        f"INSERT INTO connections (id, name, revision, document) VALUES ('c1', '{connection().name}', 1, '{document}')",
    )
    database = open_database(data_dir=data_dir, migrations=[*SHIPPED, LATER])
    assert stores_of(database).connections.get("c1") == stored()
    stores_of(database).connections.add(connection("c2"))
    database.close()
    assert version(data_dir) == LATER.number
    assert backups(data_dir) == [f"connvault.db.backup-{step:04d}" for step in range(start, LATER.number)]
    for step, name in zip(range(start, LATER.number), backups(data_dir), strict=True):
        copy = data_dir / name
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert ask(copy, "PRAGMA user_version") == [(step,)]
        assert ask(copy, "SELECT id FROM connections") == [("c1",)]
        assert ask(copy, "PRAGMA integrity_check") == [("ok",)]


def test_on_the_rollback_journal_a_backup_is_made_too(data_dir: Path) -> None:
    """There a writer and the copying reader share the file differently."""
    open_database(data_dir=data_dir, network_file_system=lambda _: True).close()
    open_database(data_dir=data_dir, network_file_system=lambda _: True, migrations=[*SHIPPED, LATER]).close()
    assert len(backups(data_dir)) == 1


def test_a_database_of_a_newer_version_is_refused_and_left_alone(data_dir: Path) -> None:
    """An older package must not guess what a newer one meant."""
    open_database(data_dir=data_dir, migrations=[*SHIPPED, LATER]).close()
    with pytest.raises(SchemaTooNew):
        open_database(data_dir=data_dir)
    assert version(data_dir) == LATER.number


def test_a_step_may_have_several_statements_on_a_line(data_dir: Path) -> None:
    """Where one ends is told by SQLite, not by the line; what is done with two at once differs between Pythons."""
    step = Migration(NEWEST + 1, "CREATE TABLE half (x); INSERT INTO half VALUES (';'); DELETE FROM half;")
    open_database(data_dir=data_dir, migrations=[*SHIPPED, step]).close()
    assert version(data_dir) == step.number
    assert ask(data_dir / "connvault.db", "SELECT count(*) FROM half") == [(0,)]


@pytest.mark.parametrize("step", [BROKEN, ORPHANING], ids=["broken", "orphaning"])
def test_of_a_migration_step_that_fails_nothing_is_there(data_dir: Path, step: Migration) -> None:
    """The database stays at its version and opens with it."""
    open_database(data_dir=data_dir).close()
    with pytest.raises(StorageError):
        open_database(data_dir=data_dir, migrations=[*SHIPPED, step])
    assert version(data_dir) == NEWEST
    assert ask(data_dir / "connvault.db", "SELECT count(*) FROM sqlite_master WHERE name = 'half'") == [(0,)]
    open_database(data_dir=data_dir).close()


def test_after_opening_foreign_keys_are_watched(data_dir: Path) -> None:
    """They are off while the schema changes."""
    database = open_database(data_dir=data_dir)
    assert database.one("PRAGMA foreign_keys") == (1,)
    database.close()


def test_the_record_can_not_be_changed_by_mistake(data_dir: Path) -> None:
    """Neither edited, nor shortened at its end."""
    database, stores = open_stores(data_dir=data_dir)
    append(stores)
    for statement in ("UPDATE audit SET type = 'x'", "DELETE FROM audit"):
        with pytest.raises(StorageError):
            database.change(statement)
    assert len(stores.audit.chain(0, 10)) == 1
    database.close()


def test_several_processes_make_the_database_at_once(data_dir: Path) -> None:
    """Two Jupyter servers start together on a new machine."""
    script = """
say("here")
sys.stdin.readline()
database, stores = open_stores(data_dir=data_dir)
stores.connections.add(connection(sys.argv[2]))
database.close()
say("done")
"""
    names = ["a", "b", "c"]
    with ExitStack() as stack:
        racers = [stack.enter_context(child(script, data_dir, name)) for name in names]
        assert [line(racer) for racer in racers] == ['"here"'] * len(names)
        for racer in racers:
            tell(racer, "go")
        assert [line(racer) for racer in racers] == ['"done"'] * len(names)
    assert ask(data_dir / "connvault.db", "SELECT id FROM connections ORDER BY id") == [
        ("a",),
        ("b",),
        ("c",),
    ]


def test_when_several_processes_migrate_at_once_each_step_is_taken_once(data_dir: Path) -> None:
    """Who waited for the lock finds it done, and makes no second backup of the new state."""
    open_database(data_dir=data_dir).close()
    edit(data_dir, "INSERT INTO connections (id, name, revision, document) VALUES ('c', 'c', 1, '{}')")
    script = """
from connvault_jupyter.storage.opening import open_database
from connvault_jupyter.storage.schema import Migration, shipped_migrations
shipped = shipped_migrations()
step = Migration(shipped[-1].number + 1, "ALTER TABLE connections ADD COLUMN note TEXT;")
say("here")
sys.stdin.readline()
open_database(data_dir=data_dir, migrations=[*shipped, step]).close()
say("done")
"""
    with ExitStack() as stack:
        racers = [stack.enter_context(child(script, data_dir)) for _ in range(3)]
        assert [line(racer) for racer in racers] == ['"here"'] * 3
        for racer in racers:
            tell(racer, "go")
        assert [line(racer) for racer in racers] == ['"done"'] * 3
    assert version(data_dir) == NEWEST + 1
    assert backups(data_dir) == [f"connvault.db.backup-{NEWEST:04d}"]
    assert ask(data_dir / backups(data_dir)[0], "PRAGMA user_version") == [(NEWEST,)]
