"""Where requests of a connection may go: one origin, and what lies below one path. Nothing is sent or parsed further.

A path is judged as the most careless server would read it (`paths`). The same holds for an address in a header that the
server acts upon as on the target (`second_addresses`).
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

# RFC 3986 3.3: what may stand in a path, and % for what is encoded already.
_PATH = "/%:@!$&'()*+,;=~-._"

# What a request line can carry, without the fragment's mark: that never leaves a client.
_TARGET = re.compile(r"/[!-\"$-~]*")

# RFC 3986 3.1, 3.2: scheme, authority, and what comes after them.
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\]*)(/.*|)", re.DOTALL)

_ORIGIN = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
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

        Raises: NotAllowed: it does not, is none of the form `/path?query` (RFC 9112 3.2.1), or has an encoded control
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
        """An absolute address in a request, for the upstream: at its origin and checked as a target.

        The client may have named the origin itself, or what it has asked at: the relay (`asked_at`, its `Host`). Where
        that leads does not matter, since it is replaced.

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
        """An address at the relay, as a client has it, at the pinned origin; any other as it is. It leads nowhere."""
        found = _ORIGIN.fullmatch(address)
        if found is None or not asked_at or found[1].lower() != asked_at.lower():
            return address
        return f"{self.scheme}://{self.authority}{found[2]}"

    def is_at(self, authority: str) -> bool:
        """Whether this names the pinned host and port, with the port said or not."""
        return authority.lower().removesuffix(f":{_DEFAULT_PORTS[self.scheme]}") == self.authority.lower()

    def _covers(self, path: str) -> bool:
        if path != self.path and not path.startswith(self.path + "/"):
            return False
        return not self.path or not leads_up(path)


def origin_of(fields: Mapping[str, Any]) -> Origin:
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
