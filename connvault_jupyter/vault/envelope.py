"""Keys from one master key, and the envelope of a sealed secret. A custodian provides the master key; the services
decide to what a secret is bound (`SealContext`). Never log or store anything from here.

The envelope, version 1 (a later version has another first byte; a reader refuses an unknown version):

    0        version, 1
    1        n, the length of a wrapped per-secret key; 0 in version 1 (sealed directly under the vault's sealing key)
    2        that wrapped key, n bytes
    2 + n    nonce, 12 bytes
    14 + n   ciphertext and 16 bytes of tag (AES-256-GCM, RFC 5116 5.2)

Associated data: everything before the nonce, then the canonical JSON of the context.

Version 2 wraps an envelope of version 1 that could not be unsealed when the keys were changed: its wrapped key (nonce,
the old sealing key, tag; 60 bytes) is under the new keys and bound to vault, connection, field and what follows it.
From the nonce on it is the old envelope, with the associated data of version 1.
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
from ..services.ports import Position, Randomness
from ..services.vault_ports import Keys, MacPurpose, RecordKeys, SealContext

# 256 bits: the key size of AES-256, the output of SHA-256, and still 128 bits against a quantum search.
KEY_BYTES = 32

# 96 bits is the nonce length that GCM uses directly (SP 800-38D 8.2). Random ones are safe for 2^32 seals under one
# key; a vault with 1,000 secrets that all change every minute gets there after eight years.
NONCE_BYTES = 12

TAG_BYTES = 16

VERSION = 1

_HEADER = bytes([VERSION, 0])

_WRAPPED_KEY_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES
_TAKEN_OVER = bytes([2, _WRAPPED_KEY_BYTES])

# The kept parts of older keys, in this order.
_KEPT_MACS: tuple[MacPurpose, ...] = ("audit", "claim")

# Including the key that seals claims.
_KEPT_BYTES = (len(_KEPT_MACS) + 1) * KEY_BYTES

_SEQUENCE_BYTES = 8

# Separate keys for separate purposes (RFC 5869 3.2: `info`). A label is never used again with another meaning.
_INFO_SEAL = b"connvault-jupyter v1 seal secrets"
_INFO_GRANT = b"connvault-jupyter v1 mac grants"
_INFO_AUDIT = b"connvault-jupyter v1 mac audit"
_INFO_DOCUMENT = b"connvault-jupyter v1 mac documents"
_INFO_CLAIM = b"connvault-jupyter v1 mac claims"
_INFO_SEAL_CLAIM = b"connvault-jupyter v1 seal claims"
_INFO_KEEP = b"connvault-jupyter v1 keep older keys"
_INFO_SLOT = b"connvault-jupyter v1 mac key slots"
_INFO_CHECK = b"connvault-jupyter v1 check value"


class OlderKeys:
    """Verifies and reads the audit events of an earlier generation (the port `RecordKeys`)."""

    __slots__ = ("_claims", "_macs", "ended", "generation", "kept")

    def __init__(self, kept: bytes, *, generation: int, ended: Position | None) -> None:
        self.kept = kept
        self.generation = generation
        self.ended = ended
        parts = [kept[at : at + KEY_BYTES] for at in range(0, len(kept), KEY_BYTES)]
        self._macs = dict(zip(_KEPT_MACS, parts, strict=False))
        self._claims = AESGCM(parts[-1])

    def mac(self, purpose: MacPurpose, message: bytes) -> bytes:
        """Raises: KeyError: the key of this purpose was not kept."""
        return hmac.digest(self._macs[purpose], message, "sha256")

    def unseal_claim(self, envelope: bytes, context: bytes) -> bytes:
        """Raises: SecretInvalid."""
        return _unsealed(self._claims, envelope, _HEADER + context)

    def __repr__(self) -> str:
        return "<OlderKeys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys can't be pickled or copied")


class VaultKeys:
    """Seals, unseals and authenticates (the port `Keys`). Its repr shows nothing; it refuses to be pickled or copied.

    Python can't wipe memory: the keys are gone when this object is collected, not earlier.
    """

    __slots__ = (
        "__weakref__",
        "_aead",
        "_claims",
        "_keeping",
        "_macs",
        "_random",
        "_seal",
        "generation",
        "kept",
    )

    def __init__(
        self,
        *,
        seal: bytes,
        seal_claims: bytes,
        keep: bytes,
        macs: Mapping[MacPurpose, bytes],
        generation: int = 1,
        random: Randomness = os.urandom,
    ) -> None:
        self.generation = generation
        self._seal = seal
        self._aead = AESGCM(seal)
        self._claims = AESGCM(seal_claims)
        self._keeping = AESGCM(keep)
        self._macs = macs
        self._random = random
        self.kept = b"".join(macs[purpose] for purpose in _KEPT_MACS) + seal_claims
        """The part of these keys that a later generation keeps."""

    def seal(self, secret: bytes, context: SealContext) -> bytes:
        """A version 1 envelope under a fresh nonce, 30 bytes longer than `secret`.

        Raises:
            SecretInvalid: the context contains a value without a canonical form (NaN, an object).
        """
        return self._sealed(self._aead, secret, _associated(_HEADER, context))

    def unseal(self, envelope: bytes, context: SealContext) -> bytes:
        """The secret, if key, context and every bit of the envelope are unchanged.

        Raises:
            SecretInvalid: anything else. It does not say which part differs, which would only help an attacker.
        """
        aead = self._aead
        if envelope[: len(_TAKEN_OVER)] == _TAKEN_OVER:
            key, body = self._taken_over(envelope, context)
            aead, envelope = AESGCM(key), _HEADER + body
        return _unsealed(aead, envelope, _associated(_HEADER, context))

    def wrap(self, older: Keys, envelope: bytes, context: SealContext) -> bytes:
        """A version 2 envelope. If it already is one, only its key is wrapped again. Raises: SecretInvalid."""
        if not isinstance(older, VaultKeys):
            raise TypeError("not keys of a vault")
        if envelope[: len(_HEADER)] == _HEADER:
            key, body = older._seal, envelope[len(_HEADER) :]
        else:
            key, body = older._taken_over(envelope, context)
        nonce = self._random(NONCE_BYTES)
        return _TAKEN_OVER + nonce + self._keeping.encrypt(nonce, key, _belonging(context, body)) + body

    def _taken_over(self, envelope: bytes, context: SealContext) -> tuple[bytes, bytes]:
        """(the old sealing key, the old envelope after its header). Raises: SecretInvalid."""
        start = len(_TAKEN_OVER) + _WRAPPED_KEY_BYTES
        if envelope[: len(_TAKEN_OVER)] == _TAKEN_OVER and len(envelope) >= start:
            wrapped, body = envelope[len(_TAKEN_OVER) : start], envelope[start:]
            with suppress(InvalidTag):
                return (
                    self._keeping.decrypt(
                        wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _belonging(context, body)
                    ),
                    body,
                )
        raise SecretInvalid

    def keep_record(self, older: RecordKeys, vault_id: str, ended: Position | None) -> bytes:
        """An envelope of the keys that the audit events of `older` need, then the sequence (8 bytes, big endian) and
        the digest of its last event. Earlier versions wrote only the keys."""
        if not isinstance(older, VaultKeys | OlderKeys):
            raise TypeError("not keys of a vault")
        end = b"" if ended is None else ended.sequence.to_bytes(_SEQUENCE_BYTES, "big") + ended.digest
        return self._sealed(self._keeping, older.kept + end, _keeping(vault_id, older.generation))

    def record_keys(self, envelope: bytes, generation: int, vault_id: str) -> OlderKeys:
        """Raises: SecretInvalid."""
        text = _unsealed(self._keeping, envelope, _keeping(vault_id, generation))
        kept, end = text[:_KEPT_BYTES], text[_KEPT_BYTES:]
        ended = Position(int.from_bytes(end[:_SEQUENCE_BYTES], "big"), end[_SEQUENCE_BYTES:]) if end else None
        return OlderKeys(kept, generation=generation, ended=ended)

    def seal_claim(self, text: bytes, context: bytes) -> bytes:
        """As `seal`, under a key of its own; `context` is what the text belongs to."""
        return self._sealed(self._claims, text, _HEADER + context)

    def unseal_claim(self, envelope: bytes, context: bytes) -> bytes:
        """As `unseal`. Raises: SecretInvalid."""
        return _unsealed(self._claims, envelope, _HEADER + context)

    def _sealed(self, aead: AESGCM, text: bytes, associated: bytes) -> bytes:
        nonce = self._random(NONCE_BYTES)
        return _HEADER + nonce + aead.encrypt(nonce, text, associated)

    def mac(self, purpose: MacPurpose, message: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104), 32 bytes, under a key for this purpose only."""
        return hmac.digest(self._macs[purpose], message, "sha256")

    def __repr__(self) -> str:
        return "<VaultKeys>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys can't be pickled or copied")


def derive_keys(
    master_key: bytes, vault_id: str, epoch: bytes = b"", *, random: Randomness = os.urandom
) -> VaultKeys:
    """All keys of a vault (HKDF-SHA256, RFC 5869; salt: the SHA-256 of vault id and epoch).

    Args:
        master_key: 32 bytes, uniformly random.
        vault_id: binds the keys to one vault, so that two vaults with the same master key share nothing.
        epoch: generation and salt (`VaultRecord.epoch`): another one yields other keys from the same master key.

    Raises:
        ValueError: the master key does not have 32 bytes.
    """

    def derive(info: bytes) -> bytes:
        return _derive(master_key, vault_id, epoch, info)

    return VaultKeys(
        seal=derive(_INFO_SEAL),
        seal_claims=derive(_INFO_SEAL_CLAIM),
        keep=derive(_INFO_KEEP),
        macs={
            "grant": derive(_INFO_GRANT),
            "audit": derive(_INFO_AUDIT),
            "document": derive(_INFO_DOCUMENT),
            "claim": derive(_INFO_CLAIM),
            "slot": derive(_INFO_SLOT),
        },
        generation=int.from_bytes(epoch[:8], "big") if epoch else 1,
        random=random,
    )


def _unsealed(aead: AESGCM, envelope: bytes, associated: bytes) -> bytes:
    """Raises: SecretInvalid."""
    if len(envelope) >= len(_HEADER) + NONCE_BYTES + TAG_BYTES and envelope[: len(_HEADER)] == _HEADER:
        body = envelope[len(_HEADER) :]
        # Raised outside the handler, so that no cause is attached.
        with suppress(InvalidTag):
            return aead.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], associated)
    raise SecretInvalid


def check_value(master_key: bytes, vault_id: str, epoch: bytes = b"") -> bytes:
    """Detects a wrong master key: an HMAC-SHA256 of the vault id under a key for this purpose only. 32 bytes.

    The key also depends on the epoch, so a changed generation or salt does not match. It is stored unprotected, as it
    reveals nothing about the master key. Compare it with `hmac.compare_digest`.
    """
    return hmac.digest(_derive(master_key, vault_id, epoch, _INFO_CHECK), vault_id.encode(), "sha256")


def _derive(master_key: bytes, vault_id: str, epoch: bytes, info: bytes) -> bytes:
    if len(master_key) != KEY_BYTES:
        raise ValueError(f"a master key has {KEY_BYTES} bytes")
    # Vault ids contain no zero byte. Without an epoch these are the keys of vaults from before there were generations.
    salt = hashlib.sha256(vault_id.encode() + (b"\0" + epoch if epoch else b"")).digest()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(master_key)


def _keeping(vault_id: str, generation: int) -> bytes:
    return _HEADER + b"connvault-older-keys-1\0" + vault_id.encode() + generation.to_bytes(8, "big")


def _belonging(context: SealContext, body: bytes) -> bytes:
    """To what a wrapped key is bound; the destination is unknown when it is wrapped."""
    parts = {
        "body": hashlib.sha256(body).hexdigest(),
        "connection": context.connection_id,
        "field": context.field,
        "vault": context.vault_id,
    }
    return _TAKEN_OVER + _JSON.encode(parts).encode("utf-8", "surrogatepass")


_JSON = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def _associated(header: bytes, context: SealContext) -> bytes:
    destination = context.destination
    try:
        # Including the types: 1, 1.0 and True are equal and have the same hash, but not the same text.
        values = tuple((name, type(value), value) for name, value in destination.items())
        own = (context.vault_id, context.scope, context.connection_id, context.field, context.provider_id)
        return _encoded(header, own, values)
    # TypeError: a value that can't be hashed, or that JSON can't represent.
    except (TypeError, ValueError, RecursionError):
        pass
    raise SecretInvalid


# The same few contexts occur at each use of a secret. None of them contains a secret.
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
    # JSON keeps names and types distinct ("1", 1, 1.0, true, null); sorted and without spaces the text is unique.
    # surrogatepass: two lone surrogates must not equal the character that they form together.
    return header + _JSON.encode(parts).encode("utf-8", "surrogatepass")
