"""Which custodians hold the secrets of a vault's slots, how they are shown, and how the master key is fetched by one.

Unlocking and logging are done by `service`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from datetime import datetime
from typing import Literal

from ...contracts.vault import CustodianChoice, CustodianKind, VaultState
from ...errors import (
    AuthenticationOff,
    ConnvaultError,
    CustodianUnavailable,
    InvalidRequest,
    SecretInvalid,
    VaultReplaced,
    WrongPassphrase,
)
from ..vault_ports import MINIMUM_PASSPHRASE_CHARS, Custodian, Slot, VaultPorts, VaultRecord
from .generations import Unlocked, opened
from .slots import name_of, pin_fits, place_of

# With "auto": the first one that is available.
_ORDER: tuple[CustodianKind, ...] = ("os_keyring", "passphrase")

_NAMES: dict[CustodianKind, str] = {
    "passphrase": "Passphrase",
    "os_keyring": "System keyring",
    "key_file": "Key file",
}


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A vault that was opened by one slot. `slot` has the public key that follows from its secret, whatever the table
    says; of a vault from before key slots it is the one that the vault is to have."""

    slot: Slot
    secret: bytes = attribute(repr=False)
    master_key: bytes = attribute(repr=False)
    unlocked: Unlocked


class Custody:
    """The custodians of this installation. A missing custodian is never replaced by another one."""

    def __init__(
        self,
        *,
        ports: VaultPorts,
        preferred: CustodianKind | Literal["auto"],
        hardening_detail: str,
    ) -> None:
        self._custodians = ports.custodians
        self._derive_keys = ports.derive_keys
        self._check_value = ports.check_value
        self._slot_keys = ports.slot_keys
        self._preferred = preferred
        self._hardening_detail = hardening_detail
        self._last_seen: list[CustodianChoice] = []

    @property
    def last_seen(self) -> list[CustodianChoice]:
        """What `choices` found last, for callers that must not wait; empty until it was first called."""
        return self._last_seen

    def choices(self) -> list[CustodianChoice]:
        """All custodians and whether they are available. Never prompts, but may take seconds: never call it with the
        lock held."""
        found = []
        for kind, custodian in self._custodians.items():
            state = custodian.availability()
            found.append(
                CustodianChoice(kind=kind, label=state.label, available=state.available, detail=state.detail)
            )
        self._last_seen = found
        return found

    def default(self, choices: list[CustodianChoice]) -> CustodianKind | None:
        """The custodian for a new vault: the configured one, or none if that is unavailable."""
        available = {choice.kind for choice in choices if choice.available}
        wanted = _ORDER if self._preferred == "auto" else (self._preferred,)
        return next((kind for kind in wanted if kind in available), None)

    def shown(
        self,
        record: VaultRecord | None,
        state: Literal["absent", "locked", "unlocked"],
        choices: list[CustodianChoice],
        *,
        authenticated: bool,
    ) -> VaultState:
        """The vault as people see it. Calls no custodian."""
        default = self.default(choices)
        kept_by = None if record is None else self._main_kind(record, choices)
        detail = ""
        if not authenticated:
            detail = AuthenticationOff.default_message
        elif record is None and default is None:
            detail = CustodianUnavailable.default_message
        return VaultState(
            state=state,
            custodian=kept_by,
            custodian_label=next(
                (choice.label for choice in choices if choice.kind == (kept_by or default)), ""
            ),
            default=default,
            choices=choices,
            minimum_passphrase_chars=MINIMUM_PASSPHRASE_CHARS,
            created_at=None if record is None else record.created_at,
            storing_allowed=not detail,
            storing_detail=detail,
            hardening_detail=self._hardening_detail,
        )

    def custodian(self, kind: CustodianKind | None, passphrase: str | None) -> Custodian:
        """The custodian of this kind, if the passphrase argument suits it.

        Raises:
            CustodianUnavailable: there is none of this kind.
            InvalidRequest: the passphrase is missing, or given where none is needed.
        """
        found = None if kind is None else self._custodians.get(kind)
        if found is None:
            raise CustodianUnavailable(_NO_FILE if kind == "key_file" else None)
        if kind == "passphrase" and passphrase is None:
            raise InvalidRequest(
                "A passphrase is needed.", errors=[{"path": "passphrase", "message": "is missing"}]
            )
        if kind != "passphrase" and passphrase is not None:
            raise InvalidRequest(
                "The vault's keys are not under a passphrase.",
                errors=[{"path": "passphrase", "message": "is not needed"}],
            )
        return found

    def recover(self, record: VaultRecord, passphrase: str | None) -> Recovered:
        """The vault, opened by the first slot that does: with a passphrase by one of that kind, without by one of the
        others. Slow: call it without the lock.

        Raises: WrongPassphrase, CustodianUnavailable, InvalidRequest.
            VaultReplaced: the slot opens, but another vault than the one that it was made for.
        """
        slots = slots_of(record)
        fitting = [slot for slot in slots if (slot.kind == "passphrase") == (passphrase is not None)]
        refused: ConnvaultError | None = None
        for slot in fitting or slots:
            name = name_of(record.vault_id, slot.id)
            try:
                custodian = self.custodian(slot.kind, passphrase)
                return self.opened_by(record, slot, custodian.recover(name, slot.parameters, passphrase))
            except (WrongPassphrase, CustodianUnavailable) as exc:
                refused = refused or exc
        # A vault without any slot: somebody has emptied the table.
        raise refused or CustodianUnavailable(_NO_SLOT)

    def opened_by(self, record: VaultRecord, slot: Slot, secret: bytes) -> Recovered:
        """The vault, opened by a slot's secret.

        Raises: WrongPassphrase, CustodianUnavailable: it does not open it. VaultReplaced.
        """
        place = place_of(record.vault_id, slot.id)
        try:
            # The custodian of a vault from before key slots holds the master key itself.
            master_key = (
                secret
                if record.before_slots is not None
                else self._slot_keys.unwrap(slot.wrapped, secret, place, record.generation)
            )
        except SecretInvalid:
            master_key = b""
        if not master_key or not hmac.compare_digest(
            self._check_value(master_key, record.vault_id, record.epoch), record.check
        ):
            if slot.kind == "passphrase":
                raise WrongPassphrase
            raise CustodianUnavailable(_NOT_OURS[slot.kind])
        unlocked = opened(record, master_key, self._derive_keys)
        if record.before_slots is None and not pin_fits(
            slot, record.vault_id, secret, unlocked.of, self._slot_keys
        ):
            raise VaultReplaced
        return Recovered(
            slot=replace(slot, public_key=self._slot_keys.public_key(secret, place)),
            secret=secret,
            master_key=master_key,
            unlocked=unlocked,
        )

    def made(self, vault_id: str, slot: Slot, secret: bytes, passphrase: str | None) -> Slot:
        """The slot, its secret in custody and its public key set. Slow: call it without the lock.

        Raises: CustodianUnavailable, WeakPassphrase, InvalidRequest."""
        custodian = self.custodian(slot.kind, passphrase)
        public_key = self._slot_keys.public_key(secret, place_of(vault_id, slot.id))
        parameters = custodian.keep(name_of(vault_id, slot.id), secret, passphrase)
        return replace(slot, public_key=public_key, parameters=parameters)

    def forget(self, vault_id: str, slot: Slot) -> None:
        """Undoes `made`, as far as the slot's custodian is here. Never raises."""
        custodian = self._custodians.get(slot.kind)
        if custodian is not None:
            custodian.forget(name_of(vault_id, slot.id), slot.parameters)

    @staticmethod
    def name(kind: CustodianKind) -> str:
        """What a slot of this kind is called if nobody named it."""
        return _NAMES[kind]

    @staticmethod
    def _main_kind(record: VaultRecord, choices: list[CustodianChoice]) -> CustodianKind:
        """The kind that a person is told about: one that needs no typing if it is available, else a passphrase."""
        kinds = [slot.kind for slot in slots_of(record)]
        here = {choice.kind for choice in choices if choice.available}
        silent = next((kind for kind in kinds if kind != "passphrase" and kind in here), None)
        return silent or ("passphrase" if "passphrase" in kinds or not kinds else kinds[0])


def new_slot(slot_id: str, kind: CustodianKind, label: str, created_at: datetime) -> Slot:
    """A slot without keys: `Custody.made` adds them."""
    return Slot(id=slot_id, kind=kind, label=label, created_at=created_at, public_key=b"", parameters={})


def slots_of(record: VaultRecord) -> Sequence[Slot]:
    """The slots; of a vault from before there were any, the one that it is to have."""
    if record.before_slots is None:
        return record.slots
    held = record.before_slots
    slot = new_slot(record.vault_id, held.kind, _NAMES[held.kind], record.created_at)
    return (replace(slot, parameters=held.parameters),)


_NO_FILE = "This server has no key file. Set ConnvaultExtension.key_file, then restart it."

_NO_SLOT = "The vault has no key slot any more. Restore the data folder from a backup."

_NOT_OURS: dict[CustodianKind, str] = {
    "os_keyring": "The key in the system keyring is not this vault's. Restore the keyring's item.",
    "key_file": "The key in the key file is not this vault's. Restore the key file.",
}
