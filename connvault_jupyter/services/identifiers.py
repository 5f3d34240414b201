"""How ids and handle refs are made and how a ref is looked up. What they stand for is the stores' business."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

from ..contracts.contract import HandleRef
from .ports import Randomness

# 128 bits: ids never collide, and they are no secrets.
ID_BYTES = 16

# 256 bits, and `contracts.access.Ref` expects the 43 characters that this makes.
REF_BYTES = 32


def new_id(randomness: Randomness) -> str:
    """22 URL-safe characters."""
    return urlsafe_b64encode(randomness(ID_BYTES)).rstrip(b"=").decode()


def new_ref(randomness: Randomness) -> HandleRef:
    """43 URL-safe characters that only the asker ever holds."""
    return HandleRef(urlsafe_b64encode(randomness(REF_BYTES)).rstrip(b"=").decode())


def ref_hash(ref: str) -> bytes:
    """What is stored of a ref. SHA-256 without salt is right: the ref is 256 random bits, not a password."""
    return hashlib.sha256(ref.encode()).digest()
