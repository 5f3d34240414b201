"""Logs in at a PostgreSQL server: connects, encrypts, authenticates, returns a session. Knows nothing about clients.

The password is dropped after the login; a session does not contain it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import (
    SecretInvalid,
    SecretMissing,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
)
from ..downstream import Login
from ..limits import Limits, left_s
from ..local_sockets import connect_path
from ..upstream import connect, encrypt, shut
from .authentication import authenticate, refusal
from .hosts import Server, check_kind, servers_of, try_next
from .messages import (
    SSL_REQUEST,
    Malformed,
    Wire,
    cancel_request,
    message,
    startup,
    status_of,
)

Parameters = tuple[tuple[bytes, bytes], ...]

# Limit for a greeting: a server reports a dozen settings and a notice or two.
_MAX_MESSAGES = 500
_NOT_POSTGRESQL = "The server did not answer with the PostgreSQL protocol. Check host and port."


@dataclass(eq=False)
class Session:
    """A logged-in, idle upstream.

    `address` is the one actually used: the server's name may have several, or it is a path. `fields` are those of this
    server. `greeting` has the server's ParameterStatus and notices as received, `early` what followed. `key` is empty
    if the server accepts no cancel requests. `since` is the time of the login (`time.monotonic`).
    """

    stream: socket.socket
    address: tuple[str, int]
    fields: Mapping[str, Any]
    greeting: bytes
    settings: Mapping[str, str]
    pid: int
    key: bytes = field(repr=False)
    early: bytes = b""
    # What `settings` has read of the server's settings; `None`: changes can't be detected.
    settings_seen: bytes | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def encrypted(self) -> bool:
        return isinstance(self.stream, ssl.SSLSocket)


def log_in(
    login: Login,
    parameters: Parameters,
    *,
    limits: Limits,
    connected: Callable[[socket.socket], None] | None = None,
    greeted: Callable[[Session, float], None] | None = None,
) -> Session:
    """A session as the login's user in its database, with further startup parameters.

    `connected` receives the socket before anything is sent; its exceptions end the login. `greeted` receives the
    session and the login's deadline, to query it; it may raise Malformed and OSError.

    Raises: UpstreamError and its kinds, SecretMissing, SecretInvalid.
    """
    *first, last = servers_of(login.fields)
    ends = time.monotonic() + limits.login_s
    # Several servers share the time that a client waits for one, as each may accept and then not answer.
    share_s = limits.connect_s / (len(first) + 1)
    attempt = _Attempt(login, parameters, share_s, connected, greeted)
    for server in first:
        try:
            return attempt.at(server, min(ends, time.monotonic() + share_s))
        except UpstreamError as error:
            if not try_next(error):
                raise
    return attempt.at(last, ends)


@dataclass(frozen=True)
class _Attempt:
    """What is the same for all of a connection's servers."""

    login: Login = field(repr=False)
    parameters: Parameters
    connect_s: float
    connected: Callable[[socket.socket], None] | None
    greeted: Callable[[Session, float], None] | None

    def at(self, server: Server, deadline: float) -> Session:
        # The name of this one server must be in its certificate.
        fields = {**self.login.fields, "host": server.host, "port": server.port}
        password = _password(self.login, needed=not server.is_path)
        stream: socket.socket | None = None
        try:
            stream = self._reached(server, deadline)
            stream = (
                self._spoken_to(stream, server, deadline)
                if server.is_path
                else _secured(stream, fields, deadline)
            )
            wire = Wire(stream, deadline=deadline)
            user = str(fields["user"]).encode()
            wire.send(startup(((b"user", user), (b"database", _database(fields)), *self.parameters)))
            authenticate(wire, stream, fields, user, password)
            session = _greeted(wire, stream, fields)
            check_kind(wire, session.settings, server.wanted)
            if self.greeted is not None:
                self.greeted(session, deadline)
            stream.settimeout(None)
            return session
        except TimeoutError:
            shut(stream)
            raise UpstreamTimeout from None
        except Malformed:
            shut(stream)
            raise UpstreamRefused(_NOT_POSTGRESQL) from None
        except OSError:
            shut(stream)
            raise UpstreamRefused(
                "The server closed the connection during the login. Check its log."
            ) from None
        except BaseException:
            shut(stream)
            raise

    def _reached(self, server: Server, deadline: float) -> socket.socket:
        stream = _connected(server.host, server.port, min(self.connect_s, left_s(deadline)))
        if self.connected is not None:
            try:
                self.connected(stream)
            except BaseException:
                shut(stream)
                raise
        return stream

    def _spoken_to(self, stream: socket.socket, server: Server, deadline: float) -> socket.socket:
        """A connection by a Unix socket, after the listener has shown that it speaks PostgreSQL's protocol: other
        programs have such sockets, and some obey anything sent to them."""
        wire = Wire(stream, deadline=min(deadline, time.monotonic() + self.connect_s))
        wire.send(SSL_REQUEST)
        answer = wire.byte()
        # Unix sockets are never encrypted, and a server says so; a proxy reports what its server offers.
        if answer not in (b"N", b"S") or wire.rest():
            raise Malformed
        if answer == b"N":
            return stream
        shut(stream)
        return self._reached(server, deadline)


def cancel(session: Session, *, limits: Limits) -> None:
    """Asks the server to cancel what the session is doing; returns when it has accepted the request.

    Raises: UpstreamError and its kinds, OSError.
    """
    deadline = time.monotonic() + limits.connect_s
    # The same server, as process numbers belong to one machine.
    stream = _connected(*session.address, limits.connect_s)
    try:
        if session.encrypted:
            stream = _secured(stream, session.fields, deadline)
        wire = Wire(stream, deadline=deadline)
        wire.send(cancel_request(session.pid, session.key))
        # It answers by closing the connection.
        stream.recv(1)
    finally:
        shut(stream)


def _connected(host: str, port: int, timeout_s: float) -> socket.socket:
    if host.startswith("/"):
        return connect_path(f"{host}/.s.PGSQL.{port}", timeout_s=timeout_s)
    return connect(host, port, timeout_s=timeout_s)


def _database(fields: Mapping[str, Any]) -> bytes:
    # A client may use another encoding than UTF-8.
    return str(fields["database"]).encode(errors="surrogateescape")


def _password(login: Login, *, needed: bool) -> bytes:
    """May be empty: on a Unix socket a server may authenticate by the user's identity (`peer`)."""
    password = login.secrets.get("password", "").encode()
    if needed and not password:
        raise SecretMissing
    if b"\0" in password:
        raise SecretInvalid("The password contains characters that can't be sent. Enter it again.")
    return password


def _secured(stream: socket.socket, fields: Mapping[str, Any], deadline: float) -> socket.socket:
    """With TLS if the connection requires it (in libpq's modes)."""
    mode = fields.get("sslmode") or "verify-full"
    if mode == "disable":
        return stream
    wire = Wire(stream, deadline=deadline)
    wire.send(SSL_REQUEST)
    answer = wire.byte()
    if answer == b"N" and mode == "prefer":
        return stream
    if answer == b"N":
        raise UpstreamTlsFailed(
            "The server does not offer encryption. Set Encryption to None only if it is on this machine."
        )
    if answer == b"E":
        raise UpstreamRefused
    # Bytes before the handshake would be treated as encrypted (CVE-2021-23222).
    if answer != b"S" or wire.rest():
        raise Malformed
    return encrypt(stream, fields, timeout_s=left_s(deadline))


def _greeted(wire: Wire, stream: socket.socket, fields: Mapping[str, Any]) -> Session:
    """Reads what comes between the login and the first ReadyForQuery."""
    greeting = bytearray()
    settings: dict[str, str] = {}
    pid, key = 0, b""
    for _ in range(_MAX_MESSAGES):
        kind, body = wire.message()
        if kind == b"Z":
            if body != b"I":
                raise Malformed
            host = str(fields["host"])
            return Session(
                stream,
                (host, fields["port"]) if host.startswith("/") else stream.getpeername()[:2],
                dict(fields),
                bytes(greeting),
                settings,
                pid,
                key,
                wire.rest(),
            )
        if kind == b"E":
            raise refusal(body)
        if kind == b"K" and len(body) >= 8:
            pid, key = struct.unpack_from(">I", body)[0], body[4:]
        elif kind == b"S":
            name, value = status_of(body)
            settings[name] = value
            greeting += message(kind, body)
        elif kind == b"N":
            greeting += message(kind, body)
        elif kind != b"v":
            raise Malformed
    raise Malformed
