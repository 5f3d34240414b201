"""What the fields `host` and `port` of a database mean: one address, several in order, or Unix sockets of this
machine.

One parser for both the line that people see and the relay that connects. As in libpq (its documentation, 34.1.1.3),
hosts are separated by commas, and one that begins with `/` is a path. A host may have a port of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAX_PORT = 65535


@dataclass(frozen=True)
class Address:
    """`host` is a name, an IP address or an absolute path."""

    host: str
    port: int

    @property
    def is_path(self) -> bool:
        return self.host.startswith("/")

    def __str__(self) -> str:
        # An IPv6 address or a path: brackets show where it ends.
        bracketed = self.is_path or ":" in self.host
        return f"[{self.host}]:{self.port}" if bracketed else f"{self.host}:{self.port}"


def addresses_of(host: str, port: int) -> tuple[Address, ...]:
    """The addresses in order; `port` is for those without one of their own.

    Raises: ValueError: one of them is not an
    address.
    """
    return tuple(_address(entry, port) for entry in host.split(","))


def _address(entry: str, port: int) -> Address:
    if entry.startswith("/"):
        return Address(entry, port)
    if entry.startswith("["):
        name, closed, rest = entry[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address is not closed by ]")
        return Address(_name(name), _port(rest[1:]) if rest else port)
    if entry.count(":") == 1:
        name, _, own = entry.partition(":")
        return Address(_name(name), _port(own))
    return Address(_name(entry), port)


def _name(text: str) -> str:
    if not text:
        raise ValueError("a host has no name")
    return text


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PORT)) else 0
    if not 1 <= number <= _MAX_PORT:
        raise ValueError("a port is not a number from 1 to 65535")
    return number
