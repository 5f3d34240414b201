"""Adding a key slot is on record, or it did not happen; and a vault that was locked stays so, however it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connvault_jupyter.errors import StorageFull, VaultLocked
from tests.support.services.service_world import World
from tests.support.services.slots import SPARE, add, lock, record_of, rotate, slot_of, with_slots


def full(*_: object, **__: object) -> None:
    raise StorageFull


@pytest.fixture
def world() -> World:
    return with_slots(keyring=False, spare=False)


@pytest.mark.parametrize("locked", [False, True])
def test_a_slot_that_is_added_is_on_record(world: World, locked: bool) -> None:
    """Which, and by whom."""
    if locked:
        lock(world)
    add(world, "passphrase", passphrase=SPARE, label="spare")
    (row,) = [row for row in world.record() if row.type == "slot:added"]
    assert (row.slot_id, row.decided_by, row.outcome) == (slot_of(world, "spare").id, "ada", "ok")


@pytest.mark.parametrize("what", ["add", "rotate"])
@pytest.mark.parametrize("locked", [False, True])
def test_a_change_of_slots_that_can_not_be_recorded_does_not_happen(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, locked: bool
) -> None:
    """No row, no slot, no new key; and the vault is as it was."""
    if locked:
        lock(world)
    before = record_of(world)
    changes: dict[str, Callable[[], object]] = {
        "add": lambda: add(world, "passphrase", passphrase=SPARE),
        "rotate": lambda: rotate(world),
    }
    with monkeypatch.context() as patched:
        patched.setattr(world.slots._audit, "record", full)
        with pytest.raises(StorageFull):
            changes[what]()
    assert record_of(world) == before
    if locked:
        with pytest.raises(VaultLocked):
            _ = world.secrets.keys
    else:
        assert world.secrets.keys.generation == before.generation
