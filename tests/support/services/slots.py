"""A vault with several key slots, and what is done to its slots from outside."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from connvault_jupyter.contracts.vault import (
    AddSlot,
    ChangePassphrase,
    CustodianKind,
    RemoveSlot,
    RotateKeys,
    SetUpVault,
    SlotList,
    UnlockVault,
)
from connvault_jupyter.services.secrets.slots import name_of, place_of
from connvault_jupyter.services.vault_ports import Slot, VaultRecord
from connvault_jupyter.vault.slot_keys import X25519SlotKeys
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import World
from tests.support.services.stand_ins import MemoryKeyring

SPARE = "a spare passphrase"


def with_slots(*, keyring: bool = True, spare: bool = True, **settings: Any) -> World:
    """A vault set up with a passphrase, then as asked a slot in the keyring and one of a spare passphrase; unlocked,
    with a connection."""
    ring = MemoryKeyring()
    world = World(
        custodians={"passphrase": PlainPassphrase(), "os_keyring": ring}, unlocked=False, **settings
    )
    world.keyring = ring
    set_up = {"custodian": "passphrase", "passphrase": PASSPHRASE}
    world.secrets.set_up(SetUpVault.model_validate(set_up), actor="ada")
    if keyring:
        add(world, "os_keyring", label="this server")
    if spare:
        add(world, "passphrase", label="spare", passphrase=SPARE)
    world.connection()
    return world


def add(world: World, kind: CustodianKind, *, proof: dict[str, str] | None = None, **given: Any) -> SlotList:
    request = {"kind": kind, "proof": proof or {"passphrase": PASSPHRASE}, **given}
    return world.slots.add(AddSlot.model_validate(request), actor="ada")


def remove(world: World, slot_id: str, *, proof: dict[str, str] | None = None) -> SlotList:
    request = {"id": slot_id, "proof": proof or {"passphrase": PASSPHRASE}}
    return world.slots.remove(RemoveSlot.model_validate(request), actor="ada")


def change(world: World, current: str, new: str = "another long passphrase") -> None:
    given = {"current": current, "new": new}
    world.secrets.change_passphrase(ChangePassphrase.model_validate(given), actor="ada")


def rotate(world: World, proof: dict[str, str] | None = None) -> SlotList:
    request = {"proof": proof or {"passphrase": PASSPHRASE}}
    return world.slots.rotate(RotateKeys.model_validate(request), actor="ada")


def unlock(world: World, passphrase: str | None = PASSPHRASE) -> None:
    world.secrets.unlock(UnlockVault.model_validate({"passphrase": passphrase}), actor="ada")


def lock(world: World) -> None:
    world.secrets.lock(actor="ada")


def record_of(world: World) -> VaultRecord:
    found = world.stores.vault.load()
    assert found is not None
    return found


def slot_of(world: World, label: str) -> Slot:
    (found,) = [slot for slot in record_of(world).slots if slot.label == label]
    return found


def key_proof(world: World, label: str = "this server") -> dict[str, str]:
    """The keyring's key for this slot, as somebody reads it who has the keyring."""
    slot = slot_of(world, label)
    key = world.keyring.items[name_of(record_of(world).vault_id, slot.id)]
    return {"slot": slot.id, "key": base64.b64encode(key).decode()}


def edit(world: World, changed: Callable[[VaultRecord], VaultRecord]) -> None:
    """Somebody writes into the vault's row."""
    world.stores.vault.replace(changed(record_of(world)))


def planted(world: World, secret: bytes, **changes: Any) -> Slot:
    """A slot of somebody's own with this secret: as complete as it can be made without the vault's keys."""
    record, keys = record_of(world), X25519SlotKeys()
    place = place_of(record.vault_id, "planted")
    values: dict[str, Any] = {
        "id": "planted",
        "kind": "passphrase",
        "label": "spare 2",
        "created_at": record.created_at,
        "public_key": keys.public_key(secret, place),
        "parameters": {"passphrase": "mallory's passphrase", "key": secret.hex()},
        "wrapped": record.slots[0].wrapped,
        "mac": record.slots[0].mac,
        "pinned": record.slots[0].pinned,
        "pin": record.slots[0].pin,
    }
    return Slot(**(values | changes))


def plant(world: World, slot: Slot) -> None:
    edit(world, lambda record: replace(record, slots=(*record.slots, slot)))
