"""Where requests of a connection may go: one origin, and what lies below one path. Nothing is sent or parsed further.

A path is judged as the most careless server would read it: decoded more than once, with backslashes for slashes, and
with parameters after a semicolon cut off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ...errors import NotAllowed, UpstreamRefused

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986 3.3: what may stand in a path, and % for what is encoded already.
_PATH = "/%:@!$&'()*+,;=~-._"

# What a request line can carry, without the fragment's mark: that never leaves a client.
_TARGET = re.compile(r"/[!-\"$-~]*")

# Servers in front of servers decode more than once; one that needs more than this is an attack.
_DECODINGS = 8

_SEPARATORS = re.compile(r"[/\\]")


@dataclass(frozen=True)
class Pin:
    """`host` and `path` are in the form in which they are sent (IDNA, percent-encoding); `path` ends with no slash."""

    scheme: str
    host: str
    port: int
    path: str
    ca_certificate: str = ""

    @property
    def encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As the `Host` header has it (RFC 9110 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def check(self, target: str) -> None:
        """That a request's target lies at or below the path.

        Raises: NotAllowed: it does not, or is none of the form `/path?query` (RFC 9112 3.2.1).
        """
        if not _TARGET.fullmatch(target) or not self._covers(target.partition("?")[0]):
            raise NotAllowed(
                "This connection is for its base URL and what lies below it only.", reason="outside_base_url"
            )

    def _covers(self, path: str) -> bool:
        if path != self.path and not path.startswith(self.path + "/"):
            return False
        for _ in range(_DECODINGS):
            further = unquote(path, "latin-1")
            if further == path:
                break
            path = further
        else:
            return not self.path
        parts = (part.partition(";")[0] for part in _SEPARATORS.split(path))
        return not self.path or not any(part in (".", "..") for part in parts)


def pin_of(fields: Mapping[str, Any]) -> Pin:
    """From the fields `base_url` and `ca_certificate`. Raises: UpstreamRefused: that is no address."""
    try:
        parts = urlsplit(str(fields["base_url"]))
        port = parts.port
        host = (parts.hostname or "").encode("ascii" if ":" in (parts.hostname or "") else "idna").decode()
    except (ValueError, KeyError, UnicodeError):
        raise _no_address() from None
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise _no_address()
    path = quote(parts.path, safe=_PATH).rstrip("/")
    if not Pin(parts.scheme, host, 1, path)._covers(path) or not _TARGET.fullmatch(path or "/"):
        raise _no_address()
    return Pin(
        parts.scheme,
        host,
        _DEFAULT_PORTS[parts.scheme] if port is None else port,
        path,
        str(fields.get("ca_certificate") or ""),
    )


def _no_address() -> UpstreamRefused:
    return UpstreamRefused("The base URL is no address of a web service. Edit the connection.")
