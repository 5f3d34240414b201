"""The vault's state: SecretsService sets up, unlocks and locks. Sealing with its keys is sealing.py's.

The master key is here only while keys are derived from it, and no secret of a connection ever is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from ..contracts.events import Event
from ..contracts.vault import (
    ChangePassphrase,
    CustodianChoice,
    CustodianKind,
    SetUpVault,
    UnlockVault,
    VaultState,
)
from ..errors import (
    AuthenticationOff,
    Conflict,
    ConnvaultError,
    CustodianUnavailable,
    InvalidRequest,
    StorageError,
    VaultExists,
    VaultLocked,
    VaultNotSetUp,
    WrongPassphrase,
)
from .audit import AuditService
from .custody import Custody
from .identifiers import new_id
from .ports import (
    CheckValue,
    Clock,
    Custodian,
    DeriveKeys,
    Keys,
    Lock,
    Publish,
    Randomness,
    SecretStore,
    Transactions,
    VaultRecord,
    VaultStore,
)
from .sealing import SealedSecrets
from .turns import Turns

# AES-256.
MASTER_KEY_BYTES = 32

# Without a person to name: the vault opened by itself when the server started.
AT_START = "server start"


class SecretsService:
    """Holder of the keys of one vault while it is unlocked.

    `set_up`, `unlock`, `change_passphrase` and `open_at_start` wait for a custodian: they are called without the lock,
    one of them runs at a time (so guesses can't be made in parallel), and the lock is held for the short parts only.
    `state` asks the custodians too, and is called without the lock.
    """

    def __init__(
        self,
        *,
        store: VaultStore,
        secrets: SecretStore,
        transactions: Transactions,
        custodians: Mapping[CustodianKind, Custodian],
        preferred: CustodianKind | Literal["auto"],
        derive_keys: DeriveKeys,
        check_value: CheckValue,
        audit: AuditService,
        clock: Clock,
        randomness: Randomness,
        publish: Publish,
        lock: Lock,
        authenticated: bool,
    ) -> None:
        self._store = store
        self._transactions = transactions
        self._custody = Custody(custodians=custodians, preferred=preferred, check_value=check_value)
        self._derive_keys = derive_keys
        self._check_value = check_value
        self._audit = audit
        self._clock = clock
        self._randomness = randomness
        self._publish = publish
        self._lock = lock
        self._turns = Turns(lock=lock)
        self._authenticated = authenticated
        self.sealed = SealedSecrets(
            store=secrets,
            keys=lambda: self.keys,
            vault_id=lambda: self.vault_id,
            clock=clock,
            randomness=randomness,
            authenticated=authenticated,
        )
        """The sealed secrets, opened and closed by this vault's keys."""
        self._keys: Keys | None = None
        self._vault_id = ""
        self._when_unlocked: list[Callable[[], None]] = []

    @property
    def keys(self) -> Keys:
        """Raises: VaultLocked, VaultNotSetUp."""
        if self._keys is None:
            raise VaultNotSetUp if self._store.load() is None else VaultLocked
        return self._keys

    @property
    def keys_if_unlocked(self) -> Keys | None:
        """The keys, or `None` while the vault is locked or absent."""
        return self._keys

    def every_keys(self) -> Sequence[Keys]:
        """The present keys, then those of former generations; none while the vault is locked or absent."""
        return () if self._keys is None else (self._keys,)

    def when_unlocked(self, call: Callable[[], None]) -> None:
        """From now on `call` is called at the end of each unlocking, with the lock held."""
        self._when_unlocked.append(call)

    @property
    def vault_id(self) -> str:
        """Raises: VaultNotSetUp."""
        if not self._vault_id:
            self._vault_id = self._existing().vault_id
        return self._vault_id

    @property
    def short_state(self) -> Literal["absent", "locked", "unlocked"]:
        """The state, without asking any custodian."""
        if self._keys is not None:
            return "unlocked"
        return "absent" if self._store.load() is None else "locked"

    def state(self) -> VaultState:
        """The vault, and which custodians answer here. Never asks a person."""
        choices = self._custody.choices()
        with self._lock:
            return self._shown(choices)

    def _shown(self, choices: list[CustodianChoice]) -> VaultState:
        return self._custody.shown(
            self._store.load(), self.short_state, choices, authenticated=self._authenticated
        )

    def set_up(self, request: SetUpVault, *, actor: str) -> VaultState:
        """Creates the master key, gives it to the custodian and unlocks.

        If another server was first, its vault is used: opened where the same custodian and passphrase open it.

        Raises: AuthenticationOff, VaultExists, CustodianUnavailable, WeakPassphrase, InvalidRequest, StorageError.
        """
        if not self._authenticated:
            raise AuthenticationOff
        passphrase = None if request.passphrase is None else request.passphrase.get_secret_value()
        with self._turns.alone():
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
                check=self._check_value(master_key, vault_id),
                created_at=self._clock(),
            )
            try:
                with self._lock:
                    won = self._create(record, self._derive_keys(master_key, vault_id), actor)
            except BaseException:
                custodian.forget(vault_id, record.parameters)
                raise
            if not won:
                custodian.forget(vault_id, record.parameters)
                self._use_theirs(passphrase, actor)
        return self._changed()

    def unlock(self, request: UnlockVault, *, actor: str) -> VaultState:
        """Unlocks; does nothing if the vault is unlocked. A wrong passphrase is recorded, and as slow as a right one.

        Raises: VaultNotSetUp, WrongPassphrase, CustodianUnavailable, InvalidRequest, StorageError.
        """
        passphrase = None if request.passphrase is None else request.passphrase.get_secret_value()
        with self._turns.alone():
            with self._lock:
                record = self._existing()
                locked = self._keys is None
            if locked:
                self._open(record, passphrase, actor)
        return self._changed()

    def open_at_start(self) -> VaultState:
        """Unlocks a vault that the OS keyring keeps, without a question of ours; else the vault stays as it is.

        Never raises because of the custodian: a server must start without its keyring, and the panel shows the state.
        """
        with self._lock:
            record = self._store.load()
        if record is not None and record.custodian == "os_keyring":
            with suppress(ConnvaultError):
                self.unlock(UnlockVault(), actor=AT_START)
        return self.state()

    def change_passphrase(self, request: ChangePassphrase, *, actor: str) -> VaultState:
        """Wraps the same master key with another passphrase; a locked vault stays locked.

        Raises: VaultNotSetUp, WrongPassphrase, WeakPassphrase, InvalidRequest, Conflict, StorageError.
        """
        new = request.new.get_secret_value()
        with self._turns.alone():
            with self._lock:
                record = self._existing()
            if record.custodian != "passphrase":
                raise InvalidRequest("This vault is kept by the system keyring; it has no passphrase.")
            master_key = self._recover(record, request.current.get_secret_value(), actor)
            custodian = self._custody.custodian(record.custodian, new)
            changed = replace(record, parameters=custodian.keep(record.vault_id, master_key, new))
            with self._lock, self._transactions.transaction():
                if self._store.load() != record:
                    raise Conflict
                self._store.replace(changed)
                self._audit.record("vault:passphrase_changed", decided_by=actor)
        return self._changed()

    def lock(self, *, actor: str) -> VaultState:
        """Forgets the keys. Works on a full disk. Other servers on the vault stay as they are.

        Called with the lock: locking waits for nobody, so the custodians are those seen last. The event that follows
        makes whoever shows them ask anew.
        """
        if self._keys is not None:
            # Locking never waits for the record.
            with suppress(StorageError), self._transactions.escape():
                self._audit.record("vault:locked", decided_by=actor)
            self._use(None)
        self._publish(Event(event="vault:changed"))
        return self._shown(self._custody.last_seen)

    def _existing(self) -> VaultRecord:
        record = self._store.load()
        if record is None:
            raise VaultNotSetUp
        return record

    def _create(self, record: VaultRecord, keys: Keys, actor: str) -> bool:
        try:
            with self._transactions.transaction():
                if not self._store.create(record):
                    return False
                self._use(keys)
                self._audit.record("vault:set_up", decided_by=actor)
        except BaseException:
            self._use(None)
            raise
        return True

    def _use_theirs(self, passphrase: str | None, actor: str) -> None:
        with self._lock:
            record = self._existing()
        try:
            self._open(record, passphrase, actor)
        except (WrongPassphrase, CustodianUnavailable, InvalidRequest):
            raise VaultExists from None

    def _open(self, record: VaultRecord, passphrase: str | None, actor: str) -> None:
        keys = self._derive_keys(self._recover(record, passphrase, actor), record.vault_id)
        with self._lock:
            # Before the row is written, so that it gets a MAC.
            self._use(keys)
            try:
                self._audit.record("vault:unlocked", decided_by=actor)
            except BaseException:
                self._use(None)
                raise
            for call in self._when_unlocked:
                call()

    def _recover(self, record: VaultRecord, passphrase: str | None, actor: str) -> bytes:
        try:
            return self._custody.recover(record, passphrase)
        except ConnvaultError as refused:
            with self._lock:
                self._audit.record(
                    "vault:unlock_refused", outcome="refused", code=refused.code, decided_by=actor
                )
            raise

    def _use(self, keys: Keys | None) -> None:
        self._keys = keys
        self._audit.keyed(keys)

    def _changed(self) -> VaultState:
        self._publish(Event(event="vault:changed"))
        return self.state()
