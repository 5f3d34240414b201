"""The OS-keyring custodian: a slot's secret as one item in the operating system's keyring. `keyring_backends` decides
which keyrings may be used. Never store a second item for a slot, and never a secret of a connection.

The item: service `connvault-jupyter`, user name = the slot's name (of a vault's first slot: the vault id), text `1:`
and the secret in base64 (another format needs another number). Parameters, version 1: `store`, the keyring that has
the item; no other keyring is searched.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

from ..contracts.vault import CustodianKind
from ..errors import CustodianUnavailable, VaultError
from ..services.ports import Randomness
from ..services.vault_ports import Availability
from .bounded_calls import BoundedCalls, CallTimedOut
from .custodian import DAMAGED, MasterKeyCustodian
from .keyring_backends import HOW_TO_GO_ON, KNOWN, Chosen, choose_backend

T = TypeVar("T")

SERVICE = "connvault-jupyter"

# A Secret Service answers within about 20 ms; one that needs five seconds won't answer at all.
QUICK_S = 5.0
# The time that a person may need to find and answer the operating system's dialog.
PERSON_S = 120.0

LABEL = "System keyring"
DETAIL = (
    "Protects the vault at rest, not from notebooks: code that runs as you can ask the keyring too. "
    "You type nothing after a restart."
)

_FORM = "1:"


class OsKeyringCustodian(MasterKeyCustodian):
    """Keeps keys in Secret Service, KWallet, the macOS Keychain or the Windows Credential Manager.

    Args:
        quick_s: time limit for calls that need no person.
        person_s: time limit for keeping and recovering, when the operating system may prompt the person.
    """

    kind: ClassVar[CustodianKind] = "os_keyring"

    def __init__(
        self, *, quick_s: float = QUICK_S, person_s: float = PERSON_S, random: Randomness = os.urandom
    ) -> None:
        self._quick_s = quick_s
        self._person_s = person_s
        self._random = random
        # Two queues: checking whether a keyring is available must not wait for a person.
        self._looking = BoundedCalls("connvault-keyring-looking")
        self._asking = BoundedCalls("connvault-keyring-asking")

    def availability(self) -> Availability:
        """Whether a known keyring is available. It may still be locked, which only shows when it is used."""
        try:
            chosen = self._choose(None)
        except VaultError as error:
            return Availability(available=False, label=LABEL, detail=error.message)
        return Availability(available=True, label=f"{LABEL} ({chosen.known.label})", detail=DETAIL)

    def _keep(
        self,
        name: str,
        key: bytes,
        passphrase: str | None,  # noqa: ARG002 - the keyring has none
    ) -> Mapping[str, Any]:
        chosen = self._choose(None)
        item = _FORM + base64.b64encode(key).decode("ascii")

        def keep() -> None:
            self._probe(chosen, name)
            chosen.backend.set_password(SERVICE, name, item)
            if not _same(chosen.backend.get_password(SERVICE, name), item):
                raise CustodianUnavailable(_unreliable(chosen))

        self._ask(chosen, keep, self._person_s)
        return {"store": chosen.known.store}

    def _recover(
        self,
        name: str,
        parameters: Mapping[str, Any],
        passphrase: str | None,  # noqa: ARG002 - the keyring has none
    ) -> bytes:
        chosen = self._choose(_store(parameters))
        item = self._ask(chosen, lambda: chosen.backend.get_password(SERVICE, name), self._person_s)
        if item is None:
            raise CustodianUnavailable(
                f"{chosen.known.label} no longer has this vault's key. Unlock the vault by another key slot, or "
                "restore the keyring of the account that set it up; without either, the secrets have to be "
                "entered again in a new vault."
            )
        return _key(item)

    def _forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        chosen = self._choose(_store(parameters))
        self._ask(chosen, lambda: chosen.backend.delete_password(SERVICE, name), self._quick_s)

    def _probe(self, chosen: Chosen, name: str) -> None:
        """Some keyrings accept a password and lose it, or can't delete. A random value detects that and leaves nothing
        behind."""
        probe, value = f"{name}.probe", base64.b64encode(self._random(16)).decode("ascii")
        chosen.backend.set_password(SERVICE, probe, value)
        found = chosen.backend.get_password(SERVICE, probe)
        chosen.backend.delete_password(SERVICE, probe)
        if not _same(found, value) or chosen.backend.get_password(SERVICE, probe) is not None:
            raise CustodianUnavailable(_unreliable(chosen))

    def _choose(self, store: str | None) -> Chosen:
        try:
            chosen = self._looking.run(lambda: choose_backend(store), timeout_s=self._quick_s)
        except CallTimedOut:
            raise CustodianUnavailable(f"The system keyring does not answer. {HOW_TO_GO_ON}") from None
        if not isinstance(chosen, Chosen):
            raise CustodianUnavailable(chosen.why)
        return chosen

    def _ask(self, chosen: Chosen, call: Callable[[], T], timeout_s: float) -> T:
        """Turns every failure of a backend into one of ours; the cause is dropped, as its frames hold the key."""
        label = chosen.known.label
        try:
            return self._asking.run(call, timeout_s=timeout_s)
        except VaultError:
            raise
        except CallTimedOut:
            why = f"{label} did not answer within {timeout_s:.0f} seconds. Look for its dialog and answer it"
        except Exception as error:  # noqa: BLE001 - backends raise whatever their platform raises
            why = _WHY.get(type(error).__name__, "{label} refused").format(label=label)
        raise CustodianUnavailable(f"{why}, then try again. If nobody can do that, use a passphrase instead.")


# By name, so that no platform's own exceptions have to be imported.
_WHY = {
    "InitError": "{label} is locked, or can't be opened. Unlock it",
    "KeyringLocked": "{label} is locked. Unlock it",
    "LockedException": "{label} is locked. Unlock it",
    "PromptDismissedException": "{label} is locked, and the dialog to unlock it was closed. Unlock it",
    "NoKeyringError": "{label} has stopped. Start it",
    "SecretServiceNotAvailableException": "{label} has stopped. Start it",
}


def _unreliable(chosen: Chosen) -> str:
    return f"{chosen.known.label} does not store what it is given. Choose a passphrase instead."


def _same(found: str | None, expected: str) -> bool:
    return found is not None and hmac.compare_digest(found.encode(), expected.encode())


def _store(parameters: Mapping[str, Any]) -> str:
    store = parameters.get("store")
    if store not in {known.store for known in KNOWN}:
        raise CustodianUnavailable(DAMAGED)
    return str(store)


def _key(item: str) -> bytes:
    if item.startswith(_FORM):
        with suppress(binascii.Error, ValueError):
            return base64.b64decode(item[len(_FORM) :], validate=True)
    raise CustodianUnavailable(
        "The key in the system keyring is damaged, or from a newer version. Update connvault-jupyter."
    )
