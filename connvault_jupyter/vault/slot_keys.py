"""The keys of a slot: from its secret follow a private key, to whose public key master keys are wrapped, and a MAC key.
Which slots there are and which are genuine is decided in `services.secrets`; who holds the secret, by a custodian.

A slot's secret is 32 random bytes. In a vault from before there were slots it is the master key of then, with which
nothing is sealed any more. Both keys are derived from it (HKDF-SHA256, RFC 5869; salt: the SHA-256 of the place), so
that a secret is useless for another vault or slot, and no derivation is shared with `envelope`.

HPKE (RFC 9180), base mode, one message per context: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM
0x0002; `info` is a label, the generation (8 bytes, big endian) and the place. Wrapped, a master key is 80 bytes: the
encapsulated key, the ciphertext, the tag. Another suite needs another label and another length.

Base mode does not say who wrapped: anybody can wrap a key of their own to a public key. What comes out is therefore
compared with the vault's check value and with the slot's pin.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import SecretInvalid
from .envelope import KEY_BYTES, TAG_BYTES

PUBLIC_KEY_BYTES = 32
WRAPPED_BYTES = PUBLIC_KEY_BYTES + KEY_BYTES + TAG_BYTES

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

# A label is never used again with another meaning.
_INFO_WRAP = b"connvault-jupyter v1 wrap master key\0"
_INFO_PRIVATE = b"connvault-jupyter v1 slot private key"
_INFO_PIN = b"connvault-jupyter v1 slot pin"


class X25519SlotKeys:
    """Implements `services.vault_ports.SlotKeys`. Holds nothing."""

    def public_key(self, secret: bytes, place: bytes) -> bytes:
        """32 bytes. Raises: ValueError: the secret does not have 32 bytes."""
        return _private(secret, place).public_key().public_bytes_raw()

    def wrap(self, master_key: bytes, public_key: bytes, place: bytes, generation: int) -> bytes:
        """80 bytes, others each time. Raises: SecretInvalid: not a public key, or one of low order."""
        # A public key of low order is refused by the library: its shared secret would be known to everybody.
        with suppress(ValueError):
            recipient = X25519PublicKey.from_public_bytes(public_key)
            return _SUITE.encrypt(master_key, recipient, info=_info(place, generation))
        raise SecretInvalid("A key slot of the vault has no valid public key.")

    def unwrap(self, wrapped: bytes, secret: bytes, place: bytes, generation: int) -> bytes:
        """32 bytes. Raises: SecretInvalid: for another secret, place or generation, or damaged."""
        if len(wrapped) == WRAPPED_BYTES:
            # Raised outside the handler, so that no cause is attached.
            with suppress(InvalidTag, ValueError):
                return _SUITE.decrypt(wrapped, _private(secret, place), info=_info(place, generation))
        raise SecretInvalid

    def pin(self, secret: bytes, place: bytes, message: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104). Compare it with `hmac.compare_digest`."""
        return hmac.digest(_derived(secret, place, _INFO_PIN), message, "sha256")


def _private(secret: bytes, place: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_derived(secret, place, _INFO_PRIVATE))


def _derived(secret: bytes, place: bytes, info: bytes) -> bytes:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a slot's secret has {KEY_BYTES} bytes")
    salt = hashlib.sha256(place).digest()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)


def _info(place: bytes, generation: int) -> bytes:
    return _INFO_WRAP + generation.to_bytes(8, "big") + place
