"""The vault's state: SecretsService sets up, unlocks and locks. Sealing with its keys is done by `sealing`.

The master key is held only while keys are derived from it; secrets of connections never come here.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Literal

from ...contracts.events import Event
from ...contracts.vault import (
    ChangePassphrase,
    CustodianChoice,
    SetUpVault,
    UnlockVault,
    VaultState,
)
from ...errors import (
    AuthenticationOff,
    ConnvaultError,
    CustodianUnavailable,
    ForeignSlot,
    InvalidRequest,
    StorageError,
    VaultExists,
    VaultLocked,
    VaultNotSetUp,
    WrongPassphrase,
)
from ..connections.documents import Documents
from ..context import Context, Stores
from ..grants.ended import Ended
from ..identifiers import new_id
from ..vault_ports import Keys, VaultPorts, VaultRecord
from .custody import Custody, Recovered, new_slot, slots_of
from .generations import FIRST, SALT_BYTES, Unlocked, opened
from .held_keys import HeldKeys
from .key_change import KEY_BYTES, KeyChange
from .sealing import SealedSecrets
from .slots import checked, pinned, renewed

# There is no person to name: the vault was unlocked when the server started.
AT_START = "server start"

SUPERSEDED = "The keys of the vault were changed by another server. Unlock the vault again."


class SecretsService:
    """Holds the keys of one vault while it is unlocked.

    `set_up`, `unlock`, `change_passphrase` and `open_at_start` wait for a custodian: they are called without the lock,
    one of them runs at a time (so guesses can't be made in parallel), and the lock is held only for the short parts.
    `state` calls the custodians too, so it is called without the lock, as is `lock`, which must not wait for it.

    The keys are dropped as soon as another server has changed them; whatever needs them then raises `VaultLocked`.
    """

    def __init__(
        self,
        *,
        context: Context,
        stores: Stores,
        ports: VaultPorts,
        custody: Custody,
        held: HeldKeys,
        ended: Ended,
        documents: Documents,
        key_change: KeyChange,
    ) -> None:
        self._store = stores.vault
        self._held = held
        self._ended = ended
        self._documents = documents
        self._key_change = key_change
        self._slot_keys = ports.slot_keys
        self._custody = custody
        self._derive_keys = ports.derive_keys
        self._check_value = ports.check_value
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._randomness = context.randomness
        self._publish = context.publish
        self._lock = context.lock
        self._single_flight = key_change.single_flight
        self._authenticated = context.settings.authenticated
        self.sealed = SealedSecrets(
            store=stores.secrets,
            keys=lambda: self.keys,
            keys_after_the_look=self._keys_after_the_look,
            vault_id=lambda: self.vault_id,
            clock=context.clock,
            randomness=context.randomness,
            authenticated=context.settings.authenticated,
        )
        """The sealed secrets, sealed and unsealed with this vault's keys."""
        self._vault_id = ""

    @property
    def keys(self) -> Keys:
        """Raises: VaultLocked, VaultNotSetUp, StorageError."""
        found = self._held.keys
        if found is None:
            if self._store.check() is None:
                raise VaultNotSetUp
            raise VaultLocked(SUPERSEDED) if self._held.superseded else VaultLocked
        return found

    @property
    def keys_if_unlocked(self) -> Keys | None:
        """The keys, or `None` while the vault is locked or absent. Raises: StorageError."""
        return self._held.keys

    def _keys_after_the_look(self) -> Keys:
        found = self._held.before_the_look
        return self.keys if found is None else found.keys

    @property
    def vault_id(self) -> str:
        """Raises: VaultNotSetUp."""
        if not self._vault_id:
            self._vault_id = self._existing().vault_id
        return self._vault_id

    @property
    def short_state(self) -> Literal["absent", "locked", "unlocked"]:
        """The state, without calling any custodian."""
        if self._held.now is not None:
            return "unlocked"
        return "absent" if self._store.check() is None else "locked"

    def state(self) -> VaultState:
        """The vault, and which custodians are available here. Never prompts a person."""
        choices = self._custody.choices()
        with self._lock:
            return self._shown(choices)

    def _shown(self, choices: list[CustodianChoice]) -> VaultState:
        return self._custody.shown(
            self._store.load(), self.short_state, choices, authenticated=self._authenticated
        )

    def set_up(self, request: SetUpVault, *, actor: str) -> VaultState:
        """Creates the master key and its first slot, gives the slot's secret to the custodian and unlocks.

        If another server was first, its vault is used, and unlocked if the same custodian and passphrase unlock it.

        Raises: AuthenticationOff, VaultExists, CustodianUnavailable, WeakPassphrase, InvalidRequest, StorageError.
        """
        if not self._authenticated:
            raise AuthenticationOff
        passphrase = None if request.passphrase is None else request.passphrase.get_secret_value()
        with self._single_flight.alone():
            with self._lock:
                if self._store.load() is not None:
                    raise VaultExists
            kind = request.custodian or self._custody.default(self._custody.choices())
            # Before anything is made: it says what is missing.
            kind = self._custody.custodian(kind, passphrase).kind
            vault_id = new_id(self._randomness)
            secret, master_key = self._randomness(KEY_BYTES), self._randomness(KEY_BYTES)
            slot = self._custody.made(
                vault_id,
                new_slot(vault_id, kind, self._custody.name(kind), self._clock()),
                secret,
                passphrase,
            )
            record = VaultRecord(
                vault_id=vault_id,
                check=b"",
                created_at=slot.created_at,
                generation=FIRST,
                salt=self._randomness(SALT_BYTES),
            )
            record = replace(record, check=self._check_value(master_key, vault_id, record.epoch))
            unlocked = opened(record, master_key, self._derive_keys)
            record = renewed(
                record, [slot], master_key, unlocked.keys, self._slot_keys, known={slot.id: secret}
            )
            try:
                with self._lock:
                    won = self._create(record, unlocked, actor)
            except BaseException:
                self._custody.forget(vault_id, slot)
                raise
            if not won:
                self._custody.forget(vault_id, slot)
                self._use_theirs(passphrase, actor)
        return self._changed()

    def unlock(self, request: UnlockVault, *, actor: str) -> VaultState:
        """Unlocks; does nothing if the vault is unlocked. A wrong passphrase is logged, and takes as long as the right
        one.

        Raises: VaultNotSetUp, WrongPassphrase, CustodianUnavailable, InvalidRequest, StorageError.
        """
        passphrase = None if request.passphrase is None else request.passphrase.get_secret_value()
        with self._single_flight.alone():
            with self._lock:
                self._existing()
                locked = self._held.now is None
            if locked:
                self._open(passphrase, actor)
        return self._changed()

    def open_at_start(self) -> VaultState:
        """Unlocks a vault by a slot that needs no typing (OS keyring, key file), without asking anything ourselves; any
        other vault stays as it is.

        Never raises because of the custodian: a server must be able to start without its keyring; the panel shows the
        state.
        """
        with self._lock:
            record = self._store.load()
        if record is not None and any(slot.kind != "passphrase" for slot in slots_of(record)):
            with suppress(ConnvaultError):
                self.unlock(UnlockVault(), actor=AT_START)
        return self.state()

    def change_passphrase(self, request: ChangePassphrase, *, actor: str) -> VaultState:
        """Gives the slot that the current passphrase opens another one, makes another master key and seals everything
        again; the other slots stay as they are, and a locked vault stays locked.

        Whoever has an old copy of the database and knew the old passphrase can't unseal anything stored from now on.

        Raises: VaultNotSetUp, WrongPassphrase, WeakPassphrase, InvalidRequest, ForeignSlot, VaultReplaced, Conflict,
            StorageError.
        """
        new = request.new.get_secret_value()
        with self._single_flight.alone():
            with self._lock:
                record = self._existing()
            if not any(slot.kind == "passphrase" for slot in slots_of(record)):
                raise InvalidRequest("This vault has no passphrase.")
            by = self._recover(record, request.current.get_secret_value(), actor)
            slots = self._key_change.genuine(record, by)
            secret = self._randomness(KEY_BYTES)
            changed = self._custody.made(record.vault_id, by.slot, secret, new)
            with self._lock:
                self._key_change.change(
                    record,
                    by,
                    [changed if slot.id == changed.id else slot for slot in slots],
                    known={changed.id: secret},
                    note=lambda: self._audit.record(
                        "vault:passphrase_changed", decided_by=actor, slot_id=changed.id
                    ),
                )
        return self._changed()

    def lock(self, *, actor: str) -> VaultState:
        """Forgets the keys. Works on a full disk. Other servers on the vault stay as they are.

        Called without the lock: from here on no connection stays open or is opened, even if somebody holds the lock
        and waits for the database. Locking waits for no custodian, so it returns their last known state; the event
        that follows makes clients fetch it again.
        """
        with self._ended.everything(), self._lock:
            if self._held.before_the_look is not None:
                # Locking never fails because it can't be logged.
                with suppress(StorageError), self._transactions.escape():
                    self._audit.record("vault:locked", decided_by=actor)
                self._held.let_go()
        self._publish(Event(event="vault:changed"))
        with self._lock:
            return self._shown(self._custody.last_seen)

    def _existing(self) -> VaultRecord:
        record = self._store.load()
        if record is None:
            raise VaultNotSetUp
        return record

    def _create(self, record: VaultRecord, unlocked: Unlocked, actor: str) -> bool:
        with self._key_change.holding(None), self._transactions.transaction():
            if not self._store.create(record):
                return False
            self._held.hold(unlocked)
            self._documents.unlocked(unlocked.keys)
            self._audit.record("vault:set_up", decided_by=actor)
        return True

    def _use_theirs(self, passphrase: str | None, actor: str) -> None:
        try:
            self._open(passphrase, actor)
        except (WrongPassphrase, CustodianUnavailable, InvalidRequest):
            raise VaultExists from None

    def _open(self, passphrase: str | None, actor: str) -> None:
        while True:
            with self._lock:
                record = self._existing()
            by = self._recover(record, passphrase, actor)
            from_before = record.before_slots is not None
            block = self._transactions.erasing if from_before else self._transactions.transaction
            with self._lock, self._key_change.holding(None), block():
                # Another server may have changed the vault in the meantime: its keys are the valid ones.
                if self._store.load() != record:
                    continue
                if from_before:
                    self._take_over(record, by, actor)
                else:
                    self._held.hold(by.unlocked)
                    self._documents.unlocked(by.unlocked.keys)
                    self._look_at_slots(record, by)
                self._audit.record("vault:unlocked", decided_by=actor, slot_id=by.slot.id)
                return

    def _take_over(self, record: VaultRecord, by: Recovered, actor: str) -> None:
        """Takes over a vault from before key slots: it gets one. Its custodian and what that holds stay as they are (a
        keyring's item and the database can't be changed atomically): the master key of then is the slot's secret now.

        A vault from before connections carried MACs is accepted as it is, this once. The master key is another one, so
        whoever restores the old vault record later has keys that unseal nothing, and documents can't be made to look as
        if they were from before.
        """
        self._key_change.within(
            record,
            by,
            [by.slot],
            known={by.slot.id: by.secret},
            note=lambda: self._audit.record("vault:upgraded", decided_by=actor),
        )

    def _look_at_slots(self, record: VaultRecord, by: Recovered) -> None:
        """Logs what was changed from outside, and pins the slot to the generation that it has just opened."""
        keys = by.unlocked.keys
        found = checked(record, keys)
        for slot in found.foreign:
            self._audit.record(
                "slot:changed_outside", outcome="refused", code=ForeignSlot.code, slot_id=slot.id
            )
        # An edited slot is missing among the genuine ones; that it was edited says it.
        if not found.complete and not found.foreign:
            self._audit.record("slot:changed_outside", outcome="refused")
        if by.slot.pinned != record.generation:
            slots = [
                pinned(slot, record.vault_id, by.secret, keys, self._slot_keys)
                if slot.id == by.slot.id
                else slot
                for slot in record.slots
            ]
            self._store.replace(replace(record, slots=tuple(slots)))

    def _recover(self, record: VaultRecord, passphrase: str | None, actor: str) -> Recovered:
        try:
            return self._custody.recover(record, passphrase)
        except ConnvaultError as refused:
            with self._lock:
                self._audit.refused("vault:unlock_refused", refused, actor=actor)
            raise

    def _changed(self) -> VaultState:
        self._publish(Event(event="vault:changed"))
        return self.state()
