"""What stands in for the outside of the services: clock, OS keyring, who runs, probe, relays, catalogues."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from connvault_jupyter.contracts.access import Requester
from connvault_jupyter.contracts.connections import TestOutcome
from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.contracts.vault import CustodianKind
from connvault_jupyter.errors import BrokerUnavailable, CustodianUnavailable
from connvault_jupyter.providers.registry import ProviderCatalogue
from connvault_jupyter.services.relay_ports import RelayEndpoint, RelayOrder
from connvault_jupyter.services.vault_ports import Availability
from tests.support.broker.in_clear import PROVIDERS

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=timezone.utc)


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class MemoryKeyring:
    """An OS keyring: items by name. `available` can be switched off."""

    kind: CustodianKind = "os_keyring"

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.available = True

    def availability(self) -> Availability:
        return Availability(available=self.available, label="System keyring", detail="")

    def keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        self._answer()
        self.items[name] = key
        return {"item": name}

    def recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        self._answer()
        if name not in self.items:
            raise CustodianUnavailable
        return self.items[name]

    def forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        self.items.pop(name, None)

    def _answer(self) -> None:
        if not self.available:
            raise CustodianUnavailable


class Runs:
    """Who runs, and renamed notebooks."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.ended: set[str] = set()
        self.renamed: dict[str, Requester] = {}

    def instance_alive(self, instance: str) -> bool:
        return instance not in self.ended

    def current(self, requester: Requester) -> Requester:
        return self.renamed.get(requester.instance, requester)

    def folder_of(self, requester: Requester) -> str | None:
        path = self.current(requester).path
        return os.path.dirname(os.path.join(self.root, path)) if path else None

    def key_of_document(self, path: str) -> str:
        return document_key(path)


class RecordingProbe:
    """A server to log in at that accepts everything. `during` is called while the login is under way."""

    def __init__(self) -> None:
        self.seen: list[tuple[Mapping[str, Any], Mapping[str, str]]] = []
        self.during: Callable[[], object] = lambda: None
        self.outcome = TestOutcome(ok=True, at=NOON, detail="It works.", elapsed_ms=5)

    def __call__(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> TestOutcome:
        self.seen.append((dict(fields), dict(secrets)))
        self.during()
        return self.outcome


class RecordingRelays:
    """Relays that listen nowhere. `broken` makes them fail."""

    def __init__(self) -> None:
        self.orders: list[RelayOrder] = []
        self.warmed = 0
        self.looks = 0
        self.broken = False
        # The refs of handles with a client.
        self.busy: set[str] = set()
        self.during: Callable[[], object] = lambda: None

    def warm(self) -> None:
        self.warmed += 1

    def changed(self) -> None:
        self.looks += 1

    def in_use(self) -> set[str]:
        return self.busy

    def open(self, order: RelayOrder) -> RelayEndpoint:
        self.orders.append(order)
        self.during()
        if self.broken:
            raise BrokerUnavailable
        return RelayEndpoint(
            directory="/run/h",
            socket="/run/h/s",
            port=50_000 if order.tcp else None,
            token="t" * 43,
            hand_over=True,
        )


def document_key(path: str) -> str:
    """As the broker makes it: the server's root and the path."""
    return f"notebook:/home/ada/{path}"


class UpdatedCatalogue(ProviderCatalogue):
    """The catalogue after an update of a package: some definitions are gone (`None`) or others."""

    def __init__(self, changed: Mapping[str, ProviderDefinition | None]) -> None:
        super().__init__(packages=False, directories=[str(PROVIDERS)])
        for provider_id, definition in changed.items():
            if definition is None:
                del self._providers[provider_id]
            else:
                self._providers[provider_id] = definition


_CATALOGUE: list[ProviderCatalogue] = []


def catalogue() -> ProviderCatalogue:
    """The built-in providers and `ledger`, read once: they never change."""
    if not _CATALOGUE:
        _CATALOGUE.append(ProviderCatalogue(packages=False, directories=[str(PROVIDERS)]))
    return _CATALOGUE[0]
