"""Which custodian holds the master key, and getting the key from it. Unlocking and recording are secrets.py's."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Literal

from ..contracts.vault import CustodianChoice, CustodianKind
from ..errors import CustodianUnavailable, InvalidRequest, WrongPassphrase
from .ports import CheckValue, Custodian, VaultRecord

# With "auto": the first that answers.
_ORDER: tuple[CustodianKind, ...] = ("os_keyring", "passphrase")


class Custody:
    """The custodians of this installation. A custodian that is missing is never replaced by another one."""

    def __init__(
        self,
        *,
        custodians: Mapping[CustodianKind, Custodian],
        preferred: CustodianKind | Literal["auto"],
        check_value: CheckValue,
    ) -> None:
        self._custodians = custodians
        self._preferred = preferred
        self._check_value = check_value

    def choices(self) -> list[CustodianChoice]:
        """All custodians and whether they answer. Never asks a person."""
        found = []
        for kind, custodian in self._custodians.items():
            state = custodian.availability()
            found.append(
                CustodianChoice(kind=kind, label=state.label, available=state.available, detail=state.detail)
            )
        return found

    def default(self, choices: list[CustodianChoice]) -> CustodianKind | None:
        """The custodian that a new vault gets: the configured one, or none if that does not answer."""
        available = {choice.kind for choice in choices if choice.available}
        wanted = _ORDER if self._preferred == "auto" else (self._preferred,)
        return next((kind for kind in wanted if kind in available), None)

    def custodian(self, kind: CustodianKind | None, passphrase: str | None) -> Custodian:
        """The custodian of this kind, if it can work with what was given.

        Raises:
            CustodianUnavailable: there is none of this kind.
            InvalidRequest: a passphrase is missing, or given where none is needed.
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
                "The system keyring needs no passphrase.",
                errors=[{"path": "passphrase", "message": "is not needed"}],
            )
        return found

    def recover(self, record: VaultRecord, passphrase: str | None) -> bytes:
        """The master key of `record`, checked. Slow: call it without the lock.

        Raises: WrongPassphrase, CustodianUnavailable, InvalidRequest.
        """
        custodian = self.custodian(record.custodian, passphrase)
        master_key = custodian.recover(record.vault_id, record.parameters, passphrase)
        if not hmac.compare_digest(self._check_value(master_key, record.vault_id), record.check):
            if record.custodian == "passphrase":
                raise WrongPassphrase
            raise CustodianUnavailable(
                "The system keyring holds another key than this vault's. Restore the keyring's item."
            )
        return master_key
