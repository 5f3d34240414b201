"""What PostgreSQL's clients need to reach a relay, and a connection's fields for a login of the test server."""

from __future__ import annotations

import os
import pwd
import struct
from collections.abc import Mapping
from typing import Any

from connvault_jupyter.services.relay_ports import RelayEndpoint
from setup_hooks.postgresql import Login

from .relay_handles import Vault


def vault_of(login: Login, **changed: Any) -> Vault:
    """`changed` are fields."""
    return Vault("postgresql", fields_of(login, **changed), {"password": login.password})


def fields_of(login: Login, **changed: Any) -> dict[str, Any]:
    """A connection's plain fields, without encryption unless told otherwise."""
    fields = {
        "host": login.host,
        "port": login.port,
        "database": login.database,
        "user": login.user,
        "sslmode": "disable",
    }
    return {**fields, **changed}


def conninfo(endpoint: RelayEndpoint, **more: Any) -> dict[str, Any]:
    """What libpq needs; who and where is not its business, so it says the name at the operating system."""
    return {
        "host": endpoint.directory,
        "port": 5432,
        "user": os_user(),
        "dbname": os_user(),
        "sslmode": "disable",
        **more,
    }


def os_user() -> str:
    """As libpq names whom nobody has named."""
    return pwd.getpwuid(os.geteuid()).pw_name


def startup_packet(parameters: Mapping[str, str], minor: int = 0) -> bytes:
    """As a client of protocol 3 begins."""
    body = struct.pack(">HH", 3, minor)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack(">I", len(body) + 4) + body
