"""Creates ids and handle refs, and hashes refs for lookup. What they refer to is in the stores."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

from ..contracts.contract import HandleRef
from .ports import Randomness

# 128 bits: ids never collide; they are not secrets.
ID_BYTES = 16

# 256 bits; `contracts.access.Ref` expects the 43 characters that result.
REF_BYTES = 32


def new_id(randomness: Randomness) -> str:
    """22 URL-safe characters."""
    return urlsafe_b64encode(randomness(ID_BYTES)).rstrip(b"=").decode()


def new_ref(randomness: Randomness) -> HandleRef:
    """43 URL-safe characters that only the requester ever holds."""
    return HandleRef(urlsafe_b64encode(randomness(REF_BYTES)).rstrip(b"=").decode())


def ref_hash(ref: str) -> bytes:
    """The stored form of a ref. SHA-256 without salt suffices: a ref is 256 random bits, not a password."""
    return hashlib.sha256(ref.encode()).digest()
