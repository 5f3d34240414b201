"""Several real processes on one connections.json: nothing is lost, and nothing stale is used."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from connvault_jupyter.storage.conformance.samples import connection, grant, secret
from connvault_jupyter.storage.stores import open_stores
from tests.support.services.storage import child, line, tell

PROCESSES, ROUNDS = 3, 15

HAMMER = """
database, stores = open_stores(data_dir=data_dir, connection_store="json")
say("ready")
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    while True:
        try:
            with stores.transactions.transaction(durable=number % 2 == 0):
                found = stores.connections.get("c1").connection
                changed = connection(revision=found.revision + 1, fields={"count": found.fields["count"] + 1})
                stores.connections.update(changed, expected_revision=found.revision)
                own = f"c-{sys.argv[2]}-{number}"
                stores.connections.add(connection(own))
                stores.secrets.put(secret(own, ref=own))
                append(stores)
            break
        except StorageBusy:
            pass
    assert stores.connections.get(own) is not None
database.close()
say("done")
"""

LOOKING = """
database, stores = open_stores(data_dir=data_dir, connection_store="json")
for _ in sys.stdin:
    say([stores.connections.get("c1").connection.revision, stores.grants.get("g1") is not None])
"""

READING = """
database, stores = open_stores(data_dir=data_dir, connection_store="json")
say("ready")
for _ in range(int(sys.argv[2])):
    # The row of the record is committed with the connection, and read first.
    rows, _ = stores.audit.head()
    revision = stores.connections.get("c1").connection.revision
    assert revision > rows, (revision, rows)
say("done")
"""

WRITING = """
database, stores = open_stores(data_dir=data_dir, connection_store="json")
say("ready")
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    with stores.transactions.transaction(durable=False):
        append(stores)
        stores.connections.update(connection(revision=number + 2), expected_revision=number + 1)
say("done")
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "connvault"


def test_when_several_processes_hammer_nothing_is_lost(data_dir: Path) -> None:
    """Each of them changes the same connection, adds its own, and writes to the same record."""
    database, stores = open_stores(data_dir=data_dir, connection_store="json")
    stores.connections.add(connection(fields={"count": 0}))
    with closing(database), ExitStack() as stack:
        hammers = [
            stack.enter_context(child(HAMMER, data_dir, str(number), str(ROUNDS)))
            for number in range(PROCESSES)
        ]
        assert [line(hammer) for hammer in hammers] == ['"ready"'] * PROCESSES
        for hammer in hammers:
            tell(hammer, "go")
        assert [line(hammer) for hammer in hammers] == ['"done"'] * PROCESSES
        total = PROCESSES * ROUNDS
        found = stores.connections.get("c1")
        assert found is not None
        assert (found.connection.revision, found.connection.fields["count"]) == (1 + total, total)
        own = {f"c-{process}-{number}" for process in range(PROCESSES) for number in range(ROUNDS)}
        assert {one.connection.id for one in stores.connections.all()} == own | {"c1"}
        assert {one.ref for one in stores.secrets.all()} == own
        assert stores.audit.head()[0] == total


def test_a_change_in_one_process_is_seen_by_another_at_its_next_look(data_dir: Path) -> None:
    """Of the file and of the database alike."""
    database, stores = open_stores(data_dir=data_dir, connection_store="json")
    stores.connections.add(connection())
    stores.grants.add(grant(), b"mac")
    with closing(database), child(LOOKING, data_dir) as other:
        tell(other, "look")
        assert json.loads(line(other)) == [1, True]
        with stores.transactions.escape():
            stores.connections.update(connection(revision=2), expected_revision=1)
            stores.grants.remove("g1")
        tell(other, "look")
        assert json.loads(line(other)) == [2, False]


def test_a_reader_never_sees_the_file_older_than_the_database(data_dir: Path) -> None:
    """In the moment between the commit and the rename it waits."""
    database, stores = open_stores(data_dir=data_dir, connection_store="json")
    stores.connections.add(connection())
    database.close()
    with child(WRITING, data_dir, "150") as writer, child(READING, data_dir, "4000") as reader:
        assert (line(writer), line(reader)) == ('"ready"', '"ready"')
        tell(writer, "go")
        assert line(reader) == '"done"'
        assert line(writer) == '"done"'


def test_two_that_begin_at_once_have_one_store(data_dir: Path) -> None:
    """The second finds the first one's file."""
    script = """
sys.stdin.readline()
database, stores = open_stores(data_dir=data_dir, connection_store="json")
stores.connections.add(connection(sys.argv[2]))
say("done")
"""
    with ExitStack() as stack:
        both = [stack.enter_context(child(script, data_dir, name)) for name in ("c1", "c2")]
        for one in both:
            tell(one, "go")
        assert [line(one) for one in both] == ['"done"'] * 2
    database, stores = open_stores(data_dir=data_dir, connection_store="json")
    with closing(database):
        assert [one.connection.id for one in stores.connections.all()] == ["c1", "c2"]
        stores.secrets.put(secret("c2"))
