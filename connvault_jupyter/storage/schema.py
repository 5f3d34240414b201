"""The numbered migrations, and how a database is brought to the newest version. No statements of stores here."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from ..errors import SchemaTooNew, StorageError

_TO_SEMICOLON = re.compile(r"[^;]*;|[^;]+")


@dataclass(frozen=True)
class Migration:
    """One step forward. Once released it is never edited; changes need another step."""

    number: int
    sql: str


def shipped_migrations() -> tuple[Migration, ...]:
    """`migrations/NNNN_*.sql`, in order."""
    folder = resources.files(__package__) / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return tuple(Migration(int(file.name[:4]), file.read_text(encoding="utf-8")) for file in files)


Acting = frozenset[tuple[str, str, str]]
"""Type, name and text of all triggers and views of a schema."""


def acting(connection: sqlite3.Connection) -> Acting:
    """The triggers and views of a database. Raises: sqlite3.Error: translated by the caller."""
    return frozenset(
        (str(kind), str(name), str(sql))
        for kind, name, sql in connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"
        )
    )


def acting_of(migrations: Sequence[Migration]) -> Acting:
    """The result of `acting` for a database that nobody else has changed."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(fresh, migrations=migrations, back_up=lambda _: None)
        return acting(fresh)
    finally:
        fresh.close()


def migrate(
    connection: sqlite3.Connection, *, migrations: Sequence[Migration], back_up: Callable[[int], object]
) -> None:
    """Applies the missing steps, each in one transaction together with its `PRAGMA user_version`; on a new database
    all of them in one.

    Several processes may do this at once: the second one finds it done. Before a step on an existing database,
    `back_up` is called with the old schema version, under the write lock. Foreign keys are off during the steps
    (https://www.sqlite.org/lang_altertable.html 7) and checked before each commit.

    Raises:
        SchemaTooNew: a newer version of the package wrote this database; nothing is touched.
        sqlite3.Error: translated by the caller.
    """
    newest = migrations[-1].number
    connection.execute("PRAGMA foreign_keys = OFF")
    while (version := _version(connection)) != newest:
        if version > newest:
            raise SchemaTooNew(found=version, newest=newest)
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated it while this one waited for the lock.
            version = _version(connection)
            following = [step for step in migrations if step.number > version]
            if following and version:
                back_up(version)
            # A new database is created in one transaction: there is nothing to back up, and nobody can open it half
            # created.
            for step in following[:1] if version else following:
                _apply(connection, step)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    connection.execute("PRAGMA foreign_keys = ON")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in _statements(migration.sql):
        connection.execute(statement)
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise StorageError(
            "The connvault database has rows that belong to no connection. Restore its newest backup."
        )
    connection.execute(f"PRAGMA user_version = {migration.number:d}")


def _statements(sql: str) -> Iterator[str]:
    """Splits them: `executescript` would commit the transaction first, and `execute` takes only one."""
    statement = ""
    # A semicolon may also be part of a string, a comment or a trigger: SQLite knows whether it ends a statement.
    for piece in _TO_SEMICOLON.findall(sql):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
