"""Ends a process at each write of each change of key slots, and looks at what is left. A program of its own, because it
forks: `python -m tests.support.services.slot_crashes FOLDER` prints, as JSON, how many points there were by change.

A point is a statement that writes, or the commit: the process ends before SQLite runs it, without closing anything.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from connvault_jupyter.contracts.vault import ChangePassphrase, SetUpVault
from connvault_jupyter.errors import ConnvaultError, InvalidRequest, WrongPassphrase
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.stores import open_stores
from tests.support.canary import CANARY
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import World, notebook
from tests.support.services.slots import SPARE, add, lock, record_of, remove, rotate, unlock

NEW = "another long passphrase"
CONNECTIONS = 12

_WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT")
_KILLED = 9


def world_at(folder: Path) -> tuple[Database, World]:
    database, stores = open_stores(data_dir=folder)
    world = World(
        storage=(MemoryStorage(), stores),
        custodians={"passphrase": PlainPassphrase()},
        publish=lambda _: None,
        unlocked=False,
    )
    world._random = 1_000_000
    return database, world


def change_passphrase(world: World) -> None:
    given = {"current": PASSPHRASE, "new": NEW}
    world.secrets.change_passphrase(ChangePassphrase.model_validate(given), actor="ada")


# What is done, and the passphrases that open the vault before and after it.
CHANGES: dict[str, tuple[Callable[[World], object], set[str], set[str]]] = {
    "add": (
        lambda world: add(world, "passphrase", passphrase=NEW),
        {PASSPHRASE, SPARE},
        {PASSPHRASE, SPARE, NEW},
    ),
    "remove": (
        lambda world: remove(world, record_of(world).slots[1].id),
        {PASSPHRASE, SPARE},
        {PASSPHRASE},
    ),
    "rotate": (rotate, {PASSPHRASE, SPARE}, {PASSPHRASE, SPARE}),
    "passphrase": (change_passphrase, {PASSPHRASE, SPARE}, {NEW, SPARE}),
    "unlock": (lambda world: unlock(world, SPARE), {PASSPHRASE, SPARE}, {PASSPHRASE, SPARE}),
}


def filled(folder: Path) -> str:
    """A vault with two slots, the second of which has slept through a rotation; the ref of a handle."""
    database, world = world_at(folder)
    world.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    add(world, "passphrase", passphrase=SPARE)
    for number in range(CONNECTIONS):
        world.connection(f"connection-{number}")
    ref = world.request(notebook(), world.answer("always"), "connection-0").ref
    rotate(world)
    lock(world)
    database.close()
    return ref


def killed_at(folder: Path, point: int, change: Callable[[World], object]) -> bool:
    """Whether there was such a point; else the change is done."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == _KILLED
    left = point
    try:
        database, world = world_at(folder)

        def traced(statement: str) -> None:
            nonlocal left
            if statement.lstrip().startswith(_WRITES):
                if left == 0:
                    os._exit(_KILLED)
                left -= 1

        database._connection.set_trace_callback(traced)
        change(world)
        database.close()
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        os._exit(1)
    os._exit(0)


def looked_at(folder: Path, ref: str, before: set[str], after: set[str]) -> None:
    """Raises: AssertionError: what is left is neither old nor new, or something is missing."""
    database, world = world_at(folder)
    opening = set()
    for passphrase in (PASSPHRASE, SPARE, NEW):
        try:
            unlock(world, passphrase)
        except (WrongPassphrase, InvalidRequest):
            continue
        opening.add(passphrase)
        found = world.deliver(notebook(), ref).secrets["password"].get_secret_value()
        assert found == CANARY
        assert not world.slots.list().changed_outside
        assert [view.connection.status for view in world.connections.list().connections] == [
            "ready"
        ] * CONNECTIONS
        assert world.audit.verify().consistent
        lock(world)
    assert opening in (before, after), sorted(opening)
    database.close()


def main(folder: Path) -> dict[str, int]:
    made = folder / "made"
    ref = filled(made)
    points = {}
    for name, (change, before, after) in CHANGES.items():
        point, there = 0, True
        while there:
            place = folder / "tried"
            shutil.copytree(made, place)
            there = killed_at(place, point, change)
            try:
                looked_at(place, ref, before if there else after, after)
            except (AssertionError, ConnvaultError) as exc:
                raise SystemExit(f"{name} ended at write {point}: {exc!r}") from exc
            shutil.rmtree(place)
            point += there
        points[name] = point
    return points


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))  # noqa: T201 - read by the test
