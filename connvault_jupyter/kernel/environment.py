"""Environment variables by which other programs use a brokered handle. None of them is a secret of the service.

The patterns come from the provider (contracts.providers.Delivery, providers.delivery_rules), their values from the
broker. Added to them, by protocol, are variables that keep the machine's own configuration from leading programs
elsewhere. Nothing is set here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from . import proxies
from .clients.http.addresses import loopback
from .clients.s3 import variables as aws_variables
from .clients.sql import libpq, my_cnf
from .handle_ref import HandleRef
from .masked import HandleToken
from .responses import RelayEndpoint

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")

# As providers.delivery_rules.LISTENER_PLACES: an agent has no port, so `{port}` is then the connection's own.
_WITHOUT_LOOPBACK = frozenset({"ssh"})
_NEED_LOOPBACK = frozenset({"port", "base_url"})

# `DATABASE_URL`, `DATABASE_SOCKET_URL`: more programs read the first one. The broker can identify peers on loopback
# only on Linux.
_URL, _SOCKET_URL = "_URL", "_SOCKET_URL"
_LOOPBACK_IS_OPEN = sys.platform == "linux"


def variables_of(handle_ref: HandleRef, *, tcp: bool) -> dict[str, str]:
    """The variables with their values. `tcp`: for programs that can't use a Unix socket.

    A variable that needs something the connection does not have is left out. A value with the handle's token has a
    masked repr: the token is useless to others, but need not appear in a notebook's output.

    Raises: NotAllowed: something would lead elsewhere and can't be overridden. HandleInvalid, VaultLocked, ...
    """
    opened = handle_ref.open(tcp=tcp)
    patterns = opened.variables if _LOOPBACK_IS_OPEN or tcp else _on_sockets(opened.variables)
    if (
        opened.port is None
        and opened.protocol not in _WITHOUT_LOOPBACK
        and any(_NEED_LOOPBACK & {*_PLACE.findall(pattern)} for pattern in patterns.values())
    ):
        opened = handle_ref.open(tcp=True)
    values = _values(opened)
    found = {}
    for name, pattern in patterns.items():
        places = {*_PLACE.findall(pattern)}
        if places <= values.keys():
            text = _filled(pattern, values)
            found[name] = HandleToken(text) if "token" in places else text
    return {**found, **_overriding(opened, found, tcp=tcp)} if found else {}


def _overriding(opened: RelayEndpoint, found: Mapping[str, str], *, tcp: bool) -> dict[str, str]:
    """Raises: NotAllowed."""
    match opened.protocol:
        case "postgresql":
            return libpq.overridden()
        case "mysql":
            return my_cnf.overridden(opened.directory, opened.socket, tcp=tcp)
        case "http" if opened.fields.get("auth") == "sigv4":
            return {**proxies.sparing(), **aws_variables.overridden(found)}
        case "http":
            return proxies.sparing()
    return {}


def _on_sockets(patterns: Mapping[str, str]) -> dict[str, str]:
    """Uses variables that lead to a socket instead of those that lead to loopback, where both exist."""
    return {
        name: patterns.get(name.removesuffix(_URL) + _SOCKET_URL, pattern)
        for name, pattern in patterns.items()
    }


def _values(opened: RelayEndpoint) -> dict[str, str]:
    values = {name: _text(value) for name, value in opened.fields.items() if value not in (None, "")}
    values |= {"directory": opened.directory, "socket": opened.socket}
    if opened.protocol not in _WITHOUT_LOOPBACK:
        values["token"] = str.__str__(opened.token)
        values.pop("port", None)
        if opened.port is not None:
            values["port"] = str(opened.port)
            if opened.protocol == "http":
                values["base_url"] = loopback(str(opened.fields.get("base_url", "")), opened.port)
    return values


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    # Quoted, so that a user or database in an address can't be mistaken for a host or a parameter.
    inside = "://" in pattern

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not inside or name == "base_url":
            return values[name]
        # `unix://{socket}`: the path is the address itself.
        is_path = name == "socket" and pattern.endswith("://", 0, match.start())
        return quote(values[name], safe="/" if is_path else "")

    return _PLACE.sub(value, pattern)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
