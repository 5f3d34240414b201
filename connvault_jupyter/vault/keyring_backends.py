"""Which OS keyrings may hold the master key. Never add a file-based or a third-party store to the list.

The `keyring` package selects a backend, which may be the system's own keyring, nothing at all, or a plain file
(`keyrings.alt`). So only backends whose module and class name are listed here are used; others are refused by name.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import session_bus

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

StoreName = Literal["secret_service", "kwallet", "macos", "windows"]

# On keyring's own scale, a backend below 1 is "suitable, but not recommended".
_LEAST_PRIORITY = 1.0

_CHAINER = "keyring.backends.chainer.ChainerBackend"
_OFF = ("keyring.backends.null.Keyring", "keyring.backends.fail.Keyring")

HOW_TO_GO_ON = "Choose a passphrase instead, or start the system keyring and try again."


@dataclass(frozen=True)
class KnownBackend:
    """A backend that uses the operating system's own store, named by `store`: two backends may share one."""

    name: str
    store: StoreName
    label: str


KNOWN: tuple[KnownBackend, ...] = (
    KnownBackend("keyring.backends.SecretService.Keyring", "secret_service", "Secret Service"),
    KnownBackend("keyring.backends.libsecret.Keyring", "secret_service", "Secret Service"),
    KnownBackend("keyring.backends.kwallet.DBusKeyring", "kwallet", "KWallet"),
    KnownBackend("keyring.backends.macOS.Keyring", "macos", "macOS Keychain"),
    KnownBackend("keyring.backends.Windows.WinVaultKeyring", "windows", "Windows Credential Manager"),
)
_BY_NAME = {known.name: known for known in KNOWN}


@dataclass(frozen=True)
class Chosen:
    known: KnownBackend
    backend: KeyringBackend


@dataclass(frozen=True)
class NoneChosen:
    """No keyring can be used. `why` tells people the reason and what to do."""

    why: str


def choose_backend(store: str | None = None) -> Chosen | NoneChosen:
    """The backend to use: the one that a person configured for `keyring`, else the known one with the highest
    priority.

    Imports `keyring` and checks for each known backend whether its service runs (on Linux: over D-Bus). That may take
    arbitrarily long, so call it with a time-out. It reads no item and never prompts. Where the environment names no
    session bus, this user's own is named there (`session_bus`).

    Args:
        store: the store with the key of an existing vault; only its backends are then considered. `None`: any.
    """
    no_bus = session_bus.join(os.environ)
    try:
        configured = _configured()
    except Exception as error:  # noqa: BLE001 - a setting may name any module of anybody
        return NoneChosen(
            f"Python's configured keyring can't be used ({type(error).__name__}). Correct "
            f"PYTHON_KEYRING_BACKEND or keyringrc.cfg. {HOW_TO_GO_ON}"
        )
    if configured is not None and _name(configured) != _CHAINER:
        return _judged(configured, store)
    found = [chosen for known in KNOWN if store in (None, known.store) and (chosen := _viable(known))]
    if found:
        return max(found, key=lambda chosen: float(chosen.backend.priority))
    return NoneChosen(f"{_why_none(store)} {no_bus}".rstrip())


def _configured() -> KeyringBackend | None:
    from keyring import core

    return core.load_env() or core.load_config()


def _judged(backend: KeyringBackend, store: str | None) -> Chosen | NoneChosen:
    """A configured backend: used if it is known and available, else refused by name, never bypassed."""
    known = _BY_NAME.get(_name(backend))
    if known is None:
        return NoneChosen(_refused(_name(backend)))
    if store not in (None, known.store):
        return NoneChosen(
            f"The master key is not in the keyring that Python now uses ({known.label}). Configure the "
            "earlier keyring again, then restart the server."
        )
    return _viable(known) or NoneChosen(f"{known.label} does not answer. {HOW_TO_GO_ON}")


def _viable(known: KnownBackend) -> Chosen | None:
    # Not keyring.get_keyring(): it loads all installed plug-ins, and keeps its first result for ever.
    with suppress(Exception):  # each platform reports absence in its own way
        module, _, name = known.name.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        if kind.priority >= _LEAST_PRIORITY:
            return Chosen(known, kind())
    return None


def _why_none(store: str | None) -> str:
    if store is not None:
        labels = (
            " or ".join(sorted({known.label for known in KNOWN if known.store == store})) or "The keyring"
        )
        return f"{labels} holds the master key, but does not answer. Start and unlock it, then try again."
    with suppress(Exception):  # only for a better message
        import keyring

        found = keyring.get_keyring()
        for backend in getattr(found, "backends", [found]):
            if _name(backend) not in (*_OFF, *_BY_NAME):
                return _refused(_name(backend))
    return f"No system keyring answers here. {HOW_TO_GO_ON}"


def _refused(name: str) -> str:
    if name in _OFF:
        return f"Python's keyring is switched off ({name}). {HOW_TO_GO_ON}"
    # A class name from outside: keep it short and plain.
    shown = "".join(char for char in name if char.isascii() and (char.isalnum() or char in "._"))[:100]
    if name.startswith("keyrings.alt."):
        return (
            f"{shown} is refused: it stores passwords in a file, in plain text or nearly so. {HOW_TO_GO_ON}"
        )
    return f"{shown} is refused: it is not a known keyring of the operating system. {HOW_TO_GO_ON}"


def _name(backend: KeyringBackend) -> str:
    kind = type(backend)
    return f"{kind.__module__}.{kind.__qualname__}"
