"""Connections move between the database and connections.json: nothing is lost, nothing is done by halves."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

from connvault_jupyter.contracts.audit import AuditFilter
from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.errors import ConnectionsFileInvalid, StorageError
from connvault_jupyter.storage import migration
from connvault_jupyter.storage.conformance.samples import (
    append,
    connection,
    grant,
    handle,
    later,
    outcome,
    record,
    secret,
)
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.migration import Migrated, migrate
from connvault_jupyter.storage.secrets import SqliteSecretStore
from connvault_jupyter.storage.stores import Stores, open_stores
from tests.support.services.kill_points import Killer, kill_points
from tests.support.services.storage import ask, edit

MANY = 1000
OTHER: dict[ConnectionStoreKind, ConnectionStoreKind] = {"sqlite": "json", "json": "sqlite"}


def filled(data_dir: Path, kind: ConnectionStoreKind, size: int) -> Path:
    """A vault with connections, secrets, permissions, handles, uses, tests and a record."""
    database, stores = open_stores(data_dir=data_dir, connection_store=kind)
    with closing(database), stores.transactions.transaction():
        stores.vault.create(record())
        for number in range(size):
            one = f"c{number}"
            mac = {0: None, 1: b""}.get(number % 3, bytes([number % 256]) * 32)
            # Names that are the hexadecimal writing of ids: anchors must not take them.
            name = f"c{one.encode().hex()}"
            stores.connections.add(connection(one, name=name, revision=number + 1), mac)
            if number % 4:
                stores.secrets.put(secret(one, ref=f"r{number}"))
            if number % 5 == 0:
                stores.secrets.put(secret(one, "token", ref=f"t{number}"))
                stores.grants.add(grant(f"g{number}", connection_id=one), b"mac")
                stores.handles.add(handle(one.encode(), connection_id=one, grant_id=f"g{number}"))
                stores.grants.note_use(f"g{number}", later(number))
                stores.connections.touch(one, later(number))
                stores.connections.save_test(one, outcome(elapsed_ms=number))
            append(stores, connection_id=one)
    return data_dir


def state(stores: Stores) -> list[object]:
    """All that a vault has."""
    return [
        stores.vault.load(),
        stores.connections.all(),
        stores.connections.last_used(),
        stores.connections.tests(),
        stores.secrets.all(),
        stores.grants.all(),
        [stores.handles.get(handle(f"c{number}".encode()).ref_hash) for number in range(0, MANY, 5)],
        stores.audit.page(AuditFilter(limit=200)),
        stores.audit.chain(0, 2 * MANY),
    ]


def state_of(data_dir: Path, kind: ConnectionStoreKind) -> list[object]:
    database, stores = open_stores(data_dir=data_dir, connection_store=kind)
    with closing(database):
        return state(stores)


def files(data_dir: Path) -> dict[str, bytes]:
    """But for those of the database, which change when it is opened."""
    return {
        one.name: one.read_bytes() for one in data_dir.iterdir() if not one.name.startswith("connvault.db")
    }


@pytest.mark.parametrize("start", get_args(ConnectionStoreKind))
def test_a_thousand_connections_there_and_back_are_equal(tmp_path: Path, start: ConnectionStoreKind) -> None:
    """With their secrets; permissions, handles, uses, tests and the record are as they were, on the way too."""
    data_dir = filled(tmp_path / "vault", start, MANY)
    before = state_of(data_dir, start)
    there = migrate(data_dir=data_dir, to=OTHER[start])
    assert state_of(data_dir, OTHER[start]) == before
    back = migrate(data_dir=data_dir, to=start)
    assert state_of(data_dir, start) == before
    for done in (there, back):
        assert (done.connections, done.secrets, done.already) == (MANY, 950, False)


@pytest.mark.parametrize("start", get_args(ConnectionStoreKind))
def test_copies_of_what_was_are_left(tmp_path: Path, start: ConnectionStoreKind) -> None:
    """Private, and a vault when they are put back."""
    data_dir = filled(tmp_path / "vault", start, 5)
    before = state_of(data_dir, start)
    done = migrate(data_dir=data_dir, to=OTHER[start])
    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    for copy in done.backups:
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        shutil.copy(copy, restored / copy.name.split(".before-")[0])
    assert len(done.backups) == {"sqlite": 1, "json": 2}[start]
    assert state_of(restored, start) == before


def test_copies_are_never_overwritten(tmp_path: Path) -> None:
    """The first may be the only one of its kind."""
    data_dir = filled(tmp_path / "vault", "sqlite", 2)
    copies = [copy for to in ("json", "sqlite") * 2 for copy in migrate(data_dir=data_dir, to=to).backups]
    assert len(set(copies)) == len(copies) == 6
    assert all(copy.exists() for copy in copies)


def test_secrets_are_in_one_place(tmp_path: Path) -> None:
    """The one that counts."""
    data_dir = filled(tmp_path / "vault", "sqlite", 4)
    migrate(data_dir=data_dir, to="json")
    assert ask(data_dir / "connvault.db", "SELECT * FROM secrets") == []
    assert json.loads((data_dir / "connections.json").read_bytes())["connections"]["c1"]["secrets"]
    migrate(data_dir=data_dir, to="sqlite")
    assert not (data_dir / "connections.json").exists()


@pytest.mark.parametrize("start", get_args(ConnectionStoreKind))
def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path, start: ConnectionStoreKind) -> None:
    """No copies either."""
    data_dir = filled(tmp_path / "vault", start, 8)
    before, left = state_of(data_dir, start), files(data_dir)
    names = {one.name for one in data_dir.glob("connvault.db.*")}
    dry = migrate(data_dir=data_dir, to=OTHER[start], dry_run=True)
    assert dry == Migrated(OTHER[start], 8, 8)
    assert state_of(data_dir, start) == before
    assert {name: left.get(name) for name in files(data_dir) if name != "connections.json.lock"} == {
        name: kept for name, kept in left.items() if name != "connections.json.lock"
    }
    assert {one.name for one in data_dir.glob("connvault.db.*")} == names


@pytest.mark.parametrize("start", get_args(ConnectionStoreKind))
def test_what_is_there_already_is_not_moved_again(tmp_path: Path, start: ConnectionStoreKind) -> None:
    """And no copies are made."""
    data_dir = filled(tmp_path / "vault", start, 3)
    assert migrate(data_dir=data_dir, to=start) == Migrated(start, 3, 0, already=True)


def test_without_a_vault_none_is_made(tmp_path: Path) -> None:
    """A typing error in the folder's name."""
    with pytest.raises(StorageError, match=f"There is no vault in {tmp_path / 'nothing'}"):
        migrate(data_dir=tmp_path / "nothing", to="json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE connections SET document = '{}' WHERE id = 'c1'",
        "UPDATE secrets SET envelope = 'text' WHERE connection_id = 'c1'",
    ],
)
def test_a_row_that_can_not_be_read_stops_it(tmp_path: Path, damage: str) -> None:
    """It would be lost. Everything stays where it was."""
    data_dir = filled(tmp_path / "vault", "sqlite", 3)
    edit(data_dir, damage)
    with pytest.raises(StorageError, match="1 rows of the database can't be read"):
        migrate(data_dir=data_dir, to="json")
    assert not (data_dir / "connections.json").exists()
    assert len(ask(data_dir / "connvault.db", "SELECT 1 FROM connections WHERE document <> ''")) == 3


def test_a_file_that_can_not_be_read_stops_it(tmp_path: Path) -> None:
    """By its name; it stays as it was."""
    data_dir = filled(tmp_path / "vault", "json", 3)
    path = data_dir / "connections.json"
    broken = path.read_bytes()[:-9]
    path.write_bytes(broken)
    with pytest.raises(ConnectionsFileInvalid, match=f"^{path} "):
        migrate(data_dir=data_dir, to="sqlite")
    assert path.read_bytes() == broken


def test_a_file_that_somebody_put_there_is_kept_as_a_copy(tmp_path: Path) -> None:
    """It was nobody's until now."""
    data_dir = filled(tmp_path / "vault", "sqlite", 3)
    foreign = Path(__file__).with_name("json_versions") / "1" / "connections.json"
    shutil.copy(foreign, data_dir / "connections.json")
    before = state_of(data_dir, "sqlite")
    done = migrate(data_dir=data_dir, to="json")
    assert state_of(data_dir, "json") == before
    assert done.backups[1].read_bytes() == foreign.read_bytes()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_file_that_is_none_in_its_place_stops_it_before_anything_is_copied(
    tmp_path: Path, dry_run: bool
) -> None:
    """Each further try would leave further copies, and a dry run would have promised that it works."""
    data_dir = filled(tmp_path / "vault", "sqlite", 3)
    path = data_dir / "connections.json"
    path.write_text("<<<<<<< HEAD\n")
    path.chmod(0o600)
    with pytest.raises(ConnectionsFileInvalid, match=f"^{path} "):
        migrate(data_dir=data_dir, to="json", dry_run=dry_run)
    assert not [*data_dir.glob("*before*")]
    assert path.read_text() == "<<<<<<< HEAD\n"


def test_a_database_that_is_damaged_says_what_to_do(tmp_path: Path) -> None:
    """To a person at a terminal too, where no server's log is."""
    data_dir = filled(tmp_path / "vault", "sqlite", 3)
    (data_dir / "connvault.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match="newest backup"):
        migrate(data_dir=data_dir, to="json")


def test_what_is_not_equal_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is read again before the commit."""
    data_dir = filled(tmp_path / "vault", "json", 3)
    before = state_of(data_dir, "json")
    monkeypatch.setattr(SqliteSecretStore, "put", lambda self, secret: None)
    with pytest.raises(StorageError, match="not what was read"):
        migrate(data_dir=data_dir, to="sqlite")
    assert state_of(data_dir, "json") == before


@pytest.mark.parametrize("start", get_args(ConnectionStoreKind))
def test_a_server_that_runs_meanwhile_says_what_to_do(tmp_path: Path, start: ConnectionStoreKind) -> None:
    """It neither shows an empty list nor stores what nobody would see."""
    data_dir = filled(tmp_path / "vault", start, 3)
    database, stores = open_stores(data_dir=data_dir, connection_store=start)
    with closing(database):
        assert len(stores.connections.all()) == 3
        migrate(data_dir=data_dir, to=OTHER[start])
        told = f'moved .*connection_store to "{OTHER[start]}"'
        with pytest.raises(StorageError, match=told):
            stores.connections.all()
        with pytest.raises(StorageError, match=told):
            stores.connections.get("c1")
        with pytest.raises(StorageError):
            stores.connections.add(connection("c9"))
        with pytest.raises(StorageError):
            stores.secrets.put(secret("c1", ref="new"))
    assert len(state_of(data_dir, OTHER[start])[1]) == 3  # type: ignore[arg-type]


def killed_to(to: ConnectionStoreKind) -> Callable[[Path, Killer], None]:
    def run(data_dir: Path, killer: Killer) -> None:
        killer.watch_os()
        names = vars(migration)
        opened = names["open_database"]

        def watched(**settings: object) -> Database:
            database: Database = opened(**settings)
            killer.watch(database)
            return database

        names["open_database"] = watched
        migrate(data_dir=data_dir, to=to)

    run.__name__ = f"killed_to_{to}"
    return run


killed_to_json, killed_to_sqlite = killed_to("json"), killed_to("sqlite")


# Each write is synced, in a process of its own for each of them: on a busy disk that takes its time.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", [killed_to_json, killed_to_sqlite], ids=["to json", "to sqlite"])
def test_when_killed_at_any_write_it_is_here_or_there_and_is_done_again(
    tmp_path: Path, run: Callable[[Path, Killer], None]
) -> None:
    """Here before the COMMIT, there after it; a second try does the rest, and what was there is there."""
    to: ConnectionStoreKind = "json" if run is killed_to_json else "sqlite"
    base = filled(tmp_path / "base", OTHER[to], 6)
    before = state_of(base, OTHER[to])
    steps = kill_points(run, base, tmp_path / "killed")
    # The last one: opening the file has one of its own.
    decided = max(at for at, step in enumerate(steps) if step == "COMMIT")
    for at in range(len(steps) + 1):
        killed = tmp_path / "killed" / str(at)
        assert state_of(killed, to if at > decided else OTHER[to]) == before
        assert migrate(data_dir=killed, to=to).already is (at > decided)
        assert state_of(killed, to) == before
        assert (killed / "connections.json").exists() is (to == "json")
