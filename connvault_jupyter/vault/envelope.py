"""Keys from one master key, and the envelope of a sealed secret. Where the master key comes from is a custodian's
business; what a secret is bound to is decided by the services (`SealContext`). Never log or store anything from here.

The envelope, version 1 (a later version is another first byte; a reader refuses a version that it does not know):

    0        version, 1
    1        n, the length of a wrapped per-secret key; 0 in version 1 (sealed directly under the vault's sealing key)
    2        that wrapped key, n bytes
    2 + n    nonce, 12 bytes
    14 + n   ciphertext and 16 bytes of tag (AES-256-GCM, RFC 5116 5.2)

Associated data: everything before the nonce, then the canonical JSON of the context.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import SecretInvalid
from ..services.ports import MacPurpose, Randomness, SealContext

# 256 bits: the key size of AES-256, the output of SHA-256, and what quantum searches leave at 128 bits.
KEY_BYTES = 32

# 96 bits is the one nonce length that GCM uses as it is (SP 800-38D 8.2). Random ones are good for 2^32 seals under
# one key; a vault with 1,000 secrets that all change every minute gets there after eight years.
NONCE_BYTES = 12

TAG_BYTES = 16

VERSION = 1

_HEADER = bytes([VERSION, 0])

# Separate keys for separate purposes (RFC 5869 3.2: `info`). A label is never used again with another meaning.
_INFO_SEAL = b"connvault-jupyter v1 seal secrets"
_INFO_GRANT = b"connvault-jupyter v1 mac grants"
_INFO_AUDIT = b"connvault-jupyter v1 mac audit"
_INFO_DOCUMENT = b"connvault-jupyter v1 mac documents"
_INFO_CLAIM = b"connvault-jupyter v1 mac claims"
_INFO_SEAL_CLAIM = b"connvault-jupyter v1 seal claims"
_INFO_CHECK = b"connvault-jupyter v1 check value"


class VaultKeys:
    """Seals, unseals and authenticates (the port `Keys`). Its repr shows nothing; it refuses to be pickled or copied.

    Python cannot wipe memory: the keys are gone when this object is collected, not before.
    """

    __slots__ = ("__weakref__", "_aead", "_claims", "_generation", "_macs", "_random")

    def __init__(
        self,
        *,
        seal: bytes,
        seal_claims: bytes,
        macs: Mapping[MacPurpose, bytes],
        generation: int = 1,
        random: Randomness = os.urandom,
    ) -> None:
        self._aead = AESGCM(seal)
        self._claims = AESGCM(seal_claims)
        self._macs = macs
        self._generation = generation
        self._random = random

    @property
    def generation(self) -> int:
        """Which master key of its vault they come from, counted from 1."""
        return self._generation

    def seal(self, secret: bytes, context: SealContext) -> bytes:
        """A version 1 envelope under a fresh nonce, 30 bytes longer than `secret`.

        Raises:
            SecretInvalid: the context holds a value that has no canonical form (not a number, an object).
        """
        return self._sealed(self._aead, secret, _associated(_HEADER, context))

    def unseal(self, envelope: bytes, context: SealContext) -> bytes:
        """The secret, if key, context and every bit of the envelope are the ones that it was sealed with.

        Raises:
            SecretInvalid: anything else. Which part differs is not told: it would only help to guess.
        """
        return _unsealed(self._aead, envelope, _associated(_HEADER, context))

    def seal_claim(self, text: bytes, context: bytes) -> bytes:
        """As `seal`, under a key of its own; `context` is whatever the text belongs to."""
        return self._sealed(self._claims, text, _HEADER + context)

    def unseal_claim(self, envelope: bytes, context: bytes) -> bytes:
        """As `unseal`. Raises: SecretInvalid."""
        return _unsealed(self._claims, envelope, _HEADER + context)

    def _sealed(self, aead: AESGCM, text: bytes, associated: bytes) -> bytes:
        nonce = self._random(NONCE_BYTES)
        return _HEADER + nonce + aead.encrypt(nonce, text, associated)

    def mac(self, purpose: MacPurpose, message: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104), 32 bytes, under a key that no other purpose has."""
        return hmac.digest(self._macs[purpose], message, "sha256")

    def __repr__(self) -> str:
        return "<VaultKeys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys can't be pickled or copied")


def derive_keys(
    master_key: bytes, vault_id: str, *, generation: int = 1, random: Randomness = os.urandom
) -> VaultKeys:
    """All keys of a vault (HKDF-SHA256, RFC 5869; salt: the SHA-256 of the vault id).

    Args:
        master_key: 32 bytes, uniformly random.
        vault_id: binds the keys to one vault, so that two vaults with one master key by mistake share nothing.
        generation: which master key of the vault this is, counted from 1.

    Raises:
        ValueError: the master key has not 32 bytes.
    """
    return VaultKeys(
        seal=_derive(master_key, vault_id, _INFO_SEAL),
        seal_claims=_derive(master_key, vault_id, _INFO_SEAL_CLAIM),
        macs={
            "grant": _derive(master_key, vault_id, _INFO_GRANT),
            "audit": _derive(master_key, vault_id, _INFO_AUDIT),
            "document": _derive(master_key, vault_id, _INFO_DOCUMENT),
            "claim": _derive(master_key, vault_id, _INFO_CLAIM),
        },
        generation=generation,
        random=random,
    )


def _unsealed(aead: AESGCM, envelope: bytes, associated: bytes) -> bytes:
    """Raises: SecretInvalid."""
    if len(envelope) >= len(_HEADER) + NONCE_BYTES + TAG_BYTES and envelope[: len(_HEADER)] == _HEADER:
        body = envelope[len(_HEADER) :]
        # Raised outside the handler, so that no cause hangs on it.
        with suppress(InvalidTag):
            return aead.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], associated)
    raise SecretInvalid


def check_value(master_key: bytes, vault_id: str) -> bytes:
    """Tells a right master key from a wrong one: an HMAC-SHA256 of the vault id under a key for this alone. 32 bytes.

    It is stored in the open: it says nothing about the master key. Compare it with `hmac.compare_digest`.
    """
    return hmac.digest(_derive(master_key, vault_id, _INFO_CHECK), vault_id.encode(), "sha256")


def _derive(master_key: bytes, vault_id: str, info: bytes) -> bytes:
    if len(master_key) != KEY_BYTES:
        raise ValueError(f"a master key has {KEY_BYTES} bytes")
    salt = hashlib.sha256(vault_id.encode()).digest()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(master_key)


_JSON = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def _associated(header: bytes, context: SealContext) -> bytes:
    destination = context.destination
    try:
        # With the types: 1, 1.0 and True are equal and have one hash, but not one text.
        values = tuple((name, type(value), value) for name, value in destination.items())
        own = (context.vault_id, context.scope, context.connection_id, context.field, context.provider_id)
        return _encoded(header, own, values)
    # TypeError: a value that can't be hashed, or that JSON can't say.
    except (TypeError, ValueError, RecursionError):
        pass
    raise SecretInvalid


# The same few contexts are asked for at each use of a secret. None of them holds a secret.
@lru_cache(maxsize=512)
def _encoded(header: bytes, own: tuple[str, ...], values: tuple[tuple[str, type, Any], ...]) -> bytes:
    vault, scope, connection, field, provider = own
    parts: dict[str, Any] = {
        "connection": connection,
        "destination": {name: value for name, _, value in values},
        "field": field,
        "provider": provider,
        "scope": scope,
        "vault": vault,
    }
    # JSON keeps names and types apart ("1", 1, 1.0, true, null); sorted and without spaces there is one text only.
    # surrogatepass: two lone surrogates must not read like the character that they would make together.
    return header + _JSON.encode(parts).encode("utf-8", "surrogatepass")
