"""Gives a vault other keys, in one transaction: a new master key, wrapped for its slots, and everything renewed for it.

No custodian is asked here: a slot's public key is enough. Who may do this is decided by the callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ...errors import Conflict, ForeignSlot
from ..context import Context, Stores
from ..vault_ports import Slot, VaultPorts, VaultRecord
from .custody import Custody, Recovered
from .generations import SALT_BYTES, Unlocked, succeeding
from .held_keys import HeldKeys
from .rekeying import Rekeying
from .single_flight import SingleFlight
from .slots import checked, fits, renewed

# AES-256; also the length of a slot's secret.
KEY_BYTES = 32


class KeyChange:
    """Called with the lock held, except `single_flight`."""

    def __init__(
        self, *, context: Context, stores: Stores, ports: VaultPorts, held: HeldKeys, rekeying: Rekeying
    ) -> None:
        self._store = stores.vault
        self._derive_keys = ports.derive_keys
        self._check_value = ports.check_value
        self._slot_keys = ports.slot_keys
        self._transactions = context.transactions
        self._audit = context.audit
        self._randomness = context.randomness
        self._held = held
        self._rekeying = rekeying
        self.single_flight = SingleFlight(lock=context.lock)
        """One at a time may wait for a custodian, so guesses can't be made in parallel."""

    def genuine(self, record: VaultRecord, by: Recovered) -> tuple[Slot, ...]:
        """The slots that get a new master key, that of `by` with the public key of its secret.

        Raises: ForeignSlot: there are others. They have to be removed first."""
        found, foreign = self.told_apart(record, by)
        if foreign:
            raise ForeignSlot(slots=[slot.id for slot in foreign])
        return found

    @staticmethod
    def told_apart(record: VaultRecord, by: Recovered) -> tuple[tuple[Slot, ...], tuple[Slot, ...]]:
        """(genuine, foreign). The slot that has just opened the vault is genuine, whatever was written into its row."""
        if record.before_slots is not None:
            return (by.slot,), ()
        found, opener = checked(record, by.unlocked.keys), by.slot
        if not fits(opener, record.vault_id, by.unlocked.keys):
            opener = replace(opener, label=Custody.name(opener.kind))
        mine = {slot.id: slot for slot in found.genuine} | {opener.id: opener}
        return (
            tuple(mine[slot.id] for slot in record.slots if slot.id in mine),
            tuple(slot for slot in found.foreign if slot.id not in mine),
        )

    def change(
        self,
        record: VaultRecord,
        by: Recovered,
        slots: Sequence[Slot],
        *,
        known: Mapping[str, bytes],
        note: Callable[[], object],
        foreign: Sequence[Slot] = (),
    ) -> None:
        """Makes `slots` the slots of the vault, under a new master key; a locked vault stays locked.

        `known`: secrets of slots, by id, that are at hand. `note` logs why. Whoever has an old copy of the database, or
        the secret of a slot that is not among `slots`, can't unseal anything stored from now on.

        Raises: Conflict: the vault was changed since `record` was read. SecretInvalid, StorageError.
        """
        held = self._held.now
        with self.holding(held), self._transactions.erasing():
            self.within(record, by, slots, known=known, note=note, foreign=foreign)
        if held is None:
            self._held.let_go()

    def within(
        self,
        record: VaultRecord,
        by: Recovered,
        slots: Sequence[Slot],
        *,
        known: Mapping[str, bytes],
        note: Callable[[], object],
        foreign: Sequence[Slot] = (),
    ) -> None:
        """As `change`, in the caller's transaction; the vault is unlocked by it."""
        master_key = self._randomness(KEY_BYTES)
        following, unlocked = succeeding(
            record,
            by.unlocked,
            master_key,
            salt=self._randomness(SALT_BYTES),
            ended=self._audit.head(),
            derive_keys=self._derive_keys,
            check_value=self._check_value,
        )
        following = renewed(
            following, slots, master_key, unlocked.keys, self._slot_keys, known=known, foreign=foreign
        )
        unread = self._rekeying.run(record, by.unlocked, following, unlocked)
        self._held.hold(unlocked)
        note()
        self._rekeying.finish(record, unread, unlocked.keys)

    def keep(
        self, record: VaultRecord, by: Recovered, after: VaultRecord, *, note: Callable[[], object]
    ) -> None:
        """Stores other slots under the same master key; a locked vault stays locked.

        Raises: Conflict, StorageError."""
        held = self._held.now
        with self.holding(held), self._transactions.transaction():
            if self._store.load() != record:
                raise Conflict
            self._held.hold(by.unlocked)
            self._store.replace(after)
            note()
        if held is None:
            self._held.let_go()

    @contextmanager
    def holding(self, otherwise: Unlocked | None) -> Iterator[None]:
        """A block that holds other keys; if it fails and nothing was stored, `otherwise` are held again."""
        try:
            yield
        except BaseException:
            if otherwise is None:
                self._held.let_go()
            else:
                self._held.hold(otherwise)
            raise
