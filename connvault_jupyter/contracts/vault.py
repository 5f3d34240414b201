"""The state of the vault and how it changes. A passphrase travels inward only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from .contract import Contract, Id, Timestamp

CustodianKind = Literal["passphrase", "os_keyring", "key_file"]
Passphrase = Annotated[SecretStr, Field(min_length=1, max_length=1024)]

SlotLabel = Annotated[str, StringConstraints(min_length=1, max_length=60)]
SlotKey = Annotated[SecretStr, Field(min_length=44, max_length=44)]
"""Base64 of the 32 bytes that a slot's custodian holds."""


class CustodianChoice(Contract):
    """A holder of a key slot's secret, and whether it is available here. `label` is for people."""

    kind: CustodianKind
    label: str
    available: bool
    detail: str


class VaultState(Contract):
    """`absent`: not set up. `default` is the custodian that setup would use; `None` if the configured one is missing.
    `hardening_detail`: which of the broker's protections the system refused.
    """

    state: Literal["absent", "locked", "unlocked"]
    custodian: CustodianKind | None
    custodian_label: str
    default: CustodianKind | None
    choices: list[CustodianChoice]
    minimum_passphrase_chars: int
    created_at: Timestamp | None
    storing_allowed: bool
    storing_detail: str = ""
    hardening_detail: str = ""


class SetUpVault(Contract):
    """`custodian` `None` uses the default. The passphrase custodian needs a passphrase, the others must not get
    one."""

    custodian: CustodianKind | None = None
    passphrase: Passphrase | None = None


class UnlockVault(Contract):
    passphrase: Passphrase | None = None


class ChangePassphrase(Contract):
    current: Passphrase
    new: Passphrase


class SlotView(Contract):
    """One way to unwrap the master key. `kind` says who holds its secret; `label` is for people.

    `standing`: `genuine`: made by whoever had the vault unlocked; `foreign`: put there or changed from outside, gets no
    new key; `unchecked`: unknown while the vault is locked.
    """

    id: Id
    kind: CustodianKind
    label: str
    created_at: Timestamp
    standing: Literal["genuine", "foreign", "unchecked"]


class SlotList(Contract):
    """In the order in which they are tried. `changed_outside`: one is foreign, missing, or elsewhere in the order."""

    slots: list[SlotView]
    changed_outside: bool = False


class SlotProof(Contract):
    """The secret of an existing slot, given again: the passphrase of one, or the key that the keyring or the key file
    holds for the slot `slot`. The broker never fetches it itself: a token alone must not be enough."""

    passphrase: Passphrase | None = None
    slot: Id | None = None
    key: SlotKey | None = None


class AddSlot(Contract):
    """`passphrase`: of the new slot, if it is of that kind. `label` `None`: the custodian's."""

    kind: CustodianKind
    label: SlotLabel | None = None
    passphrase: Passphrase | None = None
    proof: SlotProof


class RemoveSlot(Contract):
    """`proof` by a slot that stays."""

    id: Id
    proof: SlotProof


class RotateKeys(Contract):
    proof: SlotProof
