"""The key slots as people see and change them. What a genuine slot is: `slots`; how keys are changed: `key_change`.

Each change needs the secret of an existing slot in the same call (`slot_proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ...contracts.events import Event
from ...contracts.vault import AddSlot, RemoveSlot, RotateKeys, SlotList, SlotProof, SlotView
from ...errors import (
    AuthenticationOff,
    ConnvaultError,
    InvalidRequest,
    LastSlot,
    VaultNotSetUp,
)
from ..context import Context, Stores
from ..identifiers import new_id
from ..vault_ports import Slot, VaultPorts, VaultRecord
from ..visible_names import visible
from .custody import Custody, Recovered, new_slot, slots_of
from .held_keys import HeldKeys
from .key_change import KEY_BYTES, KeyChange
from .slot_proof import SlotProofs, named
from .slots import MAX_SLOTS, checked, pinned, with_slots, wrapped

# A label has at most 60, and what is invisible in it is spelt out.
_SHOWN_LABEL_CHARS = 120


class SlotService:
    """All but `list` wait for custodians, so they are called without the lock."""

    def __init__(
        self,
        *,
        context: Context,
        stores: Stores,
        ports: VaultPorts,
        custody: Custody,
        held: HeldKeys,
        key_change: KeyChange,
        proofs: SlotProofs,
    ) -> None:
        self._proofs = proofs
        self._store = stores.vault
        self._slot_keys = ports.slot_keys
        self._custody = custody
        self._held = held
        self._key_change = key_change
        self._audit = context.audit
        self._clock = context.clock
        self._randomness = context.randomness
        self._publish = context.publish
        self._lock = context.lock
        self._authenticated = context.settings.authenticated

    def list(self) -> SlotList:
        """The slots. While the vault is locked nobody can tell which are genuine. Raises: VaultNotSetUp."""
        record, keys = self._existing(), self._held.keys
        if keys is None or record.before_slots is not None:
            return SlotList(slots=[_view(slot, "unchecked") for slot in slots_of(record)])
        found = checked(record, keys)
        return SlotList(
            slots=[_view(slot, "genuine" if slot in found.genuine else "foreign") for slot in record.slots],
            changed_outside=not found.as_made,
        )

    def add(self, request: AddSlot, *, actor: str) -> SlotList:
        """Adds a slot for the present master key.

        Raises: AuthenticationOff, VaultNotSetUp, VaultLocked, WrongPassphrase, SlotProofRefused, VaultReplaced,
            ForeignSlot, CustodianUnavailable, WeakPassphrase, InvalidRequest, Conflict, StorageError.
        """
        if not self._authenticated:
            raise AuthenticationOff
        passphrase = None if request.passphrase is None else request.passphrase.get_secret_value()
        with self._key_change.single_flight.alone():
            record, by = self._proven(request.proof, actor)
            slots = self._key_change.genuine(record, by)
            if len(slots) >= MAX_SLOTS:
                raise InvalidRequest(f"A vault has at most {MAX_SLOTS} key slots. Remove one first.")
            secret = self._randomness(KEY_BYTES)
            slot = self._custody.made(
                record.vault_id,
                new_slot(
                    new_id(self._randomness),
                    request.kind,
                    request.label or self._custody.name(request.kind),
                    self._clock(),
                ),
                secret,
                passphrase,
            )
            try:
                self._add(record, by, slots, slot, secret, actor)
            except BaseException:
                self._custody.forget(record.vault_id, slot)
                raise
        return self._changed()

    def remove(self, request: RemoveSlot, *, actor: str) -> SlotList:
        """Removes a slot, genuine or foreign, and makes another master key for those that stay.

        Raises: VaultNotSetUp, VaultLocked, SlotNotFound, WrongPassphrase, SlotProofRefused, VaultReplaced, Conflict,
            StorageError.
            LastSlot: no other would stay, or it is the one that was given as the proof.
        """
        with self._key_change.single_flight.alone():
            with self._lock:
                named(self._existing(), request.id)
            record, by = self._proven(request.proof, actor)
            removed = named(record, request.id)
            if removed.id == by.slot.id:
                raise LastSlot
            genuine, foreign = self._key_change.told_apart(record, by)
            self._renew(
                record,
                by,
                [slot for slot in genuine if slot.id != removed.id],
                [slot for slot in foreign if slot.id != removed.id],
                lambda: self._audit.record("slot:removed", decided_by=actor, slot_id=removed.id),
            )
            if removed in genuine:
                self._custody.forget(record.vault_id, removed)
        return self._changed()

    def rotate(self, request: RotateKeys, *, actor: str) -> SlotList:
        """Makes another master key for the same slots.

        Raises: VaultNotSetUp, VaultLocked, WrongPassphrase, SlotProofRefused, VaultReplaced, ForeignSlot, Conflict,
            StorageError.
        """
        with self._key_change.single_flight.alone():
            record, by = self._proven(request.proof, actor)
            self._renew(
                record,
                by,
                self._key_change.genuine(record, by),
                (),
                lambda: self._audit.record("vault:rotated", decided_by=actor),
            )
        return self._changed()

    def _add(
        self,
        record: VaultRecord,
        by: Recovered,
        slots: tuple[Slot, ...],
        slot: Slot,
        secret: bytes,
        actor: str,
    ) -> None:
        keys = by.unlocked.keys
        ready = wrapped(slot, record, by.master_key, self._slot_keys)
        ready = pinned(ready, record.vault_id, secret, keys, self._slot_keys)
        with self._lock:
            self._key_change.keep(
                record,
                by,
                with_slots(record, [*slots, ready], keys),
                note=lambda: self._audit.record("slot:added", decided_by=actor, slot_id=slot.id),
            )

    def _renew(
        self,
        record: VaultRecord,
        by: Recovered,
        slots: Sequence[Slot],
        foreign: Sequence[Slot],
        note: Callable[[], object],
    ) -> None:
        with self._lock:
            self._key_change.change(
                record, by, slots, known={by.slot.id: by.secret}, foreign=foreign, note=note
            )

    def _proven(self, proof: SlotProof, actor: str) -> tuple[VaultRecord, Recovered]:
        """The vault as it is stored, opened by the slot whose secret was given."""
        record = self._proofs.record()
        try:
            return record, self._proofs.opened(record, proof)
        except ConnvaultError as refused:
            with self._lock:
                self._audit.refused("slot:refused", refused, actor=actor)
            raise

    def _existing(self) -> VaultRecord:
        record = self._store.load()
        if record is None:
            raise VaultNotSetUp
        return record

    def _changed(self) -> SlotList:
        self._publish(Event(event="vault:changed"))
        with self._lock:
            return self.list()


def _view(slot: Slot, standing: Literal["genuine", "foreign", "unchecked"]) -> SlotView:
    return SlotView(
        id=slot.id,
        kind=slot.kind,
        label=visible(slot.label, limit=_SHOWN_LABEL_CHARS),
        created_at=slot.created_at,
        standing=standing,
    )
