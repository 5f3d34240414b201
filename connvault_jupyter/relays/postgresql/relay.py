"""PostgreSQL: gives a client without a password a session that the relay has logged in.

The user is the connection's, the database the one that the client names, if the connection allows it (`names`); the
client's other settings are forwarded. After the login, only the ends of the client's messages are tracked.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from dataclasses import replace

from ...contracts.relay_wire import LOGIN_SETTING, refusal_text
from ...errors import (
    BrokerUnavailable,
    ConnvaultError,
    HandleInvalid,
    MalformedFrame,
    NotAllowed,
    StorageError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    VaultError,
)
from ..copying import copy_both
from ..downstream import Downstream, Login, no_token
from ..limits import Limits
from ..upstream import shut
from .login import Parameters, Session, cancel, log_in
from .messages import (
    ASK_FOR_PASSWORD,
    AUTHENTICATION_OK,
    READY,
    TERMINATE,
    Cancel,
    ClientMessages,
    EncryptionRequest,
    Malformed,
    Startup,
    Terminated,
    Wire,
    backend_key,
    fatal,
    negotiate_version,
    parameter_status,
    parse_opening,
    query,
)
from .names import Named, database_for, named_in
from .pool import Key, WarmLogins, key_of, reset
from .settings import ask_settings, note_settings, same_settings

_OFF = frozenset({b"false", b"off", b"no", b"0"})
# One of each kind is allowed before the startup message.
_MAX_ENCRYPTION_REQUESTS = 2
_MAX_PASSWORD_BYTES = 1024

# <netinet/tcp.h>: established, and the two states in which only we have closed.
_SERVER_IS_THERE = frozenset({1, 4, 5})

# PostgreSQL's documentation, appendix A. The first match counts; drivers decide by it whether to retry.
_SQLSTATES: tuple[tuple[type[ConnvaultError], str], ...] = (
    (UpstreamAuthFailed, "28P01"),
    (HandleInvalid, "28P01"),
    (UpstreamRefused, "08004"),
    (UpstreamError, "08001"),
    (NotAllowed, "28000"),
    (VaultError, "57P03"),
    (BrokerUnavailable, "57P03"),
    (StorageError, "58000"),
)
_OTHERWISE = "28000"


class Relay:
    """Each client is one session; sessions are kept warm between clients (`limits.warm_logins`)."""

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._warm = WarmLogins(
            limits=limits, log_in=lambda login, parameters: log_in(login, parameters, limits=limits)
        )
        self._lock = threading.Lock()
        # By handle, process number and the client's key.
        self._sessions: dict[tuple[str, int, bytes], Session] = {}

    def serve(self, downstream: Downstream) -> None:
        """Raises: OSError: the client is gone; ConnvaultError: it was cut."""
        wire = Wire(downstream.stream, deadline=time.monotonic() + self._limits.greeting_s)
        try:
            opening = _opening(wire)
            if isinstance(opening, Cancel):
                self._pass_on(downstream, opening)
                return
            parameters = _accepted(wire, opening, downstream)
            named = named_in(opening.parameters)
        except Malformed:
            wire.send(
                fatal("08P01", refusal_text(MalformedFrame.code, "This is not PostgreSQL's protocol 3."))
            )
            return
        except ConnvaultError as exc:
            wire.send(_told(exc))
            return
        try:
            session, login = self._session(downstream, parameters, named)
        except ConnvaultError as exc:
            Wire(downstream.stream, deadline=time.monotonic() + self._limits.greeting_s).send(_told(exc))
            return
        kept = False
        try:
            kept = self._relay(downstream, session, login, parameters, early=wire.rest())
        finally:
            if not kept:
                if downstream.ended or not _ended_by_server(session):
                    # Nobody waits for it any more, whatever it may still be doing.
                    self._cancel(session)
                shut(session.stream)

    def log_in(self, login: Login) -> str:
        """Raises: UpstreamError and its kinds, SecretMissing, SecretInvalid."""
        parameters = ((b"application_name", b"connvault connection test"),)
        session = log_in(login, parameters, limits=self._limits)
        try:
            # A pooler accepts a login by itself; only a query reaches the server behind it.
            deadline = time.monotonic() + self._limits.login_s
            wire = Wire(session.stream, deadline=deadline, read=session.early)
            wire.send(query("SELECT 1"))
            kind = b""
            while kind != b"Z":
                kind, _ = wire.message()
                if kind == b"E":
                    raise UpstreamRefused
            wire.send(TERMINATE)
        except (Malformed, OSError):
            raise UpstreamRefused from None
        finally:
            shut(session.stream)
        version = re.match(r"[0-9]+(\.[0-9]+)*", session.settings.get("server_version", ""))
        return f"PostgreSQL {version[0]}" if version else ""

    def close(self) -> None:
        """Ends the warm logins."""
        self._warm.close()

    def forget(self) -> None:
        """Ends the warm logins; the next ones are kept as before."""
        self._warm.forget()

    def _session(self, downstream: Downstream, parameters: Parameters, named: Named) -> tuple[Session, Login]:
        """A session for this client. Its `login` no longer contains secrets."""
        # The server checks its settings while the broker identifies the client.
        picked = self._picked(downstream, parameters, named)
        try:
            login = _led(downstream.login(), named)
        except BaseException:
            if picked is not None:
                shut(picked[1].stream)
            raise
        key = key_of(login, parameters)
        session = self._kept(key, picked)
        if session is None:
            session = self._log_in(downstream, login, parameters)
        else:
            try:
                downstream.adopt(session.stream)
            except ConnvaultError:
                shut(session.stream)
                raise
        if session.settings_seen is not None:
            self._warm.order(key, login, session.settings_seen)
        return session, Login(login.fields, {}, login.revision, login.rotation)

    def _picked(
        self, downstream: Downstream, parameters: Parameters, named: Named
    ) -> tuple[Key, Session] | None:
        """A kept session that will probably match the login, and that was asked for its settings."""
        try:
            database = database_for(downstream.handle.fields, named)
        except NotAllowed:
            return None
        picked = self._warm.pick(database, parameters)
        if picked is not None:
            ask_settings(picked[1])
        return picked

    def _kept(self, key: Key, picked: tuple[Key, Session] | None) -> Session | None:
        """A kept session, if it equals a new one; otherwise no kept one does."""
        session = None
        if picked is not None and picked[0] == key:
            session = picked[1]
        else:
            if picked is not None:
                shut(picked[1].stream)
            session = self._warm.take(key)
            if session is not None:
                ask_settings(session)
        if session is not None and not same_settings(session):
            shut(session.stream)
            self._warm.forget()
            return None
        return session

    def _log_in(self, downstream: Downstream, login: Login, parameters: Parameters) -> Session:
        """A new session, which cutting the client ends from its start."""
        plain: list[socket.socket] = []

        def connected(stream: socket.socket) -> None:
            # Another server of the same connection is tried.
            while plain:
                downstream.disown(plain.pop())
            plain.append(stream)
            downstream.adopt(stream)

        kept = self._warm.kept and _keeps(login) and _in_its_own(login, downstream)
        greeted = note_settings if kept else None
        session = log_in(login, parameters, limits=self._limits, connected=connected, greeted=greeted)
        if session.encrypted:
            # TLS has wrapped it in another object.
            try:
                downstream.adopt(session.stream)
            except ConnvaultError:
                shut(session.stream)
                raise
            downstream.disown(plain[0])
        return session

    def _relay(
        self,
        downstream: Downstream,
        session: Session,
        login: Login,
        parameters: Parameters,
        *,
        early: bytes,
    ) -> bool:
        """Copies; returns whether the session is kept for another client; otherwise the caller ends it.

        `early` is what the client sent before it was accepted; no more than a block.
        """
        own = (downstream.handle.id, session.pid, os.urandom(4))
        with self._lock:
            self._sessions[own] = session
        try:
            hand_over = None
            if session.pid and not session.encrypted and not downstream.over_tcp:
                # Before the client can know the number.
                hand_over = downstream.offer(session.pid, session.stream, at_rest=not early)
            wire = Wire(downstream.stream, deadline=time.monotonic() + self._limits.greeting_s)
            wire.send(
                AUTHENTICATION_OK
                + session.greeting
                + parameter_status(LOGIN_SETTING, f"{login.revision}.{login.rotation}")
                + backend_key(session.pid, own[2])
                + READY
                + session.early
            )
            watched = ClientMessages() if session.settings_seen is not None else None
            if early:
                session.stream.sendall(watched(early) if watched is not None else early)
            outcome = copy_both(
                downstream.stream,
                session.stream,
                limits=self._limits,
                stop=None if hand_over is None else hand_over.stop,
                to_upstream=watched,
            )
            if hand_over is None or outcome != "stopped" or not hand_over.wait(self._limits.lifetime_s):
                return False
        except Terminated:
            pass
        finally:
            with self._lock:
                del self._sessions[own]
        # A client that disconnects does not wait for the session.
        shut(downstream.stream)
        if session.settings_seen is None or not reset(session):
            return False
        if not downstream.disown(session.stream):
            return False
        self._warm.give(key_of(login, parameters), session)
        return True

    def _pass_on(self, downstream: Downstream, asked: Cancel) -> None:
        with self._lock:
            session = self._sessions.get((downstream.handle.id, asked.pid, asked.key))
        if session is not None:
            self._cancel(session)

    def _cancel(self, session: Session) -> None:
        if session.key:
            with contextlib.suppress(OSError, ConnvaultError):
                cancel(session, limits=self._limits)


def _led(login: Login, named: Named) -> Login:
    """The login, for the database that the client names. Raises: NotAllowed: the connection does not lead there."""
    return replace(login, fields={**login.fields, "database": database_for(login.fields, named)})


def _keeps(login: Login) -> bool:
    return login.fields.get("keep_sessions") is not False


def _in_its_own(login: Login, downstream: Downstream) -> bool:
    """Whether it is for the connection's own database. Another one may be dropped or copied by the code that named it,
    and a session in it would be in the way."""
    return bool(login.fields.get("database") == downstream.handle.fields.get("database"))


def _ended_by_server(session: Session) -> bool:
    """Whether it has closed its half. Ours may be closed too: the broker shuts down what was handed over itself."""
    if session.address[0].startswith("/"):
        # On a Unix socket it is unknown who has closed it; a server ignores requests about an ended session.
        return False
    try:
        state = session.stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except (OSError, AttributeError):
        # Not Linux, or the connection is gone altogether.
        return True
    return state not in _SERVER_IS_THERE


def _opening(wire: Wire) -> Startup | Cancel:
    """Refuses encryption, as the socket is on this machine. Raises: Malformed."""
    for _ in range(_MAX_ENCRYPTION_REQUESTS + 1):
        found = parse_opening(wire.packet())
        if not isinstance(found, EncryptionRequest):
            return found
        wire.send(b"N")
    raise Malformed


def _accepted(wire: Wire, opening: Startup, downstream: Downstream) -> Parameters:
    """The parameters to forward, after the client has been authenticated.

    Raises: Malformed; HandleInvalid, NotAllowed: it is refused.
    """
    options = [name for name, _ in opening.parameters if name.startswith(b"_pq_.")]
    if opening.minor or options:
        wire.send(negotiate_version(options))
    if downstream.over_tcp:
        wire.send(ASK_FOR_PASSWORD)
        kind, given = wire.message(_MAX_PASSWORD_BYTES)
        if kind != b"p" or not given.endswith(b"\0"):
            raise Malformed
        if not downstream.authenticates(given[:-1]):
            raise no_token()
    passed_on: dict[bytes, bytes] = {}
    for name, value in opening.parameters:
        if name == b"replication":
            if value.lower() not in _OFF:
                raise NotAllowed("Replication is not supported through a relay.")
        elif name not in (b"user", b"database") and name not in options:
            passed_on[name] = value
    return tuple(passed_on.items())


def _told(error: ConnvaultError) -> bytes:
    """Our code and a message for people; the kernel recreates the same error from the code."""
    by_kind = next((code for kind, code in _SQLSTATES if isinstance(error, kind)), _OTHERWISE)
    sqlstate = error.details.get("sqlstate") or by_kind
    return fatal(sqlstate, refusal_text(error.code, error.message))
