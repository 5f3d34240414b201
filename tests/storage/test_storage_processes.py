"""Several real processes on one database, and one that is killed."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from connvault_jupyter.storage.conformance.samples import connection, grant, handle
from connvault_jupyter.storage.stores import open_stores
from tests.support.services.storage import ask, child, line, tell

PROCESSES, ROUNDS = 3, 40

HAMMER = """
from connvault_jupyter.storage.opening import open_database
from connvault_jupyter.storage.stores import stores_of
# SQLite's waiting is not fair; on a slow disk one of three may wait long.
database = open_database(
    data_dir=data_dir, network_file_system=lambda _: sys.argv[2] == "network", busy_timeout_s=30
)
stores = stores_of(database)
say("ready")
sys.stdin.readline()
conflicts = 0
for _ in range(int(sys.argv[3])):
    while True:
        found = stores.connections.get("c1").connection
        changed = connection(revision=found.revision + 1, fields={"count": found.fields["count"] + 1})
        try:
            stores.connections.update(changed, expected_revision=found.revision)
            break
        except (RevisionConflict, StorageBusy):
            conflicts += 1
    append(stores)
    stores.grants.note_use("g1", NOON)
database.close()
say(conflicts)
"""

KILLED = """
database, stores = open_stores(data_dir=data_dir)
number = 0
while True:
    number += 1
    with stores.transactions.transaction(durable=number % 8 == 0):
        stores.connections.add(connection(f"c{number}"))
        stores.secrets.put(secret(f"c{number}", ref=f"r{number}"))
        append(stores, connection_id=f"c{number}")
        if number == int(sys.argv[2]):
            say("inside")
            sys.stdin.readline()
    say(number)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "connvault"


@pytest.mark.parametrize("journal", ["local", "network"])
def test_when_several_processes_hammer_no_update_is_lost(data_dir: Path, journal: str) -> None:
    """Each of them changes the same connection, counts the same grant, and writes to the same record."""
    rounds = ROUNDS if journal == "local" else ROUNDS // 4
    database, stores = open_stores(data_dir=data_dir, network_file_system=lambda _: journal == "network")
    stores.connections.add(connection(fields={"count": 0}))
    stores.grants.add(grant(), b"mac")
    with ExitStack() as stack:
        hammers = [
            stack.enter_context(child(HAMMER, data_dir, journal, str(rounds))) for _ in range(PROCESSES)
        ]
        assert [line(hammer) for hammer in hammers] == ['"ready"'] * PROCESSES
        for hammer in hammers:
            tell(hammer, "go")
        for hammer in hammers:
            assert json.loads(line(hammer)) >= 0
    total = PROCESSES * rounds
    found, counted = stores.connections.get("c1"), stores.grants.get("g1")
    assert found is not None
    assert counted is not None
    assert (found.connection.revision, found.connection.fields["count"], counted.uses) == (
        1 + total,
        total,
        total,
    )
    chain = stores.audit.chain(0, total + 1)
    assert [row.event.sequence for row in chain] == list(range(1, total + 1))
    assert [row.previous for row in chain] == [bytes(32), *(row.digest for row in chain[:-1])]
    database.close()


def test_a_revoke_in_one_process_is_seen_by_another_at_its_next_look(data_dir: Path) -> None:
    """No cache stands in between."""
    script = """
database, stores = open_stores(data_dir=data_dir)
ref_hash = handle().ref_hash
for _ in sys.stdin:
    say([stores.grants.get("g1") is not None, stores.handles.get(ref_hash) is not None])
database.close()
"""
    database, stores = open_stores(data_dir=data_dir)
    stores.connections.add(connection())
    stores.grants.add(grant(), b"mac")
    stores.handles.add(handle())
    with child(script, data_dir) as other:
        tell(other, "look")
        assert json.loads(line(other)) == [True, True]
        with stores.transactions.escape():
            stores.grants.remove("g1")
        tell(other, "look")
        assert json.loads(line(other)) == [False, False]
    database.close()


@pytest.mark.parametrize("at", [1, 7, 64])
def test_of_a_transaction_that_was_killed_nothing_is_there(data_dir: Path, at: int) -> None:
    """Everything that was committed before is, durable or not, and the file is whole."""
    with child(KILLED, data_dir, str(at)) as victim:
        said = [line(victim) for _ in range(at)]
        assert said[-1] == '"inside"'
        victim.kill()
        victim.wait()
    assert_whole(data_dir, at_least=at - 1, at_most=at - 1)


@pytest.mark.parametrize("after", [1, 20, 50])
def test_when_killed_at_any_moment_no_half_is_there(data_dir: Path, after: int) -> None:
    """What the process said was stored is stored; each connection has its secret and its row."""
    with child(KILLED, data_dir, "0") as victim:
        for _ in range(after):
            line(victim)
        victim.kill()
        victim.wait()
    assert_whole(data_dir, at_least=after)


def assert_whole(data_dir: Path, *, at_least: int, at_most: int | None = None) -> None:
    database, stores = open_stores(data_dir=data_dir)
    names = {found.connection.id for found in stores.connections.all()}
    assert len(names) >= at_least
    assert at_most is None or len(names) <= at_most
    assert {found.connection_id for found in stores.secrets.all()} == names
    assert {row.event.connection_id for row in stores.audit.chain(0, 100_000)} == names
    database.close()
    assert ask(data_dir / "connvault.db", "PRAGMA integrity_check") == [("ok",)]
