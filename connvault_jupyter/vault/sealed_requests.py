"""Opens requests that a page sealed to this broker (the port `Unsealer`). It does not look at their content.

HPKE (RFC 9180), base mode, one message per context: DHKEM(P-256, HKDF-SHA256) 0x0010, HKDF-SHA256 0x0001,
AES-256-GCM 0x0002. P-256 and not X25519, because every browser's WebCrypto has it. The page's half is
labextension/src/sealing.ts, that of commands is
`request_sealing`.

    info        "connvault-jupyter v1 sealed request", a zero byte, the operation's name
    plaintext   JSON of the request as its contract requires, including the fields of path and headers, in UTF-8; then
                spaces up to a multiple of 1,024 bytes, so that the length does not reveal a secret's

A whole request is sealed as one text: a secret is bound to the operation, the connection, the field and the
destination, and can't be moved to another request. A text can be opened only once: its encapsulated key is remembered
as long as the key pair lives. The pair is replaced before that memory grows too large, so nothing is forgotten too
early.

Base mode does not authenticate the sender: whoever may call the broker may seal. Whoever can change the page's code
can read what is typed into it.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..contracts.sealed import SealedText, SealingKey
from ..errors import SealedRequestInvalid, SealingKeyChanged
from ..services.identifiers import new_id
from ..services.ports import Randomness

SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

SUITE_NAME: Literal["hpke-p256-sha256-aes256gcm"] = "hpke-p256-sha256-aes256gcm"

INFO = b"connvault-jupyter v1 sealed request\0"

BLOCK_BYTES = 1024

# A point of P-256, uncompressed (SEC 1 2.3.3): the encapsulated key, before the ciphertext.
POINT_BYTES = 65

# 65 bytes for each text. Nobody types a thousand secrets in a broker's lifetime, so a page hardly ever meets a new
# key.
MAX_OPENED = 4096


def _generated() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class SealedRequests:
    """Holds one key pair, which is never stored. Thread-safe; its repr shows nothing."""

    def __init__(
        self,
        *,
        randomness: Randomness,
        generate: Callable[[], ec.EllipticCurvePrivateKey] = _generated,
        max_opened: int = MAX_OPENED,
    ) -> None:
        self._randomness = randomness
        self._generate = generate
        self._max_opened = max_opened
        self._lock = threading.Lock()
        self._renew()

    def key(self) -> SealingKey:
        """The present public key."""
        return self._public

    def open(self, sealed: SealedText, operation: str) -> bytes:
        """What was sealed for this operation, including its trailing spaces.

        Raises:
            SealingKeyChanged: sealed to another key than the present one.
            SealedRequestInvalid: for another operation, damaged, or already opened.
        """
        # Not validated: the contract has already refused characters that are not Base64.
        enc = base64.b64decode(sealed.enc)
        ciphertext = _decoded(sealed.ciphertext)
        with self._lock:
            if sealed.key_id != self._public.key_id:
                raise SealingKeyChanged
            if enc in self._opened:
                raise SealedRequestInvalid
            plaintext = _plaintext(enc + ciphertext, self._private, INFO + operation.encode())
            self._opened.add(enc)
            if len(self._opened) >= self._max_opened:
                self._renew()
        return plaintext

    def _renew(self) -> None:
        self._private = self._generate()
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._public = SealingKey(
            key_id=new_id(self._randomness),
            suite=SUITE_NAME,
            public_key=base64.b64encode(point).decode(),
        )
        self._opened: set[bytes] = set()

    def __repr__(self) -> str:
        return "<SealedRequests>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys can't be pickled or copied")


def _plaintext(message: bytes, private: ec.EllipticCurvePrivateKey, info: bytes) -> bytes:
    """Raises: SealedRequestInvalid."""
    # Raised outside the handler, so that no cause is attached.
    with suppress(InvalidTag):
        return SUITE.decrypt(message, private, info=info)
    raise SealedRequestInvalid


def _decoded(text: str) -> bytes:
    """Raises: SealedRequestInvalid: its length is not valid for Base64."""
    with suppress(ValueError):
        return base64.b64decode(text)
    raise SealedRequestInvalid
