"""Which user and database a client names, and whether the connection leads there. Nothing is connected here.

A client that asks for another database but got the connection's own could drop tables that it believes to be
elsewhere. So any other name is refused, with the server's own error code.
"""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import NotAllowed

# PostgreSQL's documentation, appendix A: invalid_catalog_name, invalid_authorization_specification.
_NO_DATABASE = "3D000"
_NO_USER = "28000"


@dataclass(frozen=True)
class Named:
    """As in a startup packet; empty: not named."""

    user: str
    database: str


def named_in(parameters: Iterable[tuple[bytes, bytes]]) -> Named:
    """What a client names. Without a database, it is the one with the user's name (the protocol's rule)."""
    found = {name: value.decode(errors="surrogateescape") for name, value in parameters}
    user = found.get(b"user", "")
    return Named(user, found.get(b"database", "") or user)


def database_for(fields: Mapping[str, Any], named: Named) -> str:
    """The database to log in to.

    Raises: NotAllowed: the client names another user, or a database to which this connection does not lead.
    """
    user, own = str(fields.get("user") or ""), str(fields.get("database") or "")
    if _names_nothing(named):
        return own
    if named.user != user:
        raise NotAllowed(
            f"This connection logs in as {user}, but the client names another user. Use that user name, or "
            "none.",
            sqlstate=_NO_USER,
        )
    if named.database != own and fields.get("any_database") is not True:
        raise NotAllowed(
            f"This connection is for the database {own}, but the client names another one. To allow all "
            "databases "
            'of the server, edit the connection and choose "Any database of the server".',
            sqlstate=_NO_DATABASE,
        )
    return named.database


def _names_nothing(named: Named) -> bool:
    """Recognises libpq's defaults: the operating system's user name for both.

    The client's user is this process's own, as the broker accepts no other user's processes.
    """
    return named.user == named.database == _os_user()


@functools.cache
def _os_user() -> str | None:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        # A container with an arbitrary uid: libpq has no default there either.
        return None
