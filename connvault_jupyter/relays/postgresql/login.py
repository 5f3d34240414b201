"""Logs in at a PostgreSQL server: TLS, SCRAM-SHA-256, md5 or a password over TLS. Knows nothing of clients.

Which way it is, the server says, and somebody in its place would name the weakest. So what gives the password away
goes to the server itself only: the password as it is, and its md5 answer, on which a thousand million passwords a
second can be tried, and which opens the real server to whoever passes the real server's salt on. SCRAM has to be worked
out some thousand times for each try, and less is refused.

Of what the server says in an error, its SQLSTATE alone is looked at. The password is let go of when the login is over;
nothing of it is in a session.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import scramp  # type: ignore[import-untyped]

from ...errors import (
    SecretInvalid,
    SecretMissing,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
)
from ..deadlines import left_s
from ..downstream import Login
from ..limits import Limits
from ..upstream import connect, encrypt, is_the_server, shut
from .messages import (
    SSL_REQUEST,
    Malformed,
    Wire,
    cancel_request,
    message,
    sqlstate_of,
    startup,
    status_of,
)

Parameters = tuple[tuple[bytes, bytes], ...]

# Of a greeting: a server has a dozen settings to report and a notice or two.
_MAX_MESSAGES = 500
# Of PBKDF2, at the server's word. RFC 7677 4: not fewer; whoever gets the proof would try passwords that much faster.
# A server has as many by default (`scram_iterations`). More than the other take some tenths of a second.
_MIN_ITERATIONS = 4096
_MAX_ITERATIONS = 1_000_000
_ITERATIONS = re.compile(r"(?:^|,)i=([0-9]{1,12})(?=,|$)")
_MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
# The server ignores the name in SCRAM, and takes the one of the startup packet (its documentation, 55.3.1).
_NO_NAME = "*"

# Authentication requests.
_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12

_OTHER_LOGIN = "The server wants another kind of login than a password. Ask its owner for a user with one."

# By SQLSTATE (PostgreSQL's documentation, appendix A): where the code alone would send people to the wrong place.
_REFUSALS = {
    "3D000": "There is no such database on this server. Check the database.",
    "28000": "The server does not let this user in from here. Check the user and the encryption.",
    "42501": "This user may not connect to this database. Ask its owner for the permission.",
    "53300": "The server has no free connection. Close some, or try again later.",
    "57P03": "The server is starting up or shutting down. Try again in a moment.",
}


@dataclass(eq=False)
class Session:
    """A logged-in upstream with nothing under way.

    `address` is the one that was connected to: the server's name may have several. `greeting` are the server's
    ParameterStatus and notices as they came, `early` what followed. `key` is empty if the server takes no cancel
    requests. `since` is when it was logged in (`time.monotonic`).
    """

    stream: socket.socket
    address: tuple[str, int]
    fields: Mapping[str, Any]
    greeting: bytes
    settings: Mapping[str, str]
    pid: int
    key: bytes = field(repr=False)
    early: bytes = b""
    # What `settings` has seen of the server's settings; `None`: it can't be seen whether they change.
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

    `connected` is given the socket before anything is said on it; what it raises ends the login. `greeted` is given the
    session and the login's deadline, to ask it something; it may raise Malformed and OSError.

    Raises: UpstreamError and its kinds, SecretMissing, SecretInvalid.
    """
    password = _password(login)
    fields = login.fields
    deadline = time.monotonic() + limits.login_s
    stream: socket.socket | None = None
    try:
        stream = connect(
            str(fields["host"]),
            int(fields.get("port") or 5432),
            timeout_s=min(limits.connect_s, limits.login_s),
        )
        if connected is not None:
            connected(stream)
        stream = _secured(stream, fields, deadline)
        wire = Wire(stream, deadline=deadline)
        user = str(fields["user"]).encode()
        wire.send(startup(((b"user", user), (b"database", _database(fields)), *parameters)))
        _authenticate(wire, stream, fields, user, password)
        session = _greeted(wire, stream, fields)
        if greeted is not None:
            greeted(session, deadline)
        stream.settimeout(None)
        return session
    except TimeoutError:
        shut(stream)
        raise UpstreamTimeout from None
    except Malformed:
        shut(stream)
        raise UpstreamRefused(
            "What answers there does not speak PostgreSQL's protocol. Check host and port."
        ) from None
    except OSError:
        shut(stream)
        raise UpstreamRefused("The server closed the connection during the login. Check its log.") from None
    except BaseException:
        shut(stream)
        raise


def cancel(session: Session, *, limits: Limits) -> None:
    """Asks the server to end what the session is doing; returns when it has taken note.

    Raises: UpstreamError and its kinds, OSError.
    """
    deadline = time.monotonic() + limits.connect_s
    # The same server: a process number is one machine's.
    stream = connect(*session.address, timeout_s=limits.connect_s)
    try:
        if session.encrypted:
            stream = _secured(stream, session.fields, deadline)
        wire = Wire(stream, deadline=deadline)
        wire.send(cancel_request(session.pid, session.key))
        # It answers with the end of the connection.
        stream.recv(1)
    finally:
        shut(stream)


def _database(fields: Mapping[str, Any]) -> bytes:
    # A client may name one in other letters than UTF-8.
    return str(fields["database"]).encode(errors="surrogateescape")


def _password(login: Login) -> bytes:
    secret = login.secrets.get("password")
    if not secret:
        raise SecretMissing
    password = secret.encode()
    if b"\0" in password:
        raise SecretInvalid("The password has characters that can't be sent. Enter it again.")
    return password


def _secured(stream: socket.socket, fields: Mapping[str, Any], deadline: float) -> socket.socket:
    """With TLS where the connection wants it (libpq's words for how much)."""
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
            "The server offers no encryption. Set Encryption to None only if it is on this machine."
        )
    if answer == b"E":
        raise UpstreamRefused
    # Bytes before the handshake would count as if they had come through it (CVE-2021-23222).
    if answer != b"S" or wire.rest():
        raise Malformed
    return encrypt(stream, fields, timeout_s=left_s(deadline))


def _authenticate(
    wire: Wire, stream: socket.socket, fields: Mapping[str, Any], user: bytes, password: bytes
) -> None:
    asked = False
    for _ in range(_MAX_MESSAGES):
        kind, body = wire.message()
        if kind in (b"N", b"v"):
            continue
        if kind == b"E":
            raise _refusal(body)
        if kind != b"R" or len(body) < 4:
            raise Malformed
        (method,) = struct.unpack_from(">I", body)
        if method == _OK:
            return
        if asked:
            raise Malformed
        asked = True
        if method == _CLEARTEXT:
            _check_cleartext(stream, fields)
        elif method == _MD5:
            _check_md5(stream, fields)
        _prove(wire, stream, method, body[4:], user, password)
    raise Malformed


def _check_cleartext(stream: socket.socket, fields: Mapping[str, Any]) -> None:
    """Raises: UpstreamTlsFailed: somebody on the way could read the password, or be the one who asks for it."""
    if not isinstance(stream, ssl.SSLSocket):
        raise UpstreamTlsFailed(
            "The server wants the password in plain text, and the connection is not encrypted. "
            "Choose an encryption, or let the server use scram-sha-256."
        )
    if not is_the_server(stream, fields):
        raise UpstreamTlsFailed(
            "The server wants the password in plain text, and nobody has verified that it is the server. "
            "Choose an encryption that verifies it, or let the server use scram-sha-256."
        )


def _check_md5(stream: socket.socket, fields: Mapping[str, Any]) -> None:
    """Raises: UpstreamTlsFailed: somebody on the way could pass the answer on, or try passwords on it."""
    if not is_the_server(stream, fields):
        raise UpstreamTlsFailed(
            "The server wants an md5 answer, from which a password can be guessed, and nobody has verified that it is "
            "the server. Choose an encryption that verifies it, or let the server use scram-sha-256."
        )


def _prove(
    wire: Wire, stream: socket.socket, method: int, asked: bytes, user: bytes, password: bytes
) -> None:
    if method == _SASL:
        _scram(wire, stream, asked, password)
    elif method == _MD5 and len(asked) == 4:
        wire.send(message(b"p", _md5(user, password, asked) + b"\0"))
    elif method == _CLEARTEXT:
        wire.send(message(b"p", password + b"\0"))
    else:
        raise UpstreamAuthFailed(_OTHER_LOGIN)


def _md5(user: bytes, password: bytes, salt: bytes) -> bytes:
    inner = hashlib.md5(password + user, usedforsecurity=False).hexdigest().encode()
    return b"md5" + hashlib.md5(inner + salt, usedforsecurity=False).hexdigest().encode()


def _scram(wire: Wire, stream: socket.socket, offered: bytes, password: bytes) -> None:
    """RFC 5802 and 7677. Returns when the server has proved that it knows the password too."""
    names = [name for name in _MECHANISMS if name.encode() in offered.split(b"\0")]
    binding = ("tls-server-end-point", stream) if isinstance(stream, ssl.SSLSocket) else None
    if not names or (binding is None and names == ["SCRAM-SHA-256-PLUS"]):
        raise UpstreamAuthFailed(_OTHER_LOGIN)
    try:
        client = _scram_client(names, password.decode(), binding)
        first = client.get_client_first().encode()
        wire.send(
            message(b"p", client.mechanism_name.encode() + b"\0" + struct.pack(">I", len(first)) + first)
        )
        first_answer = _sasl(wire, _SASL_CONTINUE)
        if _asks_too_little(first_answer):
            raise UpstreamAuthFailed(
                "The server asked for too few SCRAM iterations: the password could be guessed. "
                "Set scram_iterations to 4096 or more there, and set the password anew."
            )
        client.set_server_first(first_answer)
        if int(client.iterations) > _MAX_ITERATIONS:
            raise UpstreamRefused("The server wants too much work for a login. Check host and port.")
        wire.send(message(b"p", client.get_client_final().encode()))
        client.set_server_final(_sasl(wire, _SASL_FINAL))
    except (scramp.ScramException, UnicodeError):
        # Not a wrong password, to that a server says 28P01.
        raise UpstreamAuthFailed(
            "The server could not prove that it knows this password. Check host and encryption."
        ) from None


def _asks_too_little(server_first: str) -> bool:
    """Of PBKDF2 (RFC 5802 5.1, `i=`). What is no number at all is the library's to refuse."""
    counts = _ITERATIONS.findall(server_first)
    return any(int(count) < _MIN_ITERATIONS for count in counts)


def _scram_client(names: list[str], password: str, binding: tuple[str, ssl.SSLSocket] | None) -> Any:
    if binding is not None:
        try:
            return scramp.ScramClient(names, _NO_NAME, password, channel_binding=binding)
        except scramp.ScramException:
            # A certificate whose signature names no hash, such as Ed25519: RFC 5929 defines no binding for it.
            names = [name for name in names if not name.endswith("-PLUS")]
    return scramp.ScramClient(names, _NO_NAME, password)


def _sasl(wire: Wire, expected: int) -> str:
    kind, body = wire.message()
    if kind == b"E":
        raise _refusal(body)
    if kind != b"R" or len(body) < 4 or struct.unpack_from(">I", body)[0] != expected:
        raise Malformed
    return body[4:].decode()


def _greeted(wire: Wire, stream: socket.socket, fields: Mapping[str, Any]) -> Session:
    """What comes between the login and the first ReadyForQuery."""
    greeting = bytearray()
    settings: dict[str, str] = {}
    pid, key = 0, b""
    for _ in range(_MAX_MESSAGES):
        kind, body = wire.message()
        if kind == b"Z":
            if body != b"I":
                raise Malformed
            return Session(
                stream,
                stream.getpeername()[:2],
                dict(fields),
                bytes(greeting),
                settings,
                pid,
                key,
                wire.rest(),
            )
        if kind == b"E":
            raise _refusal(body)
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


def _refusal(body: bytes) -> UpstreamError:
    code = sqlstate_of(body)
    if code == "28P01":
        return UpstreamAuthFailed()
    return UpstreamRefused(_REFUSALS.get(code), sqlstate=code)
