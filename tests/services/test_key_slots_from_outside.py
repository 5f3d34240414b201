"""Key slots changed by another server or with an SQLite shell: nothing is lost, and what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connvault_jupyter.errors import (
    AuthenticationOff,
    Conflict,
    ConnvaultError,
    ForeignSlot,
    StorageFull,
    VaultLocked,
)
from tests.support.services.plain_passphrase import PASSPHRASE
from tests.support.services.service_world import World
from tests.support.services.slots import (
    SPARE,
    add,
    change,
    edit,
    lock,
    record_of,
    remove,
    rotate,
    slot_of,
    unlock,
    with_slots,
)


def test_a_full_disk_changes_no_slot_and_leaves_nothing_in_the_keyring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Old, not half new."""
    world = with_slots(keyring=False)
    before = record_of(world)

    def full(*_: object) -> None:
        raise StorageFull

    with monkeypatch.context() as patched:
        patched.setattr(world.stores.vault, "replace", full)
        each: list[Callable[[], object]] = [
            lambda: add(world, "os_keyring"),
            lambda: remove(world, before.slots[1].id),
            lambda: rotate(world),
        ]
        for change_slots in each:
            with pytest.raises(StorageFull):
                change_slots()
    assert record_of(world) == before
    assert world.keyring.items == {}
    assert world.secrets.short_state == "unlocked"
    rotate(world)


def test_another_servers_change_meanwhile_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever read the slots before the other had changed them is told so."""
    world = with_slots(keyring=False)
    other = World(
        custodians=world.secrets._custody._custodians,
        storage=(world.storage, world.stores),
        clock=world.clock,
        unlocked=False,
    )
    made = world.services.slots._custody.made

    def slow(*given: object) -> object:
        rotate(other)
        return made(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(world.services.slots._custody, "made", slow)
    with pytest.raises(Conflict):
        add(world, "passphrase", passphrase="a third passphrase")
    with pytest.raises(VaultLocked):
        _ = world.secrets.keys
    unlock(world)
    assert len(record_of(world).slots) == 2


def test_slots_that_were_put_in_another_order_or_taken_out_are_noticed() -> None:
    """Those that are there are genuine, so the next change makes the list right again."""
    world = with_slots()
    before = record_of(world)
    for slots in (before.slots[::-1], before.slots[:2]):
        edit(world, lambda record, slots=slots: replace(record, slots=slots))  # type: ignore[misc]
        found = world.slots.list()
        assert found.changed_outside
        assert {slot.standing for slot in found.slots} == {"genuine"}
        lock(world)
        unlock(world)
        row = world.record()[-2]
        assert (row.type, row.outcome, row.slot_id) == ("slot:changed_outside", "refused", None)
    rotate(world)
    assert not world.slots.list().changed_outside
    lock(world)
    unlock(world, None)


def test_slots_put_back_as_they_were_before_one_was_added_are_not_noticed() -> None:
    """They are what somebody with the keys has made. The new slot opens nothing any more, and nobody is told. Once the
    master key is another one, slots from before it are noticed."""
    world = with_slots(keyring=False)
    before = record_of(world)
    add(world, "passphrase", label="third", passphrase="a third passphrase")
    edit(world, lambda _: before)
    lock(world)
    unlock(world)
    assert not world.slots.list().changed_outside
    rotate(world)
    after = record_of(world)
    edit(world, lambda record: replace(record, slots=before.slots, slots_mac=before.slots_mac))
    assert {slot.standing for slot in world.slots.list().slots} == {"foreign"}
    edit(world, lambda _: after)
    assert {slot.standing for slot in world.slots.list().slots} == {"genuine"}


@pytest.mark.parametrize("change", [{"public_key": b"\1" * 32}, {"label": "the other one"}])
def test_an_edited_row_of_the_only_slot_is_put_right_by_its_secret(change: dict[str, object]) -> None:
    """The slot opens by what its custodian holds, and its public key follows from that."""
    world = with_slots(keyring=False, spare=False)
    before = record_of(world).slots[0]
    edit(world, lambda record: replace(record, slots=(replace(before, **change),)))  # type: ignore[arg-type]
    assert world.slots.list().slots[0].standing == "foreign"
    lock(world)
    unlock(world)
    assert world.record()[-2].slot_id == before.id
    rotate(world)
    (after,) = record_of(world).slots
    assert (after.public_key, after.label) == (before.public_key, "Passphrase")
    assert world.slots.list().slots[0].standing == "genuine"


def test_with_authentication_off_nothing_is_added() -> None:
    """As nothing is stored."""
    first = with_slots(keyring=False)
    world = World(
        custodians=first.secrets._custody._custodians,
        storage=(first.storage, first.stores),
        unlocked=False,
        authenticated=False,
    )
    with pytest.raises(AuthenticationOff):
        add(world, "passphrase", passphrase=SPARE)


def test_an_emptied_table_is_an_error_that_says_so() -> None:
    """No slot, no key; nothing is made anew."""
    world = with_slots()
    lock(world)
    edit(world, lambda record: replace(record, slots=()))
    for passphrase in (PASSPHRASE, None):
        with pytest.raises(ConnvaultError, match="no key slot"):
            unlock(world, passphrase)


def test_a_foreign_slot_stops_changes_until_it_is_removed() -> None:
    """Named by each of them, and by the list; unlocking goes on."""
    world = with_slots()
    spare = slot_of(world, "spare")
    edit(
        world,
        lambda record: replace(record, slots=(*record.slots[:2], replace(spare, public_key=b"\2" * 32))),
    )
    before = record_of(world)
    each: list[Callable[[], object]] = [
        lambda: rotate(world),
        lambda: add(world, "passphrase", passphrase="a third passphrase"),
        lambda: change(world, PASSPHRASE),
    ]
    for stopped in each:
        with pytest.raises(ForeignSlot) as named:
            stopped()
        assert named.value.details["slots"] == [spare.id]
    assert record_of(world) == before
    found = world.slots.list()
    assert (found.changed_outside, found.slots[2].standing) == (True, "foreign")
    lock(world)
    unlock(world, None)
    assert not remove(world, spare.id).changed_outside
    rotate(world)
