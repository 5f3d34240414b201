"""Which slots of a vault are genuine, whose pin fits, and what a new master key does to them. No service, no store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from connvault_jupyter.services.secrets.slots import (
    checked,
    fits,
    name_of,
    pin_fits,
    pinned,
    place_of,
    renewed,
    with_slots,
    wrapped,
)
from connvault_jupyter.services.vault_ports import HeldByOne, Keys, Slot, VaultRecord
from connvault_jupyter.vault.envelope import derive_keys
from connvault_jupyter.vault.slot_keys import X25519SlotKeys

VAULT, MASTER, SLOT_KEYS = "vault-1", b"m" * 32, X25519SlotKeys()
MADE_AT = datetime(2026, 11, 30, tzinfo=timezone.utc)
SECRETS = {"one": b"1" * 32, "two": b"2" * 32, "three": b"3" * 32}


def keys_of(record: VaultRecord, master_key: bytes = MASTER) -> Keys:
    return derive_keys(master_key, record.vault_id, record.epoch)


def slot(name: str, **changes: Any) -> Slot:
    values: dict[str, Any] = {
        "id": name,
        "kind": "passphrase",
        "label": f"the {name}",
        "created_at": MADE_AT,
        "public_key": SLOT_KEYS.public_key(SECRETS[name], place_of(VAULT, name)),
        "parameters": {"of": name},
    }
    return Slot(**(values | changes))


EMPTY = VaultRecord(vault_id=VAULT, check=b"c", created_at=MADE_AT, generation=2, salt=b"s" * 16)
KEYS = keys_of(EMPTY)


@pytest.fixture
def record() -> VaultRecord:
    """With three genuine slots."""
    return with_slots(EMPTY, [slot(name) for name in SECRETS], KEYS)


def test_a_slots_custodian_knows_it_by_vault_and_slot() -> None:
    """The first one by the vault alone, as before there were slots."""
    assert name_of("v", "v") == "v"
    assert name_of("v", "s") == "v.s"


def test_a_slots_keys_are_bound_to_vault_and_slot() -> None:
    """In a form that is stored in no place, so it may never change."""
    assert place_of("v", "s") == b'{"slot":"s","vault":"v"}'


def test_slots_that_were_made_here_are_genuine(record: VaultRecord) -> None:
    """In their order."""
    found = checked(record, KEYS)
    assert [one.id for one in found.genuine] == ["one", "two", "three"]
    assert (found.foreign, found.complete, found.as_made) == ((), True, True)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "four"},
        {"kind": "key_file"},
        {"label": "another"},
        {"created_at": datetime(2026, 12, 1, tzinfo=timezone.utc)},
        {"public_key": b"p" * 32},
        {"mac": b""},
        {"mac": b"m" * 32},
    ],
    ids="-".join,
)
def test_a_slot_that_was_changed_is_foreign(record: VaultRecord, change: dict[str, Any]) -> None:
    """Whatever was changed of what stays; it is named, and the list is not complete without it."""
    one, two, three = record.slots
    edited = replace(two, **change)
    found = checked(replace(record, slots=(one, edited, three)), KEYS)
    assert (found.genuine, found.foreign) == ((one, three), (edited,))
    assert not found.complete
    assert not found.as_made
    assert not fits(edited, VAULT, KEYS)
    assert fits(two, VAULT, KEYS)


@pytest.mark.parametrize("change", [{"parameters": {}}, {"wrapped": b"w"}, {"pinned": 9}, {"pin": b"p"}])
def test_what_changes_of_a_slot_by_itself_does_not_make_it_foreign(
    record: VaultRecord, change: dict[str, Any]
) -> None:
    """A custodian's parameters, and what follows from the master key: they are judged elsewhere."""
    one, *others = record.slots
    assert checked(replace(record, slots=(replace(one, **change), *others)), KEYS).as_made


def test_slots_of_another_vault_or_generation_are_foreign(record: VaultRecord) -> None:
    """Their MACs are by other keys."""
    for other in (
        replace(record, vault_id="vault-2"),
        replace(record, generation=3),
        replace(record, salt=b"t" * 16),
    ):
        assert checked(other, keys_of(other)).genuine == ()
    assert checked(record, keys_of(record, b"n" * 32)).genuine == ()
    assert not fits(record.slots[0], "vault-2", KEYS)


def test_a_list_in_another_order_or_length_is_not_complete(record: VaultRecord) -> None:
    """Though each of its slots is genuine."""
    for slots in (record.slots[::-1], record.slots[:2], ()):
        found = checked(replace(record, slots=slots), KEYS)
        assert (found.foreign, found.complete, found.as_made) == ((), False, False)


def test_a_foreign_slot_beside_all_others_leaves_the_list_complete(record: VaultRecord) -> None:
    """It is not as it was made."""
    planted = replace(record.slots[0], id="planted")
    found = checked(replace(record, slots=(planted, *record.slots)), KEYS)
    assert (found.foreign, found.complete, found.as_made) == ((planted,), True, False)


def test_foreign_slots_stay_as_they_are_behind_the_others(record: VaultRecord) -> None:
    """And a vault with slots is none from before them."""
    planted = replace(record.slots[0], id="planted")
    before = replace(EMPTY, before_slots=HeldByOne("passphrase", {}))
    made = with_slots(before, [slot("one")], KEYS, foreign=[planted])
    assert made.before_slots is None
    assert made.slots[1] is planted
    assert (made.check, made.generation) == (EMPTY.check, 2)
    found = checked(made, KEYS)
    assert ([one.id for one in found.genuine], found.foreign, found.complete) == (["one"], (planted,), True)


def test_a_master_key_is_wrapped_for_its_slot_and_generation() -> None:
    """The slot's secret opens it in no other place."""
    made = wrapped(slot("one"), EMPTY, MASTER, SLOT_KEYS)
    place = place_of(VAULT, "one")
    assert SLOT_KEYS.unwrap(made.wrapped, SECRETS["one"], place, 2) == MASTER
    assert replace(made, wrapped=b"") == slot("one")


def test_a_pin_fits_the_generation_that_it_was_made_of() -> None:
    """By the slot's own secret and those keys, and in no other place."""
    made = pinned(slot("one"), VAULT, SECRETS["one"], KEYS, SLOT_KEYS)
    assert made.pinned == 2
    others = {3: keys_of(replace(EMPTY, generation=3)), 2: KEYS}
    assert pin_fits(made, VAULT, SECRETS["one"], others.get, SLOT_KEYS)
    assert not pin_fits(made, VAULT, SECRETS["two"], others.get, SLOT_KEYS)
    assert not pin_fits(made, "vault-2", SECRETS["one"], others.get, SLOT_KEYS)
    assert not pin_fits(replace(made, id="two"), VAULT, SECRETS["one"], others.get, SLOT_KEYS)
    assert not pin_fits(replace(made, pinned=3), VAULT, SECRETS["one"], others.get, SLOT_KEYS)
    assert not pin_fits(replace(made, pin=b""), VAULT, SECRETS["one"], others.get, SLOT_KEYS)


def test_a_pin_to_a_generation_whose_keys_are_gone_does_not_fit() -> None:
    """Nothing says that it is the same vault; nor do other keys under that generation's number."""
    made = pinned(slot("one"), VAULT, SECRETS["one"], KEYS, SLOT_KEYS)
    assert not pin_fits(made, VAULT, SECRETS["one"], lambda _: None, SLOT_KEYS)
    other = keys_of(EMPTY, b"n" * 32)
    assert not pin_fits(made, VAULT, SECRETS["one"], lambda _: other, SLOT_KEYS)


def test_a_new_master_key_is_for_all_slots_and_pins_those_whose_secret_is_known(record: VaultRecord) -> None:
    """The others stay pinned to what they opened last."""
    slots = [pinned(one, VAULT, SECRETS[one.id], KEYS, SLOT_KEYS) for one in record.slots]
    planted = replace(slots[0], id="planted")
    following = replace(record, generation=3, salt=b"t" * 16)
    keys = keys_of(following, b"n" * 32)
    made = renewed(
        following, slots, b"n" * 32, keys, SLOT_KEYS, known={"two": SECRETS["two"]}, foreign=[planted]
    )
    assert checked(made, keys).foreign == (planted,)
    assert checked(made, keys).complete
    for one in made.slots[:3]:
        opened = SLOT_KEYS.unwrap(one.wrapped, SECRETS[one.id], place_of(VAULT, one.id), 3)
        assert opened == b"n" * 32
        assert one.pinned == (3 if one.id == "two" else 2)
        assert pin_fits(one, VAULT, SECRETS[one.id], {2: KEYS, 3: keys}.get, SLOT_KEYS)
    assert made.slots[3] is planted


class Noted:
    """Keys that note what they are asked to authenticate."""

    generation = 258

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def mac(self, purpose: str, message: bytes) -> bytes:
        self.messages.append((purpose, message))
        return b"mac of 32 bytes, or nearly so ..."

    def unseal_claim(self, envelope: bytes, context: bytes) -> bytes:
        raise NotImplementedError


def test_what_is_authenticated_of_slots_is_as_it_always_was() -> None:
    """Byte by byte: with another spelling every slot of a stored vault would be foreign after an update."""
    noted = Noted()
    with_slots(EMPTY, [slot("one", public_key=b"\1\2"), slot("two", public_key=b"", label="\u00e9")], noted)
    made = b'{"created_at":"2026-11-30T00:00:00.000000+00:00"'
    one = made + b',"id":"one","kind":"passphrase","label":"the one","public_key":"0102","vault":"vault-1"}'
    two = made + b',"id":"two","kind":"passphrase","label":"\xc3\xa9","public_key":"","vault":"vault-1"}'
    assert noted.messages == [
        ("slot", b"connvault-slot-1\0" + one),
        ("slot", b"connvault-slot-1\0" + two),
        ("slot", b'connvault-slots-1\0{"ids":["one","two"],"vault":"vault-1"}'),
    ]


def test_what_is_pinned_of_a_vault_is_as_it_always_was() -> None:
    """Byte by byte: with another spelling no slot would open its vault after an update."""
    noted, place = Noted(), b'{"slot":"one","vault":"vault-1"}'
    made = pinned(slot("one"), VAULT, SECRETS["one"], noted, SLOT_KEYS)
    assert noted.messages == [("audit", b"connvault-slot-pin-1\0" + place)]
    message = b"connvault-slot-pin-1\0" + b"\0\0\0\0\0\0\1\2" + b"mac of 32 bytes, or nearly so ..."
    assert made.pin == SLOT_KEYS.pin(SECRETS["one"], place, message)
