"""Environment variables by which other programs use a brokered handle. None of them is a secret of the upstream.

The patterns are a provider's data (contracts.providers.Delivery, providers.delivery_rules); what fills them in comes
from the broker. With them come those that keep programs from being led elsewhere by what the machine is set up for: by
protocol, whoever has defined the kind. Nothing is set here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..contracts.relay_wire import WITHOUT_LOOPBACK
from . import proxies
from .clients.http.addresses import loopback
from .clients.s3 import variables as aws_variables
from .clients.sql import libpq, my_cnf
from .handle_ref import HandleRef
from .masked import HandleToken
from .responses import RelayEndpoint

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")

_NEED_LOOPBACK = frozenset({"port", "base_url"})

# `DATABASE_URL`, `DATABASE_SOCKET_URL`: the first is read by more programs. The broker tells peers on loopback apart on
# Linux only.
_URL, _SOCKET_URL = "_URL", "_SOCKET_URL"
_LOOPBACK_IS_OPEN = sys.platform == "linux"


def variables_of(handle_ref: HandleRef, *, tcp: bool) -> dict[str, str]:
    """Each variable with its value. `tcp`: those for programs that can't use a Unix socket.

    A variable that needs something the connection does not have is left out. One with the handle's token has a masked
    repr: it is of use to nobody else, but need not be in a notebook's output.

    Raises: NotAllowed: what would lead elsewhere, and can't be overridden. HandleInvalid, VaultLocked, ...
    """
    opened = handle_ref.open(tcp=tcp)
    patterns = opened.variables if _LOOPBACK_IS_OPEN or tcp else _on_sockets(opened.variables)
    if (
        opened.port is None
        and opened.protocol not in WITHOUT_LOOPBACK
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
    """With what leads to a socket in the place of what leads to loopback, where there are both."""
    return {
        name: patterns.get(name.removesuffix(_URL) + _SOCKET_URL, pattern)
        for name, pattern in patterns.items()
    }


def _values(opened: RelayEndpoint) -> dict[str, str]:
    values = {name: _text(value) for name, value in opened.fields.items() if value not in (None, "")}
    values |= {"directory": opened.directory, "socket": opened.socket}
    if opened.protocol not in WITHOUT_LOOPBACK:
        values["token"] = str.__str__(opened.token)
        values.pop("port", None)
        if opened.port is not None:
            values["port"] = str(opened.port)
            if opened.protocol == "http":
                values["base_url"] = loopback(str(opened.fields.get("base_url", "")), opened.port)
    return values


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    # In an address a user or database must not be taken for a host or a parameter.
    inside = "://" in pattern

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not inside or name == "base_url":
            return values[name]
        # `unix://{socket}`: there it is the address's path itself.
        is_path = name == "socket" and pattern.endswith("://", 0, match.start())
        return quote(values[name], safe="/" if is_path else "")

    return _PLACE.sub(value, pattern)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
