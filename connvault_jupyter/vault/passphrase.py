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
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ..contracts.vault import CustodianKind
from ..errors import CustodianUnavailable, WeakPassphrase, WrongPassphrase
from ..services.ports import Randomness
from ..services.vault_ports import Availability
from .custodian import DAMAGED, MasterKeyCustodian
from .envelope import KEY_BYTES, NONCE_BYTES, TAG_BYTES

# NIST SP 800-63B asks for 8 where tries are limited. Whoever has this file may try offline, so a little more.
MINIMUM_PASSPHRASE_CHARS = 10

# RFC 9106 4, second recommended option: t=3, 64 MiB, p=4. About 150 ms.
ITERATIONS = 3
MEMORY_KIB = 64 * 1024
LANES = 4
SALT_BYTES = 16

# Bounds for stored costs. Upper: room for stronger defaults, but an edited row can't demand 64 GiB or a minute. Lower:
# the minimum of Argon2; lowering the costs in a row gains nothing, because they are authenticated.
_BOUNDS = {"iterations": (1, 16), "memory_kib": (8 * LANES, 512 * 1024), "lanes": (1, 16)}
_BINARY = {"salt": SALT_BYTES, "nonce": NONCE_BYTES, "wrapped": KEY_BYTES + TAG_BYTES}

LABEL = "Passphrase"
DETAIL = "You type it once after each start of the server. If you lose it, nobody can recover the secrets."
_NO_ARGON2 = (
    "This build of the cryptography package has no Argon2id. Install cryptography 44 or newer from a wheel."
)


class PassphraseCustodian(MasterKeyCustodian):
    """Wraps a key under Argon2id (RFC 9106) of a passphrase.

    The passphrase is normalised to NFC: `é` is one character on one keyboard and two on another, and both must unlock
    the vault. Not NFKC, which would make different passphrases equal. Nothing is trimmed.
    """

    kind: ClassVar[CustodianKind] = "passphrase"

    def __init__(self, *, random: Randomness = os.urandom) -> None:
        self._random = random
        # One try at a time: each takes 64 MiB and four threads.
        self._one_at_a_time = threading.Lock()

    def availability(self) -> Availability:
        """Available if Argon2id is."""
        try:
            Argon2id(salt=bytes(SALT_BYTES), length=KEY_BYTES, iterations=1, lanes=1, memory_cost=8)
        except UnsupportedAlgorithm:
            return Availability(available=False, label=LABEL, detail=_NO_ARGON2)
        return Availability(available=True, label=LABEL, detail=DETAIL)

    def _keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        if passphrase is None or len(unicodedata.normalize("NFC", passphrase)) < MINIMUM_PASSPHRASE_CHARS:
            raise WeakPassphrase(
                f"The passphrase is too short. Use at least {MINIMUM_PASSPHRASE_CHARS} characters."
            )
        nonce = self._random(NONCE_BYTES)
        open_part: dict[str, Any] = {
            "kdf": "argon2id",
            "iterations": ITERATIONS,
            "memory_kib": MEMORY_KIB,
            "lanes": LANES,
            "salt": _text(self._random(SALT_BYTES)),
        }
        stretched = self._stretch(passphrase, open_part)
        wrapped = AESGCM(stretched).encrypt(nonce, key, _associated(name, open_part))
        return {**open_part, "nonce": _text(nonce), "wrapped": _text(wrapped)}

    def _recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        open_part, binary = _parse(parameters)
        if passphrase is None:
            raise WrongPassphrase("The vault needs its passphrase. Enter it in the Connections panel.")
        stretched = self._stretch(passphrase, open_part)
        with suppress(InvalidTag):
            return AESGCM(stretched).decrypt(binary["nonce"], binary["wrapped"], _associated(name, open_part))
        raise WrongPassphrase

    def _forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Nothing to do: the wrapped key is in the parameters."""

    def _stretch(self, passphrase: str, open_part: Mapping[str, Any]) -> bytes:
        material = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
        with self._one_at_a_time:
            try:
                return Argon2id(
                    salt=base64.b64decode(open_part["salt"]),
                    length=KEY_BYTES,
                    iterations=open_part["iterations"],
                    lanes=open_part["lanes"],
                    memory_cost=open_part["memory_kib"],
                ).derive(material)
            except UnsupportedAlgorithm:
                raise CustodianUnavailable(_NO_ARGON2) from None
            except MemoryError:
                raise CustodianUnavailable(
                    "Unlocking needs 64 MiB of memory, and less is free. Stop some kernels, then try again."
                ) from None


def _parse(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the associated data, the binary values), each within its bounds."""
    if parameters.get("kdf") != "argon2id":
        raise CustodianUnavailable(DAMAGED)
    for name, (lowest, highest) in _BOUNDS.items():
        value = parameters.get(name)
        if type(value) is not int or not lowest <= value <= highest:
            raise CustodianUnavailable(DAMAGED)
    if parameters["memory_kib"] < 8 * parameters["lanes"]:  # RFC 9106 3.1
        raise CustodianUnavailable(DAMAGED)
    binary = {name: _bytes(parameters.get(name), length) for name, length in _BINARY.items()}
    open_part = {name: parameters[name] for name in ("kdf", *_BOUNDS, "salt")}
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
