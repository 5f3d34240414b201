"""Seals requests to a broker's key, for commands on the terminal: what labextension/src/sealing.ts does for the page.
`sealed_requests` opens them, and describes the format.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ..errors import BrokerUnavailable
from .sealed_requests import BLOCK_BYTES, INFO, POINT_BYTES, SUITE, SUITE_NAME


def sealed_request(key: Mapping[str, Any], operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The body to send instead of `request`, which has all fields, those of the path too. `key`: a
    `contracts.sealed.SealingKey` in JSON.

    Raises: BrokerUnavailable: it is a key that this version can't use.
    """
    if key.get("suite") != SUITE_NAME:
        raise BrokerUnavailable(_OTHER)
    text = json.dumps(request).encode()
    text += b" " * (-len(text) % BLOCK_BYTES)
    try:
        point = base64.b64decode(key["public_key"], validate=True)
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (KeyError, TypeError, ValueError):
        raise BrokerUnavailable(_OTHER) from None
    message = SUITE.encrypt(text, public, info=INFO + operation.encode())
    return {
        "sealed": {
            "key_id": key["key_id"],
            "enc": base64.b64encode(message[:POINT_BYTES]).decode(),
            "ciphertext": base64.b64encode(message[POINT_BYTES:]).decode(),
        }
    }


_OTHER = "The Jupyter server has another version of connvault. Install the same version in both environments."
