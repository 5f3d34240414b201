"""The secret of an existing slot, given again: what changes of slots and exports with secrets need besides the token.

It is never fetched from a custodian but the passphrase's: the keyring and the key file would answer anybody who has the
server's token. A passphrase is typed; the key that a keyring or a key file holds is read by who asks, outside the
broker, which code with nothing but the token can't do.
"""

from __future__ import annotations

import base64
from contextlib import suppress

from ...contracts.vault import SlotProof
from ...errors import (
    CustodianUnavailable,
    InvalidRequest,
    SlotNotFound,
    SlotProofRefused,
    VaultLocked,
    VaultNotSetUp,
)
from ..context import Stores
from ..ports import Lock
from ..vault_ports import Slot, VaultRecord
from .custody import Custody, Recovered, slots_of

_NEVER_UNLOCKED = "The vault is from an earlier version. Unlock it once, then change its key slots."


class SlotProofs:
    """Slow: call it without the lock, and one at a time (`KeyChange.single_flight`). Logs nothing."""

    def __init__(self, *, stores: Stores, custody: Custody, lock: Lock) -> None:
        self._store = stores.vault
        self._custody = custody
        self._lock = lock

    def record(self) -> VaultRecord:
        """The vault as it is stored. Raises: VaultNotSetUp. VaultLocked: it has no slots yet."""
        with self._lock:
            found = self._store.load()
        if found is None:
            raise VaultNotSetUp
        if found.before_slots is not None:
            raise VaultLocked(_NEVER_UNLOCKED)
        return found

    def opened(self, record: VaultRecord, proof: SlotProof) -> Recovered:
        """The vault, opened by the slot whose secret was given.

        Raises: SlotProofRefused, WrongPassphrase, VaultReplaced."""
        if (proof.passphrase is None) == (proof.key is None) or (proof.key is None) != (proof.slot is None):
            raise SlotProofRefused
        # Raised outside the handlers, so that no cause is attached.
        with suppress(CustodianUnavailable, InvalidRequest, ValueError, SlotNotFound):
            if proof.passphrase is not None:
                return self._custody.recover(record, proof.passphrase.get_secret_value())
            if proof.key is not None and proof.slot is not None:
                secret = base64.b64decode(proof.key.get_secret_value(), validate=True)
                return self._custody.opened_by(record, named(record, proof.slot), secret)
        raise SlotProofRefused


def named(record: VaultRecord, slot_id: str) -> Slot:
    """The slot with this id. Raises: SlotNotFound."""
    found = next((slot for slot in slots_of(record) if slot.id == slot_id), None)
    if found is None:
        raise SlotNotFound
    return found
