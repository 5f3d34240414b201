"""What is killed at each of its writes, and what must be found afterwards: moves between stores, other keys, changes of
key slots, imports. `tests/faults/test_crash_points.py` does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.contracts.vault import SetUpVault
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.services.transfer.content import decoded
from connvault_jupyter.storage import migration
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.json.opening import is_in_use
from connvault_jupyter.storage.migration import migrate
from connvault_jupyter.storage.opening import open_database
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.vault.export_file import Argon2ExportFiles
from connvault_jupyter.vault.key_file import KeyFileCustodian
from tests.support.services.kill_points import Killer
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import CHEAP, POSTGRES, World, notebook
from tests.support.services.slots import (
    SPARE,
    add,
    change,
    lock,
    record_of,
    remove,
    rotate,
    slot_of,
    unlock,
)
from tests.support.services.transfers import (
    FILE_PASSPHRASE,
    exported,
    exported_with_secrets,
    imported,
    replace,
    with_all_secrets,
)
from tests.support.services.transfers import add as added

NEW = "another long passphrase"
CONNECTIONS = [f"connection-{number}" for number in range(5)]
IMPORTED = [f"imported-{number}" for number in range(4)]

# What the vault's folder has besides: a key file, two exported files, and the ref of a handle.
KEYS, WITH_SECRETS, WITHOUT, REF = "keys", "with-secrets", "without", "ref"

# Nobody here, so that no file of these tests is root's: they may run as root.
_NOBODY = 4_000_000

_ADA = "ada"


@dataclass(frozen=True)
class Operation:
    """`change` is done to an unlocked vault; a move between stores has none, as it needs no keys. `again`: whether it
    can be done another time, once it is done; else a typed error says why not."""

    change: Callable[[World, Path], object] | None
    again: bool = True
    to: ConnectionStoreKind | None = None


def _import(file: str) -> Callable[[World, Path], object]:
    return lambda world, folder: imported(
        world, (folder / file).read_text(), *map(added, IMPORTED), replace(world, CONNECTIONS[1])
    )


def _unlock_by_another(world: World, _: Path) -> None:
    lock(world)
    unlock(world, SPARE)


OPERATIONS: dict[str, Operation] = {
    "migrate to json": Operation(None, to="json"),
    "migrate to sqlite": Operation(None, to="sqlite"),
    "rotate": Operation(lambda world, _: rotate(world)),
    "unlock a slot that has slept": Operation(_unlock_by_another),
    "add a passphrase": Operation(lambda world, _: add(world, "passphrase", passphrase=NEW)),
    "add a key file": Operation(lambda world, _: add(world, "key_file", label="another")),
    "remove a passphrase": Operation(lambda world, _: remove(world, slot_of(world, "spare").id), again=False),
    "remove a key file": Operation(lambda world, _: remove(world, slot_of(world, "file").id), again=False),
    "change the passphrase": Operation(lambda world, _: change(world, PASSPHRASE, NEW), again=False),
    "import with secrets": Operation(_import(WITH_SECRETS), again=False),
    "import without secrets": Operation(_import(WITHOUT), again=False),
}


def cases() -> list[tuple[str, ConnectionStoreKind]]:
    """Each operation, and the store of the vault that it begins with."""
    both: tuple[ConnectionStoreKind, ...] = ("sqlite", "json")
    return [(name, store) for name, one in OPERATIONS.items() for store in both if store != one.to]


def kind_of(folder: Path) -> ConnectionStoreKind:
    with closing(open_database(data_dir=folder)) as database:
        return "json" if is_in_use(database) else "sqlite"


@contextmanager
def world_at(folder: Path, store: ConnectionStoreKind) -> Iterator[tuple[Database, World]]:
    """A broker's services on the vault, locked."""
    database, stores = open_stores(data_dir=folder, connection_store=store)
    with closing(database):
        world = World(
            storage=(MemoryStorage(), stores),
            custodians={
                "passphrase": PlainPassphrase(),
                "key_file": KeyFileCustodian(path=folder / KEYS, root=_NOBODY),
            },
            publish=lambda _: None,
            unlocked=False,
        )
        # What it counts up must not be what an earlier one did.
        world._random = int.from_bytes(os.urandom(3), "big") << 8
        yield database, world


def made(folder: Path, store: ConnectionStoreKind) -> Path:
    """A vault with three slots, of which one has slept through a rotation, and connections of which a notebook may use
    two; files to import, with others, and with one of its names and another host."""
    elsewhere = World()
    elsewhere.connection(
        CONNECTIONS[1], fields={**POSTGRES, "host": "elsewhere.example.org"}, secrets={"password": "theirs"}
    )
    for name in IMPORTED:
        elsewhere.connection(name)
    with world_at(folder, store) as (_, world):
        world.secrets.set_up(
            SetUpVault.model_validate({"custodian": "passphrase", "passphrase": PASSPHRASE}), actor=_ADA
        )
        add(world, "passphrase", label="spare", passphrase=SPARE)
        add(world, "key_file", label="file")
        for name in CONNECTIONS:
            world.connection(name)
        refs = [world.request(notebook(), world.answer("always"), name).ref for name in CONNECTIONS[:2]]
        rotate(world)
    (folder / WITH_SECRETS).write_text(exported_with_secrets(elsewhere).file)
    (folder / WITHOUT).write_text(exported(elsewhere).file)
    (folder / REF).write_text(refs[0])
    return folder


def killed(folder: Path, killer: Killer, name: str, store: ConnectionStoreKind) -> None:
    """What `kill_points` runs: the operation, whose writes are counted."""
    operation = OPERATIONS[name]
    if operation.change is None:
        killer.watch_os()
        names = vars(migration)
        opened = names["open_database"]

        def watched(**settings: Any) -> Database:
            database: Database = opened(**settings)
            killer.watch(database)
            return database

        names["open_database"] = watched
        performed(folder, name, store)
        return
    with world_at(folder, store) as (database, world):
        unlock(world)
        killer.watch_os()
        killer.watch(database)
        operation.change(world, folder)


def performed(folder: Path, name: str, store: ConnectionStoreKind) -> None:
    """The operation, by another process. Raises: ConnvaultError."""
    operation = OPERATIONS[name]
    if operation.change is None:
        assert operation.to is not None
        migrate(data_dir=folder, to=operation.to, clock=World(unlocked=False).clock)
        return
    with world_at(folder, store) as (_, world):
        for passphrase in (PASSPHRASE, NEW):
            if _opens(world, passphrase):
                break
        operation.change(world, folder)


def state(folder: Path) -> dict[str, Any]:
    """What whoever opens the vault next finds. All that opens it opens the same, and everything in it is whole.

    Raises: AssertionError, ConnvaultError: it is not."""
    store = kind_of(folder)
    with world_at(folder, store) as (_, world):
        record = record_of(world)
        opening = [one for one in (PASSPHRASE, SPARE, NEW, None) if _opens(world, one)]
        assert len(opening) >= 2, opening
        _opens(world, opening[0])
        assert not world.slots.list().changed_outside
        assert world.audit.verify().consistent
        recorded = world.recorded()
        views = world.connections.list().connections
        return {
            "store": store,
            "opening": opening,
            "slots": sorted(slot.label for slot in record.slots),
            # As it was before it was looked at: who opens the vault wakes up.
            "asleep": sorted(slot.label for slot in record.slots if slot.pinned != record.generation),
            "statuses": {view.connection.name: view.connection.status for view in views},
            "connections": _content(world, opening[0]),
            "grants": len(world.grants()),
            "delivered": _delivered(world, (folder / REF).read_text()),
            **{
                one: recorded.count(one)
                for one in (
                    *(
                        "vault:moved",
                        "vault:rotated",
                        "vault:passphrase_changed",
                        "slot:added",
                        "slot:removed",
                    ),
                    *("connection:imported", "grant:voided", "secret:unreadable", "slot:changed_outside"),
                )
            },
        }


def _opens(world: World, passphrase: str | None) -> bool:
    lock(world)
    try:
        unlock(world, passphrase)
    except ConnvaultError as refused:
        code = refused.code
    else:
        return True
    assert code in ("wrong_passphrase", "invalid_request", "custodian_unavailable"), code
    return False


def _content(world: World, passphrase: str | None) -> list[Any]:
    """All connections with all secrets, as an export has them."""
    file = with_all_secrets(world, {"passphrase": passphrase}).file
    content = decoded(Argon2ExportFiles(costs=CHEAP).opened(file, FILE_PASSPHRASE))
    return [
        (
            *(one.name, one.fields["host"], one.without_secrets),
            {field: draft.value.get_secret_value() for field, draft in one.secrets.items()},
        )
        for one in content.connections
    ]


def _delivered(world: World, ref: str) -> str:
    return world.deliver(notebook(), ref).secrets["password"].get_secret_value()
