"""A process that is killed at each write of an import, or of a rotation with a JSON store, leaves all of the old state
or all of the new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.contracts.vault import SetUpVault
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.stores import open_stores
from tests.support.canary import CANARY
from tests.support.services.kill_points import Killer, kill_points
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import POSTGRES, World, notebook
from tests.support.services.slots import rotate, unlock
from tests.support.services.transfers import add, exported_with_secrets, imported, replace

# Each write is synced, in a process of its own for each of them: on a busy disk that takes its time.
pytestmark = pytest.mark.timeout(600)

FILE = "moved"
NEW = [f"connection-{number}" for number in range(4)]


@contextmanager
def world_at(folder: Path, store: ConnectionStoreKind) -> Iterator[tuple[Database, World]]:
    database, stores = open_stores(data_dir=folder, connection_store=store)
    with closing(database):
        world = World(
            storage=(MemoryStorage(), stores),
            custodians={"passphrase": PlainPassphrase()},
            publish=lambda _: None,
            unlocked=False,
        )
        # What it counts up must not be what an earlier one did.
        world._random = int.from_bytes(os.urandom(3), "big") << 8
        if world.secrets.short_state == "locked":
            unlock(world)
        yield database, world


def made(folder: Path, store: ConnectionStoreKind) -> Path:
    """A vault with a connection that a notebook may use, and a file with others and one of its name elsewhere."""
    elsewhere = World()
    elsewhere.connection(fields={**POSTGRES, "host": "elsewhere.example.org"}, secrets={"password": "theirs"})
    for name in NEW:
        elsewhere.connection(name)
    file = exported_with_secrets(elsewhere).file
    with world_at(folder, store) as (_, world):
        world.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
        world.connection()
        world.request(notebook(), world.answer("always"))
    (folder / FILE).write_text(file)
    return folder


def killed_in(
    change: Callable[[World, Path], object], store: ConnectionStoreKind, name: str
) -> Callable[[Path, Killer], None]:
    def run(folder: Path, killer: Killer) -> None:
        with world_at(folder, store) as (database, world):
            if store == "json":
                killer.watch_os()
            killer.watch(database)
            change(world, folder)

    run.__name__ = name
    return run


def import_all(world: World, folder: Path) -> None:
    imported(world, (folder / FILE).read_text(), *map(add, NEW), replace(world))


killed_import_sqlite = killed_in(import_all, "sqlite", "killed_import_sqlite")
killed_import_json = killed_in(import_all, "json", "killed_import_json")
killed_rotation_json = killed_in(lambda world, _: rotate(world), "json", "killed_rotation_json")


def secret_of(world: World, name: str) -> str:
    """As a notebook gets it; a person is asked if there is no permission."""
    ref = world.request(notebook(), world.if_asked(lambda: world.decide("session")), name).ref
    return world.deliver(notebook(), ref).secrets["password"].get_secret_value()


def state(folder: Path, store: ConnectionStoreKind) -> dict[str, Any]:
    """What is found afterwards, by whoever opens it next; everything in it is whole."""
    with world_at(folder, store) as (_, world):
        views = world.connections.list().connections
        assert {view.connection.status for view in views} == {"ready"}
        assert world.audit.verify().consistent
        secrets = {view.connection.name: secret_of(world, view.connection.name) for view in views}
        recorded = world.recorded()
        return {
            "hosts": {view.connection.name: view.connection.fields["host"] for view in views},
            "secrets": secrets,
            "imported": recorded.count("connection:imported"),
            "voided": recorded.count("grant:voided"),
            "rotated": recorded.count("vault:rotated"),
        }


CASES: dict[
    str, tuple[Callable[[Path, Killer], None], ConnectionStoreKind, Callable[[World, Path], object]]
] = {
    "import, sqlite": (killed_import_sqlite, "sqlite", import_all),
    "import, json": (killed_import_json, "json", import_all),
    "rotation, json": (killed_rotation_json, "json", lambda world, _: rotate(world)),
}


@pytest.mark.parametrize("what", CASES)
def test_wherever_it_is_killed_all_is_old_or_all_is_new(tmp_path: Path, what: str) -> None:
    """Connections, secrets, what has ended, and the record of it; and it can be done again."""
    run, store, change = CASES[what]
    base, out = made(tmp_path / "base", store), tmp_path / "out"
    points = kill_points(run, base, out)
    assert len(points) >= 12, points
    old = state(base, store)
    new = state(out / str(len(points)), store)
    assert old != new
    assert set(old["secrets"].values()) == {CANARY}
    found = [state(out / str(at), store) for at in range(len(points))]
    assert all(one in (old, new) for one in found)
    # It becomes new once, at the commit, and is never old again after that.
    first_new = found.index(new) if new in found else len(found)
    assert found == [old] * first_new + [new] * (len(found) - first_new)
    assert first_new >= len(points) - 8, points[first_new:]
    with world_at(out / "0", store) as (_, world):
        change(world, out / "0")
    assert state(out / "0", store) == new
