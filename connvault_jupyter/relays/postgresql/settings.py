"""Checks whether a server's settings for new sessions still equal those of an older session.

A session has the settings of `ALTER ROLE ... SET`, `ALTER DATABASE ... SET` and the configuration file at its start.
So they are read after a login, and again before another client gets the session.
"""

from __future__ import annotations

import os
import time

from .login import Session
from .messages import Malformed, Wire, message, query

# All roles' and databases' settings, which everybody may read, as one number; a change for another role does not
# matter, but costs a login. No operators, as `search_path` may lead to somebody's own. It also reseeds `random()`,
# which `DISCARD ALL` does not reset.
_LOOK = (
    "SELECT pg_catalog.setseed({seed:.15f}), pg_catalog.pg_conf_load_time(),"
    " pg_catalog.hashtextextended(pg_catalog.array_agg(s)::pg_catalog.text, 0)"
    " FROM pg_catalog.pg_db_role_setting s"
)
_ANSWER_S = 2.0
_MAX_MESSAGES = 50


def note_settings(session: Session, deadline: float) -> None:
    """Reads the settings of a session that has just been logged in; `settings_seen` is `None` if they can't be read,
    as on another product.

    Raises: Malformed, OSError, TimeoutError: the session can't be used.
    """
    ask_settings(session)
    session.settings_seen = _seen(session, deadline)


def ask_settings(session: Session) -> None:
    """`same_settings` reads the answer; until then the server works on it. Never raises."""
    try:
        session.stream.settimeout(_ANSWER_S)
        session.stream.sendall(query(_LOOK.format(seed=int.from_bytes(os.urandom(6), "big") / 2**48)))
    except OSError:
        pass  # No answer will come.


def same_settings(session: Session) -> bool:
    """Whether a session that was asked equals a new one. Otherwise it must be ended."""
    try:
        seen = _seen(session, time.monotonic() + _ANSWER_S)
    except (Malformed, OSError):
        return False
    return seen is not None and seen == session.settings_seen


def _seen(session: Session, deadline: float) -> bytes | None:
    wire = Wire(session.stream, deadline=deadline, read=session.early)
    row = None
    for _ in range(_MAX_MESSAGES):
        kind, body = wire.message()
        if kind == b"Z":
            session.early = wire.rest()
            session.stream.settimeout(None)
            if body != b"I":
                raise Malformed
            return row
        if kind == b"S":
            # The configuration was just reloaded.
            session.greeting += message(kind, body)
        elif kind == b"D":
            row = body
        elif kind not in (b"T", b"C", b"E", b"N"):
            raise Malformed
    raise Malformed
