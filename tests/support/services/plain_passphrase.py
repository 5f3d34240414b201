"""A passphrase custodian without its cost, where the cost is not what is tested."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from connvault_jupyter.contracts.vault import CustodianKind
from connvault_jupyter.errors import WrongPassphrase
from connvault_jupyter.services.vault_ports import Availability

PASSPHRASE = "correct horse battery"


class PlainPassphrase:
    """`most_running`: how many were asked at the same time."""

    kind: CustodianKind = "passphrase"

    def __init__(self) -> None:
        self.running = 0
        self.most_running = 0
        self._counting = threading.Lock()

    def availability(self) -> Availability:
        return Availability(available=True, label="Passphrase", detail="")

    def keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        assert passphrase is not None
        return {"passphrase": passphrase, "key": key.hex()}

    def recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        with self._counting:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        threading.Event().wait(0.005)
        with self._counting:
            self.running -= 1
        if passphrase != parameters["passphrase"]:
            raise WrongPassphrase
        return bytes.fromhex(parameters["key"])

    def forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        pass
