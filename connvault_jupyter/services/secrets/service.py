"""The vault's state: SecretsService sets up, unlocks and locks. Sealing with its keys is done by `sealing`.

The master key is held only while keys are derived from it; secrets of connections never come here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Literal

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
from .custody import Custody
from .generations import (
    FIRST,
    FROM_BEFORE,
    SALT_BYTES,
    Unlocked,
    opened,
    succeeding,
)
from .held_keys import HeldKeys
from .rekeying import Rekeying
from .sealing import SealedSecrets
from .single_flight import SingleFlight

# AES-256.
MASTER_KEY_BYTES = 32

# There is no person to name: the vault was unlocked when the server started.
AT_START = "server start"

SUPERSEDED = "The passphrase was changed by another server. Unlock the vault again."


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
        rekeying: Rekeying,
    ) -> None:
        self._store = stores.vault
        self._held = held
        self._ended = ended
        self._documents = documents
        self._rekeying = rekeying
        self._custody = custody
        self._derive_keys = ports.derive_keys
        self._check_value = ports.check_value
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._randomness = context.randomness
        self._publish = context.publish
        self._lock = context.lock
        self._single_flight = SingleFlight(lock=context.lock)
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
        """Creates the master key, gives it to the custodian and unlocks.

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
            custodian = self._custody.custodian(kind, passphrase)
            vault_id = new_id(self._randomness)
            master_key = self._randomness(MASTER_KEY_BYTES)
            record = VaultRecord(
                vault_id=vault_id,
                custodian=custodian.kind,
                parameters=custodian.keep(vault_id, master_key, passphrase),
                check=b"",
                created_at=self._clock(),
                generation=FIRST,
                salt=self._randomness(SALT_BYTES),
            )
            record = replace(record, check=self._check_value(master_key, vault_id, record.epoch))
            try:
                with self._lock:
                    won = self._create(record, opened(record, master_key, self._derive_keys), actor)
            except BaseException:
                custodian.forget(vault_id, record.parameters)
                raise
            if not won:
                custodian.forget(vault_id, record.parameters)
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
        """Unlocks a vault whose key is in the OS keyring, without asking anything ourselves; any other vault stays as
        it is.

        Never raises because of the custodian: a server must be able to start without its keyring; the panel shows the
        state.
        """
        with self._lock:
            record = self._store.load()
        if record is not None and record.custodian == "os_keyring":
            with suppress(ConnvaultError):
                self.unlock(UnlockVault(), actor=AT_START)
        return self.state()

    def change_passphrase(self, request: ChangePassphrase, *, actor: str) -> VaultState:
        """Creates another master key under another passphrase and seals everything again; a locked vault stays locked.

        Whoever has an old copy of the database and knew the old passphrase can't unseal anything stored from now on.

        Raises: VaultNotSetUp, WrongPassphrase, WeakPassphrase, InvalidRequest, Conflict, StorageError.
        """
        new = request.new.get_secret_value()
        with self._single_flight.alone():
            with self._lock:
                record = self._existing()
            if record.custodian != "passphrase":
                raise InvalidRequest("This vault's key is in the system keyring, so it has no passphrase.")
            old = opened(
                record, self._recover(record, request.current.get_secret_value(), actor), self._derive_keys
            )
            custodian = self._custody.custodian(record.custodian, new)
            master_key = self._randomness(MASTER_KEY_BYTES)
            parameters = custodian.keep(record.vault_id, master_key, new)
            with self._lock:
                held = self._held.now
                with self._holding(held), self._transactions.erasing():
                    following, following_keys = self._succeeding(record, old, master_key, parameters)
                    unread = self._rekeying.run(record, old, following, following_keys)
                    self._held.hold(following_keys)
                    self._audit.record("vault:passphrase_changed", decided_by=actor)
                    self._rekeying.finish(record, unread, following_keys.keys)
                if held is None:
                    self._held.let_go()
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
        with self._holding(None), self._transactions.transaction():
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
            master_key = self._recover(record, passphrase, actor)
            unlocked = opened(record, master_key, self._derive_keys)
            from_before = record.generation == FROM_BEFORE
            block = self._transactions.erasing if from_before else self._transactions.transaction
            with self._lock, self._holding(None), block():
                # Another server may have changed the vault in the meantime: its keys are the valid ones.
                if self._store.load() != record:
                    continue
                if from_before:
                    self._take_over(record, unlocked, master_key, actor)
                else:
                    self._held.hold(unlocked)
                    self._documents.unlocked(unlocked.keys)
                self._audit.record("vault:unlocked", decided_by=actor)
                return

    def _take_over(self, record: VaultRecord, old: Unlocked, master_key: bytes, actor: str) -> None:
        """Takes over a vault from before connections carried MACs: everything in it is accepted as it is, this once.

        The master key stays (a keyring's item and the database can't be changed atomically), but the derived keys
        change: whoever restores the old vault record later has keys that unseal nothing. So documents can't be made to
        look as if they were from before.
        """
        following, following_keys = self._succeeding(record, old, master_key, record.parameters)
        unread = self._rekeying.run(record, old, following, following_keys)
        self._held.hold(following_keys)
        self._audit.record("vault:upgraded", decided_by=actor)
        self._rekeying.finish(record, unread, following_keys.keys)

    def _succeeding(
        self, record: VaultRecord, old: Unlocked, master_key: bytes, parameters: Mapping[str, Any]
    ) -> tuple[VaultRecord, Unlocked]:
        """Called in the transaction of the change: the old keys are valid for the events logged until then."""
        return succeeding(
            record,
            old,
            master_key,
            parameters=parameters,
            salt=self._randomness(SALT_BYTES),
            ended=self._audit.head(),
            derive_keys=self._derive_keys,
            check_value=self._check_value,
        )

    @contextmanager
    def _holding(self, otherwise: Unlocked | None) -> Iterator[None]:
        """A block that holds other keys; if it fails and nothing was stored, `otherwise` are held again."""
        try:
            yield
        except BaseException:
            if otherwise is None:
                self._held.let_go()
            else:
                self._held.hold(otherwise)
            raise

    def _recover(self, record: VaultRecord, passphrase: str | None, actor: str) -> bytes:
        try:
            return self._custody.recover(record, passphrase)
        except ConnvaultError as refused:
            with self._lock:
                self._audit.record(
                    "vault:unlock_refused", outcome="refused", code=refused.code, decided_by=actor
                )
            raise

    def _changed(self) -> VaultState:
        self._publish(Event(event="vault:changed"))
        return self.state()
