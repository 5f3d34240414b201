"""Addresses in an answer's headers, as the client can follow them: the reverse of what the relay does to a request.

A client that uses the relay's own address gets it back in addresses of the connection's origin and path, so that it
returns with its handle's token; one that uses the service's name gets the service's. Addresses elsewhere, and relative
ones, stay unchanged. Bodies are content and are not changed.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from ...errors import NotAllowed
from .heads import Headers
from .origin import Origin

# Headers that say where to continue, by families: Location, Content-Location, Operation-Location, Link,
# X-Next-Page-Url, Upload-URI, Azure-AsyncOperation ... but not names for users' own data.
_NAMES = re.compile(
    r"(?!.*-meta-)(?:.*-)?(?:location|ur[il]s?|links?|link-template|href|asyncoperation|next|prev|previous|first|last|"
    r"status|refresh|redirect)"
)

# Attributes that would keep a client at the relay's address from storing the cookie: the relay has neither the
# service's name nor its TLS.
_NOT_HERE = re.compile(r";\s*(?:domain\s*=[^;]*|secure\s*)(?=;|$)", re.IGNORECASE)

# RFC 8288 3: `<address>; rel=next, <address>; rel=last`.
_LINK = re.compile(r"<([^<>]*)>")
# As browsers read it: `5; url=address`.
_REFRESH = re.compile(r"(\s*[0-9.]*\s*[;,]\s*url\s*=\s*)(['\"]?)([^'\"]*)(['\"]?\s*)", re.IGNORECASE)

_HOST = re.compile(r"[A-Za-z0-9_.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
_ASCII = "".join(map(chr, range(0x21, 0x7F)))

_ABSOLUTE = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#\\\s]*)([/?#]\S*|)")


def as_asked(headers: Headers, origin: Origin, *, asked_at: str) -> Headers:
    """The headers, with the connection's own addresses moved to the host that the client has used (its `Host`)."""
    if not _HOST.fullmatch(asked_at) or origin.is_at(asked_at):
        return headers
    return [(name, _shown(name.lower(), value, origin, asked_at)) for name, value in headers]


def _shown(name: str, value: str, origin: Origin, asked_at: str) -> str:
    if name == "set-cookie":
        return _NOT_HERE.sub("", value)
    if "//" not in value or not _NAMES.fullmatch(name):
        return value
    if "<" in value:
        return _LINK.sub(lambda found: f"<{_address(found[1], origin, asked_at)}>", value)
    refresh = _REFRESH.fullmatch(value)
    if refresh:
        before, quoted, address, after = refresh.groups()
        return f"{before}{quoted}{_address(address, origin, asked_at)}{after}"
    return _address(value, origin, asked_at)


def _address(address: str, origin: Origin, asked_at: str) -> str:
    found = _ABSOLUTE.fullmatch(address.strip())
    if found is None:
        return address
    scheme, authority, rest = found.groups()
    if (scheme or origin.scheme).lower() != origin.scheme or not origin.is_at(authority):
        return address
    # Some servers send non-ASCII letters unencoded; in a request they would come back encoded.
    path = quote(rest.partition("#")[0], safe=_ASCII, encoding="latin-1")
    try:
        origin.check(path if path.startswith("/") else f"/{path}")
    except NotAllowed:
        return address
    return f"{'http:' if scheme else ''}//{asked_at}{rest}"
