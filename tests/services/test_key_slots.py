"""Key slots: several ways to unwrap one master key, none of which is needed for another one to go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connvault_jupyter.contracts.vault import AddSlot, RemoveSlot, RotateKeys
from connvault_jupyter.errors import (
    CustodianUnavailable,
    InvalidRequest,
    LastSlot,
    SlotNotFound,
    SlotProofRefused,
    VaultNotSetUp,
    WrongPassphrase,
)
from connvault_jupyter.services.secrets.slots import MAX_SLOTS
from tests.support.canary import CANARY
from tests.support.services.plain_passphrase import PASSPHRASE
from tests.support.services.service_world import World, notebook
from tests.support.services.slots import (
    SPARE,
    add,
    change,
    key_proof,
    lock,
    record_of,
    remove,
    rotate,
    slot_of,
    unlock,
    with_slots,
)

OPENERS = {"passphrase": PASSPHRASE, "keyring": None, "spare": SPARE}


def secret_of(world: World, ref: str) -> str:
    return world.deliver(notebook(), ref).secrets["password"].get_secret_value()


def test_each_slot_opens_the_vault() -> None:
    """And the log says which one did."""
    world = with_slots()
    ref = world.request(notebook(), world.answer("always")).ref
    by = []
    for passphrase in OPENERS.values():
        lock(world)
        unlock(world, passphrase)
        assert secret_of(world, ref) == CANARY
        by.append([row.slot_id for row in world.record() if row.type == "vault:unlocked"][-1])
    assert by == [slot.id for slot in record_of(world).slots]
    assert "slot:changed_outside" not in world.recorded()


def test_the_list_says_what_each_slot_is() -> None:
    """Kind, label and time; while the vault is locked nobody can tell a genuine one from another."""
    world = with_slots()
    found = world.slots.list()
    assert [(slot.kind, slot.label, slot.standing) for slot in found.slots] == [
        ("passphrase", "Passphrase", "genuine"),
        ("os_keyring", "this server", "genuine"),
        ("passphrase", "spare", "genuine"),
    ]
    assert not found.changed_outside
    lock(world)
    assert {slot.standing for slot in world.slots.list().slots} == {"unchecked"}
    with pytest.raises(VaultNotSetUp):
        World(unlocked=False).slots.list()


@pytest.mark.parametrize("after", OPENERS)
@pytest.mark.parametrize("what", ["rotate", "remove", "change"])
def test_a_new_master_key_is_wrapped_for_slots_whose_secret_is_not_there(what: str, after: str) -> None:
    """Only the first slot's passphrase is given; with each of the others the vault opens afterwards."""
    world = with_slots()
    ref = world.request(notebook(), world.answer("always")).ref
    add(world, "passphrase", label="third", passphrase="a third passphrase")
    before = record_of(world)
    openers: dict[str, str | None] = {**OPENERS}
    if what == "rotate":
        rotate(world)
    elif what == "remove":
        remove(world, slot_of(world, "third").id)
    else:
        change(world, PASSPHRASE)
        openers["passphrase"] = "another long passphrase"
    now = record_of(world)
    assert now.generation == before.generation + 1
    assert now.check != before.check
    lock(world)
    for _ in range(2):
        unlock(world, openers[after])
        assert secret_of(world, ref) == CANARY
        assert not world.slots.list().changed_outside
        lock(world)


def test_a_slot_that_slept_through_several_generations_opens() -> None:
    """Its pin is of a generation long before; once it has opened, it is of the present one."""
    world = with_slots()
    for _ in range(4):
        rotate(world)
    asleep = slot_of(world, "spare")
    assert asleep.pinned == record_of(world).generation - 4
    lock(world)
    unlock(world, SPARE)
    assert slot_of(world, "spare").pinned == record_of(world).generation
    assert slot_of(world, "this server").pinned == asleep.pinned


@pytest.mark.parametrize("locked", [False, True])
def test_a_change_leaves_the_vault_locked_or_unlocked_as_it_was(locked: bool) -> None:
    """The secret of a slot is given anyway; nothing else becomes usable by it."""
    world = with_slots()
    if locked:
        lock(world)
    state = world.secrets.short_state
    add(world, "passphrase", passphrase="a third passphrase")
    assert world.secrets.short_state == state
    rotate(world)
    assert world.secrets.short_state == state
    remove(world, slot_of(world, "spare").id)
    assert world.secrets.short_state == state
    assert all(row.mac for row in world.storage.tables.audit[-3:] if row.event.type != "vault:locked")
    if locked:
        unlock(world)
    assert world.audit.verify().consistent


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"passphrase": "not the passphrase"},
        {"passphrase": PASSPHRASE, "slot": "s", "key": "A" * 43 + "="},
        {"passphrase": PASSPHRASE, "slot": "s"},
        {"key": "A" * 43 + "="},
        {"slot": "s", "key": "A" * 43 + "="},
        {"slot": "keyring", "key": "A" * 43 + "="},
        {"slot": "keyring", "key": "\u00e4" * 44},
        {"slot": "keyring", "key": "A" * 44},
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["add", "remove", "rotate"])
def test_without_a_slots_secret_nothing_changes(what: str, proof: dict[str, str]) -> None:
    """Though the vault is unlocked, and its keyring would answer the broker. It is on record."""
    world = with_slots()
    before = record_of(world)
    if proof.get("slot") == "keyring":
        proof = {**proof, "slot": slot_of(world, "this server").id}
    new = {"kind": "passphrase", "passphrase": SPARE, "proof": proof}
    gone = {"id": before.slots[2].id, "proof": proof}
    changes: dict[str, Callable[[], object]] = {
        "add": lambda: world.slots.add(AddSlot.model_validate(new), actor="mallory"),
        "remove": lambda: world.slots.remove(RemoveSlot.model_validate(gone), actor="mallory"),
        "rotate": lambda: world.slots.rotate(RotateKeys.model_validate({"proof": proof}), actor="mallory"),
    }
    with pytest.raises((SlotProofRefused, WrongPassphrase)) as refused:
        changes[what]()
    assert record_of(world) == before
    row = world.record()[-1]
    assert (row.type, row.outcome, row.code, row.decided_by) == (
        "slot:refused",
        "refused",
        refused.value.code,
        "mallory",
    )


def test_the_key_that_the_keyring_holds_is_a_proof() -> None:
    """Read from it by whoever asks."""
    world = with_slots()
    rotate(world, key_proof(world))
    add(world, "passphrase", passphrase="a third passphrase", label="third", proof=key_proof(world))
    remove(world, record_of(world).slots[0].id, proof=key_proof(world))
    lock(world)
    unlock(world, "a third passphrase")


def test_a_keyring_alone_takes_a_second_slot_with_its_key() -> None:
    """A vault with nothing to type, which only its key proves."""
    world = with_slots(spare=False)
    remove(world, record_of(world).slots[0].id, proof=key_proof(world))
    with pytest.raises(SlotProofRefused):
        add(world, "passphrase", passphrase=SPARE, proof={"passphrase": SPARE})
    add(world, "passphrase", passphrase=SPARE, proof=key_proof(world))
    lock(world)
    unlock(world, SPARE)


def test_the_last_slot_and_the_proving_one_stay() -> None:
    """Else nobody could open the vault any more, or whoever removes the one that is known."""
    world = with_slots(keyring=False, spare=False)
    with pytest.raises(LastSlot):
        remove(world, record_of(world).slots[0].id)
    add(world, "passphrase", passphrase=SPARE)
    first, second = record_of(world).slots
    with pytest.raises(LastSlot):
        remove(world, first.id)
    with pytest.raises(SlotNotFound):
        remove(world, "nothing")
    remove(world, first.id, proof={"passphrase": SPARE})
    with pytest.raises(LastSlot):
        remove(world, second.id, proof={"passphrase": SPARE})
    assert [slot.id for slot in record_of(world).slots] == [second.id]


def test_a_removed_slot_opens_nothing_and_its_custodian_forgets() -> None:
    """Neither by its passphrase nor by what was in the keyring."""
    world = with_slots()
    kept = key_proof(world)
    items = dict(world.keyring.items)
    remove(world, slot_of(world, "this server").id)
    assert world.keyring.items == {}
    world.keyring.items.update(items)
    remove(world, slot_of(world, "spare").id)
    lock(world)
    with pytest.raises(InvalidRequest):
        unlock(world, None)
    with pytest.raises(WrongPassphrase):
        unlock(world, SPARE)
    with pytest.raises(SlotProofRefused):
        rotate(world, kept)
    unlock(world)
    assert world.recorded().count("slot:removed") == 2


def test_a_changed_passphrase_is_that_of_the_slot_that_it_opened() -> None:
    """The other one stays."""
    world = with_slots()
    change(world, SPARE)
    lock(world)
    for wrong in (SPARE, "nothing of it at all"):
        with pytest.raises(WrongPassphrase):
            unlock(world, wrong)
    unlock(world, "another long passphrase")
    lock(world)
    unlock(world)
    assert [slot.label for slot in record_of(world).slots] == ["Passphrase", "this server", "spare"]


def test_a_silent_keyring_is_no_obstacle_to_a_passphrase() -> None:
    """And a vault that has both opens at the start without anybody."""
    world = with_slots()
    lock(world)
    assert world.secrets.open_at_start().state == "unlocked"
    assert world.secrets.state().custodian == "os_keyring"
    lock(world)
    world.keyring.available = False
    assert world.secrets.open_at_start().state == "locked"
    assert world.secrets.state().custodian == "passphrase"
    with pytest.raises(CustodianUnavailable):
        unlock(world, None)
    unlock(world)


def test_there_is_a_bound() -> None:
    """Each typed passphrase is tried on all of them."""
    world = with_slots(keyring=False, spare=False)
    for number in range(MAX_SLOTS - 1):
        add(world, "passphrase", passphrase=f"passphrase number {number}")
    with pytest.raises(InvalidRequest):
        add(world, "passphrase", passphrase=SPARE)


def test_a_lost_keyring_item_leaves_the_other_slots() -> None:
    """Nothing is deleted: the slot stays in the list, and what opened the vault besides still does."""
    world = with_slots()
    ref = world.request(notebook(), world.answer("always")).ref
    lock(world)
    before = record_of(world)
    world.keyring.items.clear()
    with pytest.raises(CustodianUnavailable):
        unlock(world, None)
    assert record_of(world) == before
    unlock(world, PASSPHRASE)
    assert secret_of(world, ref) == CANARY
    remove(world, slot_of(world, "this server").id)
    add(world, "os_keyring", label="this server")
    lock(world)
    unlock(world, None)
    assert secret_of(world, ref) == CANARY
