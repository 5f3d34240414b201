"""Which addresses belong to a connection: one origin, and everything below one path. Nothing is sent from here.

The relay checks again, knows more disguises (relays/http/paths.py) and has the last word. The check here is for a
clear error in the cell, and so that a redirect elsewhere is not mistaken for the service's own.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH = "/%:@!$&'()*+,;=~-._"

# Chains of servers may decode more than once.
_DECODINGS = 8


def joined(base_url: str, url: str) -> str:
    """A relative address below the base; an absolute one as it is."""
    text = url.lstrip()
    if _ABSOLUTE.match(text):
        return text
    return f"{base_url}/{text.lstrip('/')}" if text and not text.startswith("?") else base_url + text


def origin(url: str) -> tuple[str, str, int | None]:
    """RFC 6454 4: scheme, host, port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Not an address at all: equal to no stored one.
        return "", "", -1
    scheme = parts.scheme.lower()
    return (
        scheme,
        (parts.hostname or "").rstrip("."),
        port if port is not None else _DEFAULT_PORTS.get(scheme),
    )


def covers(base_url: str, url: str) -> bool:
    """Whether `url` has the origin of `base_url` and is below its path, even with dot segments."""
    if origin(base_url) != origin(url):
        return False
    base_path = urlsplit(base_url).path.rstrip("/")
    path = urlsplit(url).path
    if path != base_path and not path.startswith(base_path + "/"):
        return False
    return not base_path or not _leaves(path)


def loopback(base_url: str, port: int) -> str:
    """The base URL's counterpart on loopback: with its path, without a trailing slash."""
    path = quote(urlsplit(base_url).path, safe=_PATH).rstrip("/")
    return f"http://127.0.0.1:{port}{path}"


def _leaves(path: str) -> bool:
    """Whether some server could interpret dot segments in it, or parameters after them."""
    for _ in range(_DECODINGS):
        further = unquote(path, "latin-1")
        if further == path:
            parts = re.split(r"[/\\]", path)
            return any(part.partition(";")[0] in (".", "..") for part in parts)
        path = further
    return True
