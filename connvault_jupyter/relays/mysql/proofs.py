"""How MySQL's authentication plugins prove knowledge of a password. Pure functions; they don't know the server.

`password` is as typed, in UTF-8; `scramble` is the server's challenge without its final NUL.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

NATIVE = b"mysql_native_password"
CACHING_SHA2 = b"caching_sha2_password"
ED25519 = b"client_ed25519"
CLEAR = b"mysql_clear_password"


class NotHere(Exception):
    """The library for this plugin is not installed."""


def native(password: bytes, scramble: bytes) -> bytes:
    """SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))); empty for an empty password.

    MySQL, "Native Authentication".
    """
    if not password:
        return b""
    once = hashlib.sha1(password).digest()  # noqa: S324 -- the protocol's own
    twice = hashlib.sha1(once).digest()  # noqa: S324
    return _xor(once, hashlib.sha1(scramble + twice).digest())  # noqa: S324


def is_native(proof: bytes, password: bytes, scramble: bytes) -> bool:
    """Whether this is the `native` proof of that password; compared in constant time."""
    return hmac.compare_digest(proof, native(password, scramble))


def caching_sha2(password: bytes, scramble: bytes) -> bytes:
    """SHA256(password) XOR SHA256(SHA256(SHA256(password)) + scramble); empty for an empty password.

    MySQL, "Caching_sha2_password information", fast authentication.
    """
    if not password:
        return b""
    once = hashlib.sha256(password).digest()
    twice = hashlib.sha256(once).digest()
    return _xor(once, hashlib.sha256(twice + scramble).digest())


def ed25519(password: bytes, scramble: bytes) -> bytes:
    """A signature of the scramble (RFC 8032 5.1.6) whose key is the password's SHA-512, not a seed's.

    MariaDB, "Authentication Plugin - ed25519". Raises: NotHere: without PyNaCl.
    """
    try:
        from nacl import bindings
    except ImportError:
        raise NotHere from None
    sodium: Any = bindings
    digest = hashlib.sha512(password).digest()
    key = bytes([digest[0] & 248]) + digest[1:31] + bytes([digest[31] & 127 | 64])
    nonce = sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(digest[32:] + scramble).digest())
    point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    public = sodium.crypto_scalarmult_ed25519_base_noclamp(key)
    hashed = hashlib.sha512(point + public + scramble).digest()
    challenge = sodium.crypto_core_ed25519_scalar_reduce(hashed)
    product = sodium.crypto_core_ed25519_scalar_mul(challenge, key)
    return bytes(point + sodium.crypto_core_ed25519_scalar_add(product, nonce))


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))
