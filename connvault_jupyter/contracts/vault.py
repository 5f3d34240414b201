"""The state of the vault and how it changes. A passphrase travels inward only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from .contract import Contract, Timestamp

CustodianKind = Literal["passphrase", "os_keyring"]
Passphrase = Annotated[SecretStr, Field(min_length=1, max_length=1024)]


class CustodianChoice(Contract):
    """A holder of the master key, and whether it is available here. `label` is for people."""

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
