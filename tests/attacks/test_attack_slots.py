"""Key slots in the hands of whoever has the database, a keyring's vault, or a slot that was removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connvault_jupyter.contracts.connections import SetSecret
from connvault_jupyter.contracts.vault import CustodianKind
from connvault_jupyter.errors import (
    ConnvaultError,
    CustodianUnavailable,
    ForeignSlot,
    SecretInvalid,
    SlotProofRefused,
    VaultReplaced,
    WrongPassphrase,
)
from connvault_jupyter.services.secrets.slots import name_of, place_of
from connvault_jupyter.services.vault_ports import VaultRecord
from connvault_jupyter.vault.envelope import check_value, derive_keys
from connvault_jupyter.vault.slot_keys import X25519SlotKeys
from tests.support.services.plain_passphrase import PASSPHRASE as TYPED
from tests.support.services.service_world import World, notebook
from tests.support.services.slots import (
    SPARE,
    add,
    edit,
    key_proof,
    lock,
    plant,
    planted,
    record_of,
    remove,
    rotate,
    slot_of,
    unlock,
    with_slots,
)

MALLORY = b"\x66" * 32
KEYS = X25519SlotKeys()


@pytest.mark.parametrize("kind", ["os_keyring", "passphrase"])
def test_a_keyring_that_would_answer_is_not_asked_for_whoever_has_the_token(kind: CustodianKind) -> None:
    """A vault that opens by itself takes no slot of somebody who can only call it."""
    world = with_slots(spare=False)
    remove(world, record_of(world).slots[0].id, proof=key_proof(world))
    slot_id = slot_of(world, "this server").id
    before = record_of(world)
    for proof in ({}, {"slot": slot_id}, {"slot": slot_id, "key": "A" * 43 + "="}, {"passphrase": TYPED}):
        with pytest.raises(SlotProofRefused):
            add(world, kind, passphrase=SPARE if kind == "passphrase" else None, proof=proof or {"slot": "x"})
        with pytest.raises(SlotProofRefused):
            rotate(world, proof or {"slot": "x"})
    assert record_of(world) == before


PUBLIC_KEYS: dict[str, Callable[[World], None]] = {
    "a slot of one's own": lambda world: plant(world, planted(world, MALLORY)),
    "a slot of one's own in the place of another": lambda world: edit(
        world,
        lambda record: replace(
            record, slots=(*record.slots[:2], planted(world, MALLORY, id=record.slots[2].id))
        ),
    ),
    "one's own public key in another's slot": lambda world: edit(
        world,
        lambda record: replace(
            record,
            slots=(
                *record.slots[:2],
                replace(
                    record.slots[2],
                    public_key=KEYS.public_key(MALLORY, place_of(record.vault_id, record.slots[2].id)),
                ),
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", PUBLIC_KEYS)
def test_a_public_key_written_into_the_table_gets_no_master_key(name: str) -> None:
    """It is named when the vault is unlocked, stops every rotation until it is removed, and opens nothing."""
    world = with_slots()
    PUBLIC_KEYS[name](world)
    foreign = record_of(world).slots[-1]
    lock(world)
    unlock(world)
    row = world.record()[-2]
    assert (row.type, row.code, row.slot_id) == ("slot:changed_outside", ForeignSlot.code, foreign.id)
    each: list[Callable[[], object]] = [
        lambda: rotate(world),
        lambda: add(world, "passphrase", passphrase="a third passphrase"),
    ]
    for stopped in each:
        with pytest.raises(ForeignSlot) as refused:
            stopped()
        assert refused.value.details["slots"] == [foreign.id]
    # Removing another slot makes a new master key; this one gets none of it.
    remove(world, slot_of(world, "this server").id)
    assert record_of(world).slots[-1] == foreign
    opens_nothing(record_of(world), foreign.id)
    remove(world, foreign.id)
    rotate(world)
    assert foreign.id not in [slot.id for slot in record_of(world).slots]


def opens_nothing(record: VaultRecord, slot_id: str) -> None:
    """None of what is wrapped opens with Mallory's secret."""
    for slot in record.slots:
        with pytest.raises(SecretInvalid):
            KEYS.unwrap(slot.wrapped, MALLORY, place_of(record.vault_id, slot_id), record.generation)


def test_a_planted_passphrase_slot_unlocks_nothing() -> None:
    """Though its custodian gives its secret to whoever has planted it."""
    world = with_slots()
    plant(world, planted(world, MALLORY))
    lock(world)
    with pytest.raises(WrongPassphrase):
        unlock(world, "mallory's passphrase")
    with pytest.raises(WrongPassphrase):
        rotate(world, {"passphrase": "mallory's passphrase"})


def test_a_removed_slot_put_back_is_foreign() -> None:
    """With all that it had: its MAC is by keys of before."""
    world = with_slots()
    kept, key = slot_of(world, "this server"), dict(world.keyring.items)
    remove(world, kept.id)
    plant(world, kept)
    world.keyring.items.update(key)
    assert world.slots.list().slots[-1].standing == "foreign"
    lock(world)
    with pytest.raises(CustodianUnavailable):
        unlock(world, None)
    unlock(world)
    with pytest.raises(ForeignSlot):
        rotate(world)


def test_a_removed_slots_secret_opens_nothing_stored_later() -> None:
    """Neither the master key of then nor the secret itself opens what is there now; an old copy has what it had."""
    world = with_slots()
    ref = world.request(notebook(), world.answer("always")).ref
    old, removed = record_of(world), slot_of(world, "this server")
    secret = world.keyring.items[name_of(old.vault_id, removed.id)]
    master = KEYS.unwrap(removed.wrapped, secret, place_of(old.vault_id, removed.id), old.generation)
    remove(world, removed.id)
    (connection,) = world.stores.connections.all()
    given = {"id": connection.connection.id, "field": "password", "value": "stored later"}
    world.connections.set_secret(SetSecret.model_validate(given), actor="ada")
    assert secret_in(world, ref) == "stored later"
    now = record_of(world)
    assert check_value(master, now.vault_id, now.epoch) != now.check
    for slot in now.slots:
        for place in (place_of(now.vault_id, slot.id), place_of(now.vault_id, removed.id)):
            with pytest.raises(SecretInvalid):
                KEYS.unwrap(slot.wrapped, secret, place, now.generation)
    # The vault's row of then beside the secrets of now: what was stored later does not open.
    lock(world)
    edit(world, lambda _: old)
    world.keyring.items[name_of(old.vault_id, removed.id)] = secret
    unlock(world, None)
    with pytest.raises(ConnvaultError):
        secret_in(world, ref)


def secret_in(world: World, ref: str) -> str:
    return world.deliver(notebook(), ref).secrets["password"].get_secret_value()


def of_mallory(record: VaultRecord) -> VaultRecord:
    """A vault with a master key of Mallory's, wrapped to the public keys of its owner's slots."""
    forged = replace(record, salt=bytes(32))
    keys = derive_keys(MALLORY, record.vault_id, forged.epoch)
    slots = []
    for slot in record.slots:
        place = place_of(record.vault_id, slot.id)
        slots.append(replace(slot, wrapped=KEYS.wrap(MALLORY, slot.public_key, place, record.generation)))
    forged = replace(
        forged, slots=tuple(slots), check=check_value(MALLORY, record.vault_id, forged.epoch), older={}
    )
    older = derive_keys(b"\x67" * 32, record.vault_id, record.epoch)
    return replace(
        forged,
        older={
            number: keys.keep_record(older, record.vault_id, None) for number in range(1, record.generation)
        },
    )


@pytest.mark.parametrize("later", [0, 3])
def test_another_vault_behind_ones_own_public_key_does_not_open(later: int) -> None:
    """Anybody can wrap a key to a public key. Secrets that are typed into such a vault would be given away."""
    world = with_slots()
    for _ in range(later):
        rotate(world)
    lock(world)
    edit(world, of_mallory)
    for passphrase in (TYPED, None, SPARE):
        with pytest.raises(VaultReplaced):
            unlock(world, passphrase)
    with pytest.raises(VaultReplaced):
        rotate(world)
    assert world.recorded()[-1] == "slot:refused"
    for pin in (0, -1):
        edit(
            world,
            lambda record, pin=pin: replace(  # type: ignore[misc]
                record, slots=tuple(replace(slot, pinned=record.generation + pin) for slot in record.slots)
            ),
        )
        with pytest.raises(VaultReplaced):
            unlock(world)


def test_who_had_a_removed_slot_deceives_one_that_slept_since() -> None:
    """Not stopped: with the keys of then, all that such a slot knows can be made. One that has opened the vault since
    is pinned to keys that Mallory never had."""
    world = with_slots()
    old, removed = record_of(world), slot_of(world, "this server")
    place = place_of(old.vault_id, removed.id)
    secret = world.keyring.items[name_of(old.vault_id, removed.id)]
    master = KEYS.unwrap(removed.wrapped, secret, place, old.generation)
    of_then = derive_keys(master, old.vault_id, old.epoch)
    remove(world, removed.id)
    lock(world)

    def forged(record: VaultRecord) -> VaultRecord:
        made = of_mallory(record)
        keys = derive_keys(MALLORY, made.vault_id, made.epoch)
        kept = keys.keep_record(of_then, made.vault_id, None)
        return replace(made, older={**made.older, old.generation: kept})

    genuine = record_of(world)
    edit(world, forged)
    with pytest.raises(VaultReplaced):
        unlock(world)
    unlock(world, SPARE)
    lock(world)
    edit(world, lambda _: genuine)
    unlock(world, SPARE)
    lock(world)
    edit(world, forged)
    with pytest.raises(VaultReplaced):
        unlock(world, SPARE)


def test_exchanged_slots_open_nothing() -> None:
    """What is wrapped for one slot, and what a custodian keeps for it, is bound to its id."""
    world = with_slots(keyring=False)
    lock(world)
    first, spare = record_of(world).slots
    for slots in (
        (replace(first, wrapped=spare.wrapped), replace(spare, wrapped=first.wrapped)),
        (replace(first, id=spare.id), replace(spare, id=first.id)),
    ):
        before = record_of(world)
        edit(world, lambda record, slots=slots: replace(record, slots=slots))  # type: ignore[misc]
        for passphrase in (TYPED, SPARE):
            with pytest.raises(WrongPassphrase):
                unlock(world, passphrase)
        edit(world, lambda _, before=before: before)  # type: ignore[misc]
    unlock(world)
