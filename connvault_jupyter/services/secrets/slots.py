"""Key slots: which of a vault's are genuine, and how they are made ready for a master key. Pure: stores nothing, and
asks no custodian.

A slot is genuine if its MAC is by the vault's keys: only who had the vault open can have made it. A foreign one was put
into the table, or changed there, from outside. It stays where it is, is named, and gets no new master key.

Anybody can wrap a key of their own to a slot's public key, and so make a vault that its owner's passphrase opens. That
is what the pin is for. It is a MAC by the slot's secret over the keys of a generation that this slot has opened; the
keys of later generations are those of the same vault if that generation's are among the kept ones (`Keys.keep_record`),
which only who had them can have put there.

Evolution: the MAC-ed texts have a domain prefix with a number; another text needs another number.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..canonical import canonical
from ..vault_ports import RecordKeys, Slot, SlotKeys, VaultRecord

# Each typed passphrase is tried on all passphrase slots, 150 ms each. Nobody needs as many, and an edited table must
# not hold up an unlock for minutes.
MAX_SLOTS = 16

_SLOT = b"connvault-slot-1\0"
_LIST = b"connvault-slots-1\0"
_PIN = b"connvault-slot-pin-1\0"


def name_of(vault_id: str, slot_id: str) -> str:
    """Under which name the slot's custodian holds its secret. A vault's first slot has the vault's id, as what its
    custodian held before there were slots."""
    return vault_id if slot_id == vault_id else f"{vault_id}.{slot_id}"


def place_of(vault_id: str, slot_id: str) -> bytes:
    """To what the keys of a slot are bound."""
    return canonical({"slot": slot_id, "vault": vault_id})


@dataclass(frozen=True)
class Checked:
    """The slots of a vault, in the order of the table. `complete`: number and order of the genuine ones are as they
    were made."""

    genuine: tuple[Slot, ...]
    foreign: tuple[Slot, ...]
    complete: bool

    @property
    def as_made(self) -> bool:
        return self.complete and not self.foreign


def checked(record: VaultRecord, keys: RecordKeys) -> Checked:
    """`keys`: the present ones of the vault."""
    genuine = tuple(slot for slot in record.slots if fits(slot, record.vault_id, keys))
    return Checked(
        genuine=genuine,
        foreign=tuple(slot for slot in record.slots if slot not in genuine),
        complete=hmac.compare_digest(_list_mac(record.vault_id, genuine, keys), record.slots_mac),
    )


def with_slots(
    record: VaultRecord, slots: Sequence[Slot], keys: RecordKeys, *, foreign: Sequence[Slot] = ()
) -> VaultRecord:
    """The record with these slots, all MAC-ed anew; `foreign` ones follow as they are."""
    genuine = tuple(replace(slot, mac=_slot_mac(slot, record.vault_id, keys)) for slot in slots)
    return replace(
        record,
        slots=(*genuine, *foreign),
        slots_mac=_list_mac(record.vault_id, genuine, keys),
        before_slots=None,
    )


def wrapped(slot: Slot, record: VaultRecord, master_key: bytes, slot_keys: SlotKeys) -> Slot:
    """The slot with the master key of `record`'s generation. Needs nothing secret of the slot.

    Raises: SecretInvalid: its public key is none."""
    place = place_of(record.vault_id, slot.id)
    return replace(slot, wrapped=slot_keys.wrap(master_key, slot.public_key, place, record.generation))


def pinned(slot: Slot, vault_id: str, secret: bytes, keys: RecordKeys, slot_keys: SlotKeys) -> Slot:
    """The slot, pinned to the generation of `keys`."""
    return replace(
        slot, pinned=keys.generation, pin=_pin(slot, vault_id, secret, keys, slot_keys, keys.generation)
    )


def pin_fits(
    slot: Slot,
    vault_id: str,
    secret: bytes,
    of: Callable[[int], RecordKeys | None],
    slot_keys: SlotKeys,
) -> bool:
    """Whether the vault is the one that this slot has opened before. `of`: the keys of a generation."""
    keys = of(slot.pinned)
    if keys is None:
        return False
    return hmac.compare_digest(_pin(slot, vault_id, secret, keys, slot_keys, slot.pinned), slot.pin)


def renewed(
    following: VaultRecord,
    slots: Sequence[Slot],
    master_key: bytes,
    keys: RecordKeys,
    slot_keys: SlotKeys,
    *,
    known: Mapping[str, bytes],
    foreign: Sequence[Slot] = (),
) -> VaultRecord:
    """`following`, the record of a new generation, with the master key wrapped for all `slots`. `known`: by id, the
    secrets of slots that are pinned to it at once; the others stay pinned to the generation that they opened last.

    Raises: SecretInvalid: a slot's public key is none."""
    ready = []
    for slot in slots:
        made = wrapped(slot, following, master_key, slot_keys)
        if slot.id in known:
            made = pinned(made, following.vault_id, known[slot.id], keys, slot_keys)
        ready.append(made)
    return with_slots(following, ready, keys, foreign=foreign)


def fits(slot: Slot, vault_id: str, keys: RecordKeys) -> bool:
    """Whether the slot is as whoever had the vault open has made it."""
    return hmac.compare_digest(_slot_mac(slot, vault_id, keys), slot.mac)


def _slot_mac(slot: Slot, vault_id: str, keys: RecordKeys) -> bytes:
    covered = {
        "created_at": slot.created_at,
        "id": slot.id,
        "kind": slot.kind,
        "label": slot.label,
        "public_key": slot.public_key.hex(),
        "vault": vault_id,
    }
    return keys.mac("slot", _SLOT + canonical(covered))


def _list_mac(vault_id: str, genuine: Sequence[Slot], keys: RecordKeys) -> bytes:
    return keys.mac("slot", _LIST + canonical({"ids": [slot.id for slot in genuine], "vault": vault_id}))


def _pin(
    slot: Slot, vault_id: str, secret: bytes, keys: RecordKeys, slot_keys: SlotKeys, generation: int
) -> bytes:
    place = place_of(vault_id, slot.id)
    # Of an earlier generation, the keys for audit events are kept.
    message = _PIN + generation.to_bytes(8, "big") + keys.mac("audit", _PIN + place)
    return slot_keys.pin(secret, place, message)
