"""The page's half of a sealed request, for tests that need no page: HPKE as labextension/src/sealing.ts does it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

INFO = b"connvault-jupyter v1 sealed request\0"
BLOCK_BYTES = 1024

_ENC_BYTES = 65


def padded(request: Mapping[str, Any]) -> bytes:
    text = json.dumps(request).encode()
    return text + b" " * (-len(text) % BLOCK_BYTES)


def sealed(key: Mapping[str, Any], operation: str, request: Mapping[str, Any] | bytes) -> dict[str, Any]:
    """The body that a page sends. `key` is a `SealingKey` in JSON; bytes are sealed as they are."""
    plaintext = request if isinstance(request, bytes) else padded(request)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), base64.b64decode(key["public_key"]))
    suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    message = suite.encrypt(plaintext, public, info=INFO + operation.encode())
    return {
        "sealed": {
            "key_id": key["key_id"],
            "enc": base64.b64encode(message[:_ENC_BYTES]).decode(),
            "ciphertext": base64.b64encode(message[_ENC_BYTES:]).decode(),
        }
    }
