"""Which user and database a client names, and whether the connection leads there. Nothing is connected here.

A client that asks for another database and is let into the connection's own would drop the tables there that it thinks
are somewhere else. So what is named and is not the connection's is refused, in the server's own words for it.
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
    """As a startup packet says it; empty: it does not."""

    user: str
    database: str


def named_in(parameters: Iterable[tuple[bytes, bytes]]) -> Named:
    """What a client names. A database that is left out is the one of the user's name (the protocol's rule)."""
    found = {name: value.decode(errors="surrogateescape") for name, value in parameters}
    user = found.get(b"user", "")
    return Named(user, found.get(b"database", "") or user)


def database_for(fields: Mapping[str, Any], named: Named) -> str:
    """The database to log in to.

    Raises: NotAllowed: the client names another user, or a database that this connection does not lead to.
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
    """What libpq says when nobody has told it anything: the user's name at the operating system, twice.

    The client's user is this process's own: the broker lets in no other one's processes.
    """
    return named.user == named.database == _os_user()


@functools.cache
def _os_user() -> str | None:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        # A container with a made-up number: libpq has nothing to say there either.
        return None
