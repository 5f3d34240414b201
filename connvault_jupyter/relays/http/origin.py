"""Where a connection's requests may go: one origin, and everything below one path. Nothing is sent here.

A path is checked as the most careless server would read it (`paths`). So is an address in a header that a server
treats like the target (`target_headers`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from ...errors import NotAllowed, UpstreamRefused
from .paths import has_control, leads_up

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 3986 3.3: the characters allowed in a path, and % for what is already encoded.
_PATH = "/%:@!$&'()*+,;=~-._"

# The characters allowed in a request line, without #: clients never send fragments.
_TARGET = re.compile(r"/[!-\"$-~]*")

# RFC 3986 3.1, 3.2: scheme, authority, and what comes after them.
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(/.*|)", re.DOTALL)

_ORIGIN = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """`host` and `path` are as sent (IDNA, percent-encoding); `path` has no trailing slash."""

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
        """For the `Host` header (RFC 9110 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def check(self, target: str) -> None:
        """Checks that a request's target is at or below the path.

        Raises: NotAllowed: it is not, does not have the form `/path?query` (RFC 9112 3.2.1), or has an encoded control
        character in its path.
        """
        path = target.partition("?")[0]
        if not _TARGET.fullmatch(target) or not self._covers(path):
            raise NotAllowed(
                "This connection is only for its base URL and paths below it.", reason="outside_base_url"
            )
        if has_control(path):
            raise NotAllowed(
                "The path contains a control character, which servers interpret differently. Remove it.",
                reason="control_character",
            )

    def own(self, address: str, *, asked_at: str) -> str:
        """An absolute address in a request, rewritten to the upstream's origin and checked like a target.

        It may name the origin itself, or the relay as the client has addressed it (`asked_at`, its `Host`), which is
        replaced.

        Raises: NotAllowed: another origin, or as `check`.
        """
        found = _ABSOLUTE.fullmatch(address)
        scheme, authority, rest = found.groups() if found else ("", "", "")
        own = scheme.lower() == self.scheme and self.is_at(authority)
        if not own and not (
            scheme.lower() in _DEFAULT_PORTS and authority and authority.lower() == asked_at.lower()
        ):
            raise NotAllowed(
                "This connection is only for its base URL and paths below it, but a header of the request "
                "names another host.",
                reason="outside_base_url",
            )
        self.check(rest or "/")
        return f"{self.scheme}://{self.authority}{rest or '/'}"

    def as_own(self, address: str, *, asked_at: str) -> str:
        """A client's address at the relay, moved to the origin; any other is returned unchanged. It is not checked."""
        found = _ORIGIN.fullmatch(address)
        if found is None or not asked_at or found[1].lower() != asked_at.lower():
            return address
        return f"{self.scheme}://{self.authority}{found[2]}"

    def is_at(self, authority: str) -> bool:
        """Whether this names the origin's host and port, with or without an explicit port."""
        return authority.lower().removesuffix(f":{_DEFAULT_PORTS[self.scheme]}") == self.authority.lower()

    def _covers(self, path: str) -> bool:
        if path != self.path and not path.startswith(self.path + "/"):
            return False
        return not self.path or not leads_up(path)


def origin_of(fields: Mapping[str, Any]) -> Origin:
    """From the fields `base_url` and `ca_certificate`. Raises: UpstreamRefused: it is not a valid address."""
    try:
        parts = urlsplit(str(fields["base_url"]))
        port = parts.port
        host = (parts.hostname or "").encode("ascii" if ":" in (parts.hostname or "") else "idna").decode()
    except (ValueError, KeyError, UnicodeError):
        raise _no_address() from None
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise _no_address()
    path = quote(parts.path, safe=_PATH).rstrip("/")
    if not Origin(parts.scheme, host, 1, path)._covers(path) or not _TARGET.fullmatch(path or "/"):
        raise _no_address()
    return Origin(
        parts.scheme,
        host,
        _DEFAULT_PORTS[parts.scheme] if port is None else port,
        path,
        str(fields.get("ca_certificate") or ""),
    )


def _no_address() -> UpstreamRefused:
    return UpstreamRefused("The base URL is not a valid HTTP address. Edit the connection.")
