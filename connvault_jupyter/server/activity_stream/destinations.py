"""Where the activity log is sent: the address of a collector, and what a sender has to do. It sends nothing itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

# RFC 5424 over UDP (RFC 5426) and TCP (RFC 6587); OTLP/HTTP.
_PORTS = {"udp": 514, "tcp": 601}
_SCHEMES = ("unix", "udp", "tcp", "http", "https")

EXPECTED = (
    "unix:/dev/log, udp://HOST:514, tcp://HOST:601 (syslog), or http(s)://HOST:4318/v1/logs (OpenTelemetry)"
)


@dataclass(frozen=True)
class Destination:
    """`host` and `port` for syslog over a network, `path` for a local socket, `url` for OTLP."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    url: str = ""

    @property
    def label(self) -> str:
        """For people and the log. An address has no secret in it: `destination` refuses userinfo and queries."""
        return self.url or (f"unix:{self.path}" if self.path else f"{self.scheme}://{self.host}:{self.port}")


@dataclass(frozen=True)
class Sent:
    """Of the messages given, from the first on: how many are done with, and how many of those were refused for good."""

    done: int
    refused: int = 0


class Sender(Protocol):
    def send(self, messages: list[dict[str, Any]]) -> Sent:
        """At least one is done with, or it raises.

        Raises: OSError: nothing is known of them; they are to be sent again.
        """

    def close(self) -> None:
        """Harmless when called again."""


def destination(text: str) -> Destination:
    """Raises: ValueError: it is none. The message says what is expected and does not repeat what was given."""
    found = None
    # Raised outside the handler: the text of urllib's own quotes parts of the address.
    with suppress(ValueError):
        found = _parsed(text)
    if found is None:
        raise ValueError(f"expected {EXPECTED}, without a user, password or query")
    return found


def _parsed(text: str) -> Destination | None:
    """Raises: ValueError."""
    # It is shown to people, and a blank or a control character is no part of an address.
    if not text.isprintable() or " " in text:
        return None
    parts = urlsplit(text)
    port = parts.port
    if parts.scheme not in _SCHEMES or parts.username is not None or parts.query or parts.fragment:
        return None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            return None
        return Destination("unix", path=parts.path)
    if not parts.hostname:
        return None
    if parts.scheme in _PORTS:
        if parts.path.strip("/"):
            return None
        return Destination(parts.scheme, host=parts.hostname, port=port or _PORTS[parts.scheme])
    # As the exporters of OpenTelemetry complete an endpoint.
    path = parts.path if parts.path.strip("/") else "/v1/logs"
    return Destination(parts.scheme, host=parts.hostname, url=f"{parts.scheme}://{parts.netloc}{path}")
