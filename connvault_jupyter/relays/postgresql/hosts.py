"""The servers of a connection in order, and which of them is accepted (`target_session_attrs`, as in libpq).

libpq's documentation, 34.1.1.3 and 34.1.2: the next one is tried if one can't be reached, is not ready, or is of
another kind; a login that is refused ends it, because the same login would be refused everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UpstreamError, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from ...services.connections.addresses import Address, addresses_of
from .messages import Malformed, Wire, query

DEFAULT_PORT = 5432
# cannot_connect_now: it is starting up or shutting down.
_NOT_READY = "57P03"
_MAX_MESSAGES = 50

_KNOWN = frozenset({"any", "read-write", "read-only", "primary", "standby"})
# If the server does not report it (before PostgreSQL 14, or behind a pooler), a query is needed.
_REPORTED = ("in_hot_standby", "default_transaction_read_only")
_HOW_IT_IS = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')"
_TRUE, _ON = b"\0\0\0\x01t", b"\0\0\0\x02on"


_ANOTHER_KIND = "another_kind"


@dataclass(frozen=True)
class Server(Address):
    """A server, and the required kind."""

    wanted: str


def servers_of(fields: Mapping[str, Any]) -> list[Server]:
    """The servers to try, in order. Raises: UpstreamUnreachable: these are not addresses; UpstreamRefused."""
    try:
        addresses = addresses_of(str(fields["host"]), int(fields.get("port") or DEFAULT_PORT))
    except ValueError:
        raise UpstreamUnreachable("This is not a valid list of servers. Check host and port.") from None
    wanted = str(fields.get("target_session_attrs") or "any")
    in_turn = ("standby", "any") if wanted == "prefer-standby" else (wanted,)
    if not _KNOWN.issuperset(in_turn):
        raise UpstreamRefused("This connection asks for an unknown kind of server. Edit it.")
    return [Server(one.host, one.port, attrs) for attrs in in_turn for one in addresses]


def try_next(error: UpstreamError) -> bool:
    """Whether another server should be tried after this error."""
    return (
        isinstance(error, UpstreamUnreachable | UpstreamTimeout)
        or error.details.get("reason") == _ANOTHER_KIND
        or error.details.get("sqlstate") == _NOT_READY
    )


def check_kind(wire: Wire, settings: Mapping[str, str], wanted: str) -> None:
    """Raises: UpstreamRefused: it is of another kind, or does not report it; Malformed, OSError."""
    if wanted == "any":
        return
    if all(name in settings for name in _REPORTED):
        standby, default = (settings[name] == "on" for name in _REPORTED)
        read_only = standby or default
    else:
        standby, read_only = _asked(wire)
    if wanted not in ("standby" if standby else "primary", "read-only" if read_only else "read-write"):
        raise UpstreamRefused(
            "None of this connection's servers is of the kind that it asks for. Check the servers, and "
            "which of them to use.",
            reason=_ANOTHER_KIND,
        )


def _asked(wire: Wire) -> tuple[bool, bool]:
    wire.send(query(_HOW_IT_IS))
    row = b""
    for kind, body in _messages(wire):
        if kind == b"E":
            raise UpstreamRefused("The server does not say whether it is a primary or a standby.")
        if kind == b"D":
            row = body
    return row[2:].startswith(_TRUE), row.endswith(_ON)


def _messages(wire: Wire) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(_MAX_MESSAGES):
        kind, body = wire.message()
        if kind == b"Z":
            return
        yield kind, body
    raise Malformed
