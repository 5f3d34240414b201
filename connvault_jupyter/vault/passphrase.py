"""The passphrase custodian: a slot's secret wrapped under a passphrase. Never store or log a passphrase.

Parameters, version 1: `kdf` ("argon2id"), `iterations`, `memory_kib`, `lanes`, and in base64 `salt`, `nonce` and
`wrapped` (the secret under AES-256-GCM). Its name and all of them except the last two are its associated data.
Higher costs need no new version: the stored ones are used, within the bounds below.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..contracts.vault import CustodianKind
from ..errors import CustodianUnavailable, WrongPassphrase
from ..services.ports import Randomness
from ..services.vault_ports import Availability
from .argon2 import (
    COSTS,
    NO_ARGON2,
    SALT_BYTES,
    available,
    check_strength,
    stretched,
    within_bounds,
)
from .custodian import DAMAGED, MasterKeyCustodian
from .envelope import KEY_BYTES, NONCE_BYTES, TAG_BYTES

_BINARY = {"salt": SALT_BYTES, "nonce": NONCE_BYTES, "wrapped": KEY_BYTES + TAG_BYTES}

LABEL = "Passphrase"
DETAIL = "You type it once after each start of the server. If you lose it, nobody can recover the secrets."


class PassphraseCustodian(MasterKeyCustodian):
    """Wraps a key under Argon2id (RFC 9106) of a passphrase, normalised as `argon2.stretched` says."""

    kind: ClassVar[CustodianKind] = "passphrase"

    def __init__(self, *, random: Randomness = os.urandom) -> None:
        self._random = random
        # One try at a time: each takes 64 MiB and four threads.
        self._one_at_a_time = threading.Lock()

    def availability(self) -> Availability:
        """Available if Argon2id is."""
        if not available():
            return Availability(available=False, label=LABEL, detail=NO_ARGON2)
        return Availability(available=True, label=LABEL, detail=DETAIL)

    def _keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        passphrase = passphrase or ""
        check_strength(passphrase)
        nonce = self._random(NONCE_BYTES)
        open_part: dict[str, Any] = {
            "kdf": "argon2id",
            **COSTS,
            "salt": _text(self._random(SALT_BYTES)),
        }
        wrapping_key = self._stretch(passphrase, open_part)
        wrapped = AESGCM(wrapping_key).encrypt(nonce, key, _associated(name, open_part))
        return {**open_part, "nonce": _text(nonce), "wrapped": _text(wrapped)}

    def _recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        open_part, binary = _parse(parameters)
        if passphrase is None:
            raise WrongPassphrase("The vault needs its passphrase. Enter it in the Connections panel.")
        wrapping_key = self._stretch(passphrase, open_part)
        with suppress(InvalidTag):
            return AESGCM(wrapping_key).decrypt(
                binary["nonce"], binary["wrapped"], _associated(name, open_part)
            )
        raise WrongPassphrase

    def _forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Nothing to do: the wrapped key is in the parameters."""

    def _stretch(self, passphrase: str, open_part: Mapping[str, Any]) -> bytes:
        with self._one_at_a_time:
            return stretched(passphrase, base64.b64decode(open_part["salt"]), open_part)


def _parse(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the associated data, the binary values), each within its bounds."""
    if parameters.get("kdf") != "argon2id":
        raise CustodianUnavailable(DAMAGED)
    if not within_bounds(parameters):
        raise CustodianUnavailable(DAMAGED)
    binary = {name: _bytes(parameters.get(name), length) for name, length in _BINARY.items()}
    open_part = {name: parameters[name] for name in ("kdf", *COSTS, "salt")}
    return open_part, binary


def _associated(name: str, open_part: Mapping[str, Any]) -> bytes:
    return json.dumps(
        {**open_part, "vault": name, "purpose": "connvault-jupyter v1 master key"},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: Any, length: int) -> bytes:
    try:
        found = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != length:
        raise CustodianUnavailable(DAMAGED)
    return found
