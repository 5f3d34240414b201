"""Reads the secret of a key slot where its custodian keeps it, as the user who runs a command. The broker never calls
this: a change of slots needs somebody who can read the keyring or the key file, not only a server that can.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import CustodianUnavailable
from .key_file import KeyFileCustodian
from .keyring_backends import Chosen, choose_backend
from .os_keyring import OsKeyringCustodian

_VERSION = 1


def from_keyring(name: str) -> bytes:
    """The secret of the slot that is called `name` there; the keyring may ask the person.

    Raises: CustodianUnavailable."""
    chosen = choose_backend()
    if not isinstance(chosen, Chosen):
        raise CustodianUnavailable(chosen.why)
    return OsKeyringCustodian().recover(name, {"version": _VERSION, "store": chosen.known.store}, None)


def from_key_file(name: str, path: Path) -> bytes:
    """Raises: CustodianUnavailable."""
    return KeyFileCustodian(path=path).recover(name, {"version": _VERSION}, None)
