"""Keys from passphrases: Argon2id (RFC 9106) and the bounds of its costs. Never store or log a passphrase.

What is encrypted under such a key belongs to whoever asks for it: a slot's secret (`passphrase`), an export file
(`export_file`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ..errors import CustodianUnavailable, WeakPassphrase
from ..services.vault_ports import MINIMUM_PASSPHRASE_CHARS
from .envelope import KEY_BYTES

# RFC 9106 4, second recommended option: t=3, 64 MiB, p=4. About 150 ms.
ITERATIONS = 3
MEMORY_KIB = 64 * 1024
LANES = 4
COSTS: Mapping[str, int] = {"iterations": ITERATIONS, "memory_kib": MEMORY_KIB, "lanes": LANES}
SALT_BYTES = 16

# Bounds for stored costs. Upper: room for stronger defaults, but an edited row or file can't demand 64 GiB or a
# minute. Lower: the minimum of Argon2; lowering the costs in a row gains nothing, because they are authenticated.
_BOUNDS = {"iterations": (1, 16), "memory_kib": (8 * LANES, 512 * 1024), "lanes": (1, 16)}

NO_ARGON2 = (
    "This build of the cryptography package has no Argon2id. Install cryptography 44 or newer from a wheel."
)


def available() -> bool:
    """Whether this build of the library has Argon2id."""
    try:
        Argon2id(salt=bytes(SALT_BYTES), length=KEY_BYTES, iterations=1, lanes=1, memory_cost=8)
    except UnsupportedAlgorithm:
        return False
    return True


def check_strength(passphrase: str) -> None:
    """Raises: WeakPassphrase."""
    if len(unicodedata.normalize("NFC", passphrase)) < MINIMUM_PASSPHRASE_CHARS:
        raise WeakPassphrase(
            f"The passphrase is too short. Use at least {MINIMUM_PASSPHRASE_CHARS} characters."
        )


def within_bounds(costs: Mapping[str, Any]) -> bool:
    """Whether these are costs to which one may agree; other names in `costs` are not looked at."""
    for name, (lowest, highest) in _BOUNDS.items():
        value = costs.get(name)
        if type(value) is not int or not lowest <= value <= highest:
            return False
    return bool(costs["memory_kib"] >= 8 * costs["lanes"])  # RFC 9106 3.1


def stretched(passphrase: str, salt: bytes, costs: Mapping[str, int]) -> bytes:
    """A key of 32 bytes. The costs are `within_bounds`; each call takes that much memory, so make one at a time.

    The passphrase is normalised to NFC: `é` is one character on one keyboard and two on another, and both must give the
    same key. Not NFKC, which would make different passphrases equal. Nothing is trimmed.

    Raises: CustodianUnavailable: there is no Argon2id, or too little memory.
    """
    material = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    try:
        return Argon2id(
            salt=salt,
            length=KEY_BYTES,
            iterations=costs["iterations"],
            lanes=costs["lanes"],
            memory_cost=costs["memory_kib"],
        ).derive(material)
    except UnsupportedAlgorithm:
        raise CustodianUnavailable(NO_ARGON2) from None
    except MemoryError:
        raise CustodianUnavailable(
            "Unlocking needs 64 MiB of memory, and less is free. Stop some kernels, then try again."
        ) from None
