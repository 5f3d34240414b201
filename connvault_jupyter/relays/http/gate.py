"""Whether a client on TCP has the handle's token, in any of the places where SDKs put a key. It goes no further."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from ..downstream import Downstream
from .headers import CLIENT_LOGINS
from .heads import RequestHead
from .request import Request


def may_enter(downstream: Downstream, head: RequestHead) -> bool:
    """On the Unix socket always: there the broker sees who connects, and nobody else reaches it."""
    if not downstream.over_tcp:
        return True
    return any(downstream.authenticates(given.encode("latin-1")) for given in _given(head))


def _given(head: RequestHead) -> Iterator[str]:
    for name in CLIENT_LOGINS[1:]:
        yield from head.values(name)
    for value in head.values("authorization"):
        scheme, _, rest = value.partition(" ")
        match scheme.lower():
            case "bearer" | "apikey" | "token":
                yield rest.strip()
            case "basic":
                yield from _password(rest.strip())
    # What a client signs has the token as its key's id.
    if "authorization" in head.names or "credential" in head.target.lower():
        from .sigv4 import client_key

        key = client_key(Request(head.method, head.target, head.headers))
        if key:
            yield key


def _password(pair: str) -> Iterator[str]:
    try:
        yield base64.b64decode(pair, validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return
