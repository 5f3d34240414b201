"""Which custodian holds the master key, how it is shown, and how the key is fetched from it.

Unlocking and logging are done by `service`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Literal

from ...contracts.vault import CustodianChoice, CustodianKind, VaultState
from ...errors import (
    AuthenticationOff,
    CustodianUnavailable,
    InvalidRequest,
    WrongPassphrase,
)
from ..vault_ports import CheckValue, Custodian, VaultRecord

# NIST SP 800-63B asks for at least 8 where guessing can be slowed down; here the wrapped key may be copied and
# attacked offline.
MINIMUM_PASSPHRASE_CHARS = 10

# With "auto": the first one that is available.
_ORDER: tuple[CustodianKind, ...] = ("os_keyring", "passphrase")


class Custody:
    """The custodians of this installation. A missing custodian is never replaced by another one."""

    def __init__(
        self,
        *,
        custodians: Mapping[CustodianKind, Custodian],
        preferred: CustodianKind | Literal["auto"],
        check_value: CheckValue,
        hardening_detail: str,
    ) -> None:
        self._custodians = custodians
        self._preferred = preferred
        self._check_value = check_value
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
        kept_by = default if record is None else record.custodian
        detail = ""
        if not authenticated:
            detail = AuthenticationOff.default_message
        elif record is None and default is None:
            detail = CustodianUnavailable.default_message
        return VaultState(
            state=state,
            custodian=None if record is None else record.custodian,
            custodian_label=next((choice.label for choice in choices if choice.kind == kept_by), ""),
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
            raise CustodianUnavailable
        if kind == "passphrase" and passphrase is None:
            raise InvalidRequest(
                "A passphrase is needed.", errors=[{"path": "passphrase", "message": "is missing"}]
            )
        if kind != "passphrase" and passphrase is not None:
            raise InvalidRequest(
                "The system keyring does not need a passphrase.",
                errors=[{"path": "passphrase", "message": "is not needed"}],
            )
        return found

    def recover(self, record: VaultRecord, passphrase: str | None) -> bytes:
        """The master key of `record`, checked. Slow: call it without the lock.

        Raises: WrongPassphrase, CustodianUnavailable, InvalidRequest.
        """
        custodian = self.custodian(record.custodian, passphrase)
        master_key = custodian.recover(record.vault_id, record.parameters, passphrase)
        if not hmac.compare_digest(
            self._check_value(master_key, record.vault_id, record.epoch), record.check
        ):
            if record.custodian == "passphrase":
                raise WrongPassphrase
            raise CustodianUnavailable(
                "The key in the system keyring is not this vault's. Restore the keyring's item."
            )
        return master_key
