"""The numbered migrations and how a database gets from its version to the newest one. No statement of any store."""

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
    """One step forward. Once released it is never edited: another step follows."""

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
"""Type, name and text of everything in a schema that acts by itself."""


def acting(connection: sqlite3.Connection) -> Acting:
    """The triggers and views of a database. Raises: sqlite3.Error: translated by the caller."""
    return frozenset(
        (str(kind), str(name), str(sql))
        for kind, name, sql in connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"
        )
    )


def acting_of(migrations: Sequence[Migration]) -> Acting:
    """What `acting` finds in a database that nobody else has changed."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(fresh, migrations=migrations, back_up=lambda _: None)
        return acting(fresh)
    finally:
        fresh.close()


def migrate(
    connection: sqlite3.Connection, *, migrations: Sequence[Migration], back_up: Callable[[int], None]
) -> None:
    """Applies what is missing, each step in one transaction together with its `PRAGMA user_version`; all of them in one
    on a new database.

    Several processes may do this at once: who comes second finds it done. Before a step on a database that is in use
    already, `back_up` is called with the schema version that is left behind, under the write lock. Foreign keys are
    off meanwhile (https://www.sqlite.org/lang_altertable.html 7) and checked before each commit.

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
            # Another process may have been quicker while this one waited for the lock.
            version = _version(connection)
            following = [step for step in migrations if step.number > version]
            if following and version:
                back_up(version)
            # A new one is made in one go: there is nothing to save, and nobody ever opens it half made.
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
    """One after the other: `executescript` would commit the transaction first, and `execute` takes no two."""
    statement = ""
    # A semicolon may also be in a string, a comment or a trigger: SQLite tells whether it ends a statement.
    for piece in _TO_SEMICOLON.findall(sql):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
