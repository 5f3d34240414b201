"""A broker that is killed at each write of a change: connections.json and the database are both old, or both new."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from connvault_jupyter.errors import StorageError
from connvault_jupyter.storage.conformance.samples import append, connection, grant, handle, secret
from connvault_jupyter.storage.stores import Stores, open_stores
from tests.support.services.kill_points import Killer, kill_once, kill_points

# Each write is synced, in a process of its own for each of them: on a busy disk that takes its time.
pytestmark = pytest.mark.timeout(600)

BLOCKS: dict[str, Callable[[Stores], AbstractContextManager[None]]] = {
    "durable": lambda stores: stores.transactions.transaction(),
    "not durable": lambda stores: stores.transactions.transaction(durable=False),
    "erasing": lambda stores: stores.transactions.erasing(),
    "escape": lambda stores: stores.transactions.escape(),
}
STEPS = {"UPDATE", "INSERT", "DELETE", "COMMIT", "os.open", "os.write", "os.fsync", "os.replace"}


def change(stores: Stores, block: AbstractContextManager[None]) -> None:
    """Something of everything, its row of the record first."""
    with block:
        append(stores, type="connection:changed", connection_id="c1")
        stores.connections.update(connection("c1", revision=2), b"new", expected_revision=1)
        stores.secrets.put(secret("c1", ref="new"))
        stores.connections.add(connection("c3"), b"mac")
        stores.connections.remove("c2", expected_revision=1)
        stores.grants.remove("g1")


def state(stores: Stores) -> tuple[object, ...]:
    """All that the change touches, of both."""
    kept = stores.secrets.get("c1", "password")
    return (
        stores.audit.head()[0],
        stores.grants.get("g1") is None,
        stores.handles.get(handle().ref_hash) is None,
        [(found.connection.id, found.connection.revision, found.mac) for found in stores.connections.all()],
        kept and kept.ref,
    )


def killed_in(name: str) -> Callable[[Path, Killer], None]:
    def run(data_dir: Path, killer: Killer) -> None:
        database, stores = open_stores(data_dir=data_dir, connection_store="json")
        killer.watch_os()
        killer.watch(database)
        change(stores, BLOCKS[name](stores))

    run.__name__ = f"killed_{name.replace(' ', '_')}"
    return run


killed_durable, killed_not_durable, killed_erasing, killed_escape = map(killed_in, BLOCKS)


def killed_recovery(data_dir: Path, killer: Killer) -> None:
    """The next opening, and what it finishes or undoes."""
    killer.watch_os()
    database, _ = open_stores(data_dir=data_dir, connection_store="json")
    database.close()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault before the change."""
    data_dir = tmp_path_factory.mktemp("untouched") / "base"
    database, stores = open_stores(data_dir=data_dir, connection_store="json")
    stores.connections.add(connection("c1"), b"mac")
    stores.connections.add(connection("c2"))
    stores.secrets.put(secret("c1", ref="old"))
    stores.grants.add(grant(), b"mac")
    stores.handles.add(handle())
    database.close()
    return data_dir


@pytest.fixture
def base(untouched: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(untouched, tmp_path / "base"))


@pytest.fixture(scope="module")
def killed(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """What a change that is killed at each of its writes leaves, and what each was."""
    out = tmp_path_factory.mktemp("killed")
    return out, kill_points(killed_durable, untouched, out)


def found_in(data_dir: Path) -> tuple[object, ...]:
    """The state after another opening, at which nothing is left over, and everything works."""
    database, stores = open_stores(data_dir=data_dir, connection_store="json")
    with closing(database):
        found = state(stores)
        left = {file.name for file in data_dir.iterdir() if file.name.startswith("connections")}
        assert left == {"connections.json", "connections.json.lock"}
        stores.connections.add(connection("c9"), b"mac")
        stores.grants.add(grant("g9", connection_id="c9"), b"mac")
        assert "c9" in json.loads((data_dir / "connections.json").read_bytes())["connections"]
    return found


def both(base: Path) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """The old state and the new one."""
    copy = base.with_name("changed")
    shutil.copytree(base, copy)
    database, stores = open_stores(data_dir=copy, connection_store="json")
    with closing(database):
        old = state(stores)
        change(stores, stores.transactions.transaction())
        return old, state(stores)


@pytest.mark.parametrize(
    "run", [killed_durable, killed_not_durable, killed_erasing, killed_escape], ids=list(BLOCKS)
)
def test_when_killed_at_any_write_both_are_old_or_both_are_new(
    base: Path, tmp_path: Path, run: Callable[[Path, Killer], None], request: pytest.FixtureRequest
) -> None:
    """Old before the COMMIT, new after it, and never a half. A second broker is not needed to see it."""
    old, new = both(base)
    out = tmp_path / "killed"
    steps = kill_points(run, base, out)
    assert set(steps) >= STEPS
    found = [found_in(out / str(at)) for at in range(len(steps) + 1)]
    decided = steps.index("COMMIT")
    assert found[: decided + 1] == [old] * (decided + 1)
    assert found[decided + 1 :] == [new] * (len(steps) - decided)


@pytest.mark.parametrize("last", ["os.write", "COMMIT", "os.replace"])
def test_when_the_recovery_is_killed_too_the_next_one_finishes_it(
    base: Path, tmp_path: Path, killed: tuple[Path, list[str]], last: str
) -> None:
    """At each write of it, from a torn file, from one that nobody waits for, and from one that is committed."""
    old, new = both(base)
    out, steps = killed
    recovery = kill_points(killed_recovery, out / str(steps.index(last)), tmp_path / "again")
    assert {"os.write": "os.unlink", "COMMIT": "os.unlink", "os.replace": "os.replace"}[last] in recovery
    for kill in range(len(recovery) + 1):
        assert found_in(tmp_path / "again" / str(kill)) == (new if last == "os.replace" else old)


@pytest.mark.parametrize("last", ["os.fsync", "COMMIT", "os.replace"])
def test_what_a_killed_broker_left_another_one_finishes(
    base: Path, killed: tuple[Path, list[str]], last: str
) -> None:
    """One that runs all the time: at its next look, and with its next change."""
    old, new = both(base)
    _, steps = killed
    database, stores = open_stores(data_dir=base, connection_store="json")
    with closing(database):
        assert state(stores) == old
        version = stores.transactions.version()
        kill_once(killed_durable, base, steps.index(last))
        assert (base / "connections.json.pending").exists()
        assert state(stores) == (new if last == "os.replace" else old)
        assert (stores.transactions.version() != version) is (last == "os.replace")
        stores.connections.add(connection("c9"))
        assert not (base / "connections.json.pending").exists()
        assert "c9" in [one.connection.id for one in stores.connections.all()]


@pytest.fixture
def committed(killed: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """What a broker leaves that is killed between the COMMIT and the rename."""
    out, steps = killed
    return Path(shutil.copytree(out / str(steps.index("os.replace")), tmp_path / "committed"))


def test_a_file_that_was_edited_after_the_kill_is_kept_beside_the_new_one(
    base: Path, committed: Path
) -> None:
    """Neither what was committed nor what a person wrote is lost."""
    _, new = both(base)
    path = committed / "connections.json"
    edited = path.read_text(encoding="utf-8").replace("warehouse-c2", "edited")
    path.write_text(edited, encoding="utf-8")
    database, stores = open_stores(data_dir=committed, connection_store="json")
    with closing(database):
        assert state(stores) == new
    (kept,) = committed.glob("connections.json.edited-*")
    assert kept.read_text(encoding="utf-8") == edited


def test_a_file_that_git_removed_after_the_kill_is_the_new_one(base: Path, committed: Path) -> None:
    """The pending file has all that was committed."""
    _, new = both(base)
    (committed / "connections.json").unlink()
    database, stores = open_stores(data_dir=committed, connection_store="json")
    with closing(database):
        assert state(stores) == new


def test_what_can_not_be_put_in_its_place_is_read_where_it_is(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is committed. Nothing is changed until its place is free again."""
    _, new = both(base)
    database, stores = open_stores(data_dir=base, connection_store="json")

    def refused(_source: object, _target: object) -> None:
        raise PermissionError(13, "Permission denied")

    with closing(database):
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", refused)
            change(stores, stores.transactions.transaction())
            assert state(stores) == new
            with pytest.raises(StorageError, match="can't be put in its place"):
                stores.connections.add(connection("c9"))
            assert state(stores) == new
        assert state(stores) == new
        assert not (base / "connections.json.pending").exists()
        stores.connections.add(connection("c9"))
