"""Whether the settings that a server gives a new session are still those of an older one.

A session has what `ALTER ROLE ... SET`, `ALTER DATABASE ... SET` and the configuration file said when it began. So what
they say is looked at after a login, and again before the session becomes another client's.
"""

from __future__ import annotations

import os
import time

from .login import Session
from .messages import Malformed, Wire, message, query

# All roles' and databases' settings, which everybody may read, as one number; a change of another role's is none of
# ours, and costs a login. No operator: `search_path` may lead to somebody's own. With it `random()` begins anew, which
# `DISCARD ALL` leaves where it was.
_LOOK = (
    "SELECT pg_catalog.setseed({seed:.15f}), pg_catalog.pg_conf_load_time(),"
    " pg_catalog.hashtextextended(pg_catalog.array_agg(s)::pg_catalog.text, 0)"
    " FROM pg_catalog.pg_db_role_setting s"
)
_ANSWER_S = 2.0
_MAX_MESSAGES = 50


def note_settings(session: Session, deadline: float) -> None:
    """Looks at the settings of a session that has just been logged in; `settings_seen` is `None` where it can't be seen
    what they are, as on a server of another make.

    Raises: Malformed, OSError, TimeoutError: the session is of no use.
    """
    ask_settings(session)
    session.settings_seen = _seen(session, deadline)


def ask_settings(session: Session) -> None:
    """`same_settings` reads the answer; until then the server works on it. Raises nothing."""
    try:
        session.stream.settimeout(_ANSWER_S)
        session.stream.sendall(query(_LOOK.format(seed=int.from_bytes(os.urandom(6), "big") / 2**48)))
    except OSError:
        pass  # There will be no answer.


def same_settings(session: Session) -> bool:
    """Whether a session that was asked has what a new one would have. Otherwise it must be ended."""
    try:
        seen = _seen(session, time.monotonic() + _ANSWER_S)
    except (Malformed, OSError):
        return False
    return seen is not None and seen == session.settings_seen


def _seen(session: Session, deadline: float) -> bytes | None:
    wire = Wire(session.stream, deadline=deadline, read=session.early)
    session.early = b""
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
            # A configuration that was just read anew.
            session.greeting += message(kind, body)
        elif kind == b"D":
            row = body
        elif kind not in (b"T", b"C", b"E", b"N"):
            raise Malformed
    raise Malformed
