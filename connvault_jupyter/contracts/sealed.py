"""A request that the page has sealed to the broker's key, so that the server process can't read what it forwards.

The table marks operations that accept one (`Operation.sealable`). The cryptography is in vault/sealed_requests.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from .contract import Contract, Id

# The only scheme so far. Another one needs another name; a page that does not know it refuses to send.
Suite = Literal["hpke-p256-sha256-aes256gcm"]

# A point of P-256, uncompressed (SEC 1 2.3.3): 65 bytes.
Point = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{87}=$")]

# At least the 16 bytes of a tag. At most as long as a frame: the content is limited by its own contract.
Ciphertext = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{22,}={0,2}$", max_length=1 << 20)]


class SealingKey(Contract):
    """The broker's key for requests: created when it starts, replaced after some thousand uses, never stored.

    `public_key`: Base64 of the point.
    """

    key_id: Id
    suite: Suite
    public_key: Point


class SealedText(Contract):
    """A whole request, sealed. `enc` is the encapsulated key (RFC 9180 4.1); both are Base64."""

    key_id: Id
    enc: Point
    ciphertext: Ciphertext


class Sealed(Contract):
    """Sent instead of a sealable operation's own body: contains all of its fields, including those of path and
    headers.
    """

    sealed: SealedText
