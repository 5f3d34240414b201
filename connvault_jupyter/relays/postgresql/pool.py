"""Warm logins of one connection under one grant: sessions that are logged in and wait for the next client.

A session returns from a client that disconnected while idle, or is logged in ahead after another one was taken.
Whether a client may have one is not decided here: the broker has given it a login before.
"""

from __future__ import annotations

import contextlib
import os
import select
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...errors import ConnvaultError
from ..downstream import Login
from ..limits import Limits
from ..upstream import shut
from .login import Parameters, Session
from .messages import TERMINATE, Malformed, Wire, message, query

# An unused session occupies one of the server's connections, and its database: `DROP DATABASE` and
# `CREATE DATABASE ... TEMPLATE` wait up to five seconds for others to leave it (`CountOtherDBBackends`).
IDLE_S = 2.0
# After this time, a user who was locked out at the server is locked out here too, even if a session is reused.
MAX_AGE_S = 300.0
# DISCARD ALL takes a millisecond.
_RESET_S = 2.0
# Pause after a failed login: the server may have no room for a spare session.
_PAUSE_S = 60.0
# A login takes 5 ms near the server, 100 ms far away. After a longer wait, another login would be as fast.
_WAIT_S = 1.0
_YIELD_S = 0.005
_MAX_RESET_MESSAGES = 200


@dataclass(frozen=True)
class Key:
    """What must be equal for another client to get a session. `rotation` changes with the secret.

    `fields` are all fields of the connection, in order.
    """

    revision: int
    rotation: str
    fields: tuple[tuple[str, str], ...]
    parameters: Parameters

    @property
    def login(self) -> tuple[int, str]:
        return self.revision, self.rotation

    @property
    def database(self) -> str:
        return dict(self.fields).get("database", "")


def key_of(login: Login, parameters: Parameters) -> Key:
    """The key of a session that `login` would open."""
    fields = tuple(sorted((name, repr(value)) for name, value in login.fields.items()))
    return Key(login.revision, login.rotation, fields, parameters)


class WarmLogins:
    """At most `limits.warm_logins` sessions; with 0 it keeps none and starts nothing. Thread-safe."""

    def __init__(self, *, limits: Limits, log_in: Callable[[Login, Parameters], Session]) -> None:
        self._size = limits.warm_logins
        self._log_in = log_in
        self._changed = threading.Condition()
        self._spares: list[tuple[Key, Session, float]] = []
        self._order: tuple[Key, Login, bytes | None] | None = None
        # The key of the ordered session, until it is logged in; and whether a client waits for it.
        self._coming: Key | None = None
        self._awaited = False
        self._started = False
        self._closed = False
        self._not_before = 0.0
        self._oldest = 0.0

    @property
    def kept(self) -> bool:
        """Whether any are kept at all."""
        return self._size > 0

    def take(self, key: Key) -> Session | None:
        """A live session, which then belongs to the caller. Waits for one that is being logged in, as that is faster
        than a new login."""
        found = self._taken(key)
        if found is not None:
            return found
        with self._changed:
            # One client waits; others log in separately.
            if self._coming != key or self._awaited:
                return None
            self._awaited = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._coming is None, _WAIT_S)
            self._awaited = False
        return self._taken(key)

    def pick(self, database: str, parameters: Parameters) -> tuple[Key, Session] | None:
        """A live session of this database, which then belongs to the caller; its other properties are still to be
        checked."""
        quoted = repr(database)
        return self._first(lambda key: key.parameters == parameters and key.database == quoted)

    def give(self, key: Key, session: Session) -> None:
        """Keeps a session that was reset, or ends it."""
        dropped = session
        with self._changed:
            oldest = max(self._oldest, time.monotonic() - MAX_AGE_S)
            if not self._closed and self._size and session.since > oldest:
                self._spares.append((key, session, time.monotonic()))
                if self._order is not None and self._order[0] == key:
                    # One is available again before another was started.
                    self._order = self._coming = None
                self._start()
                self._changed.notify_all()
                if len(self._spares) <= self._size:
                    return
                dropped = self._surplus()
        _end([dropped])

    def order(self, key: Key, login: Login, settings_seen: bytes | None = None) -> None:
        """Logs in a spare session if there is none. Never blocks; `login` is dropped afterwards.

        `settings_seen` is for the spare: read before its login, so that no later change is missed.
        """
        with self._changed:
            if self._closed or not self._size or self._coming or time.monotonic() < self._not_before:
                return
            if any(one[0] == key for one in self._spares):
                return
            self._coming = key
            self._order = (key, login, settings_seen)
            self._start()
            self._changed.notify_all()

    def forget(self) -> None:
        """Ends all kept sessions, and keeps no older ones that are given back later."""
        with self._changed:
            self._oldest = time.monotonic()
            spares, self._spares = self._spares, []
        _end(session for _, session, _ in spares)

    def close(self) -> None:
        """Ends all of them, and keeps no more."""
        with self._changed:
            self._closed = True
            self._order = None
            self._changed.notify_all()
        self.forget()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="warm-logins", daemon=True).start()

    def _taken(self, key: Key) -> Session | None:
        with self._changed:
            outdated = [one for one in self._spares if one[0].login != key.login]
            self._spares = [one for one in self._spares if one[0].login == key.login]
        _end(session for _, session, _ in outdated)
        found = self._first(lambda other: other == key)
        return None if found is None else found[1]

    def _first(self, fits: Callable[[Key], bool]) -> tuple[Key, Session] | None:
        with self._changed:
            fitting = [one for one in self._spares if fits(one[0])]
            self._spares = [one for one in self._spares if not fits(one[0])]
        found = None
        while fitting and found is None:
            key, session, idle_since = fitting.pop()
            if time.monotonic() - idle_since < IDLE_S and _quiet(session):
                found = key, session
            else:
                shut(session.stream)
        with self._changed:
            self._spares = [*fitting, *self._spares]
        return found

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closed and self._order is None:
                    # Until anything changes, as a session that is given back also has an expiry.
                    self._changed.wait(self._next_expiry_s())
                if self._order is not None:
                    # Let the client that has just taken a session go first.
                    self._changed.wait_for(lambda: self._closed or self._awaited, _YIELD_S)
                order, self._order = self._order, None
                expired = self._expired()
                if self._closed:
                    return
            _end(expired)
            if order is not None:
                self._fill(*order)
                # Dropped now, not when the next one comes, as it contains a secret.
                del order

    def _fill(self, key: Key, login: Login, settings_seen: bytes | None) -> None:
        session = None
        try:
            session = self._log_in(login, key.parameters)
        except (ConnvaultError, OSError):
            # The next client will get the error itself.
            self._not_before = time.monotonic() + _PAUSE_S
        else:
            session.settings_seen = settings_seen
            self.give(key, session)
        finally:
            with self._changed:
                self._coming = None
                self._changed.notify_all()

    def _surplus(self) -> Session:
        """Removes the oldest one of the most frequent key, as clients of two kinds may alternate."""
        kinds = [key for key, _, _ in self._spares]
        most = max(map(kinds.count, kinds))
        place = next(place for place, kind in enumerate(kinds) if kinds.count(kind) == most)
        return self._spares.pop(place)[1]

    def _expired(self) -> list[Session]:
        limit = time.monotonic() - IDLE_S
        expired = [session for _, session, since in self._spares if since <= limit]
        self._spares = [one for one in self._spares if one[2] > limit]
        return expired

    def _next_expiry_s(self) -> float | None:
        """How long until one expires; `None`: there is none."""
        if not self._spares:
            return None
        return max(0.01, min(since for _, _, since in self._spares) + IDLE_S - time.monotonic())


def reset(session: Session) -> bool:
    """Resets a session to its state after the login; returns whether that worked. Only for an idle one.

    `DISCARD ALL` fails inside a transaction. Any pending output of the server would appear before or between the
    answers, because nobody can predict the number in the second query.
    """
    number = int.from_bytes(os.urandom(4), "big")
    wire = Wire(session.stream, deadline=time.monotonic() + _RESET_S)
    expected = [
        (b"C", b"DISCARD ALL\0"),
        (b"Z", b"I"),
        (b"T", None),
        (b"D", b"\0\x01" + len(str(number)).to_bytes(4, "big") + str(number).encode()),
        (b"C", b"SELECT 1\0"),
        (b"Z", b"I"),
    ]
    try:
        wire.send(query("DISCARD ALL") + query(f"SELECT {number}"))
        for _ in range(_MAX_RESET_MESSAGES):
            kind, body = wire.message()
            if kind == b"S":
                # Settings return to the values in the greeting; if one does not, the later value counts.
                if message(kind, body) not in session.greeting:
                    session.greeting += message(kind, body)
                continue
            if kind != expected[0][0] or expected[0][1] not in (None, body):
                return False
            del expected[0]
            if not expected:
                session.stream.settimeout(None)
                session.early = b""
                return not wire.rest()
    except (Malformed, OSError):
        return False
    return False


def _quiet(session: Session) -> bool:
    """Whether the server has sent nothing, not even its end."""
    stream = session.stream
    if isinstance(stream, ssl.SSLSocket) and stream.pending():
        return False
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return not poll.poll(0)


def _end(sessions: Iterable[Session]) -> None:
    for session in sessions:
        with contextlib.suppress(OSError):
            session.stream.settimeout(_RESET_S)
            session.stream.sendall(TERMINATE)
        shut(session.stream)
