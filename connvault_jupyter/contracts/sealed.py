"""A request that its page has sealed to the broker's key, so that the server process passes on what it can't read.

Which operations take one is said in the table (`Operation.sealable`). How it is sealed is vault/sealed_requests.py's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from .contract import Contract, Id

# The one way so far; another one gets another name, and a page that does not know it refuses to send.
Suite = Literal["hpke-p256-sha256-aes256gcm"]

# A point of P-256, uncompressed (SEC 1 2.3.3): 65 bytes.
Point = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{87}=$")]

# At least the 16 bytes of a tag. As long as a frame may be: the bound of what is inside is its own contract's.
Ciphertext = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{22,}={0,2}$", max_length=1 << 20)]


class SealingKey(Contract):
    """The broker's key for requests: made when it starts, changed after some thousand uses, stored nowhere.

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
    """What is sent in place of a sealable operation's own body: all that body's fields are inside, those of path and
    headers too.
    """

    sealed: SealedText
