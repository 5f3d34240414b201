"""How a client proves to a PostgreSQL server that it knows the password: SCRAM-SHA-256, md5, or the password itself.

The server chooses the method, and an impostor would choose the weakest. So anything that reveals the password is sent
only to the verified server: the password itself, and its md5 response, on which a thousand million passwords a second
can be tried, and which logs in at the real server if an impostor forwards its salt. SCRAM needs thousands of
iterations for each try; fewer are refused.

Of a server's error, only the SQLSTATE is used.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

import scramp  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from ...errors import SecretMissing, UpstreamAuthFailed, UpstreamError, UpstreamRefused, UpstreamTlsFailed
from ..upstream import by_path, is_the_server
from .messages import Malformed, Wire, message, sqlstate_of

# Limit for a login: a server sends a notice or two.
_MAX_MESSAGES = 500
# PBKDF2 iterations that a server may ask for. RFC 7677 4: not fewer, as whoever gets the proof could try passwords
# faster. It is also the server's default (`scram_iterations`). The maximum takes some tenths of a second.
_MIN_ITERATIONS = 4096
_MAX_ITERATIONS = 1_000_000
_ITERATIONS = re.compile(r"(?:^|,)i=([0-9]{1,12})(?=,|$)")
_MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
_WITHOUT_HASH = ("ed25519", "ed448")
# The server ignores the name in SCRAM and uses the one from the startup packet (its documentation, 55.3.1).
_NO_NAME = "*"

# Authentication requests.
_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12


_OTHER_LOGIN = "The server requires another authentication method. Ask its administrator for a password user."

# By SQLSTATE (PostgreSQL's documentation, appendix A): where our code alone would mislead people.
_REFUSALS = {
    "3D000": "The server has no database of this name. Check the database.",
    "28000": "The server does not accept this user from here. Check the user and the encryption.",
    "42501": "This user may not connect to this database. Ask its owner for the CONNECT privilege.",
    "53300": "The server has no free connection. Close some, or try again later.",
    "57P03": "The server is starting up or shutting down. Try again in a moment.",
}


def authenticate(
    wire: Wire, stream: socket.socket, fields: Mapping[str, Any], user: bytes, password: bytes
) -> None:
    """Returns when the server has accepted the user; the password may be empty.

    Raises: UpstreamError and its kinds, SecretMissing; Malformed, OSError, TimeoutError.
    """
    asked = False
    for _ in range(_MAX_MESSAGES):
        kind, body = wire.message()
        if kind in (b"N", b"v"):
            continue
        if kind == b"E":
            raise refusal(body)
        if kind != b"R" or len(body) < 4:
            raise Malformed
        (method,) = struct.unpack_from(">I", body)
        if method == _OK:
            return
        if asked:
            raise Malformed
        asked = True
        if not password:
            raise SecretMissing(
                "The server asks for a password, but none is stored. Enter it in the connection."
            )
        if method == _CLEARTEXT:
            _check_cleartext(stream, fields)
        elif method == _MD5:
            _check_md5(stream, fields)
        _prove(wire, stream, method, body[4:], user, password)
    raise Malformed


def _check_cleartext(stream: socket.socket, fields: Mapping[str, Any]) -> None:
    """Raises: UpstreamTlsFailed: somebody on the network path could read the password, or be the one who asks for
    it."""
    if not by_path(fields) and not isinstance(stream, ssl.SSLSocket):
        raise UpstreamTlsFailed(
            "The server asks for the password in plain text, and the connection is not encrypted. Choose an "
            "encryption, or configure the server to use scram-sha-256."
        )
    if not is_the_server(stream, fields):
        raise UpstreamTlsFailed(
            f"The server asks for the password in plain text, {_nobody_knows(fields)}, or configure the "
            "server to use scram-sha-256."
        )


def _check_md5(stream: socket.socket, fields: Mapping[str, Any]) -> None:
    """Raises: UpstreamTlsFailed: somebody on the network path could forward the response, or try passwords on it."""
    if not is_the_server(stream, fields):
        raise UpstreamTlsFailed(
            f"The server asks for md5 authentication, from which the password can be guessed, "
            f"{_nobody_knows(fields)}, or configure the server to use scram-sha-256."
        )


def _nobody_knows(fields: Mapping[str, Any]) -> str:
    """Says that the server's identity is unknown, and what to do."""
    if by_path(fields):
        return "and anyone can create a socket in its folder. Have it listen in a folder of its own"
    return "and its identity has not been verified. Choose an encryption that verifies the server"


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
    encrypted = stream if isinstance(stream, ssl.SSLSocket) else None
    if not names or (encrypted is None and names == ["SCRAM-SHA-256-PLUS"]):
        raise UpstreamAuthFailed(_OTHER_LOGIN)
    try:
        client = _scram_client(names, password.decode(), encrypted)
        first = client.get_client_first().encode()
        wire.send(
            message(b"p", client.mechanism_name.encode() + b"\0" + struct.pack(">I", len(first)) + first)
        )
        first_answer = _sasl(wire, _SASL_CONTINUE)
        if _asks_too_little(first_answer):
            raise UpstreamAuthFailed(
                "The server asked for too few SCRAM iterations, so the password could be guessed. Set "
                "scram_iterations to 4096 or more there, then set the password again."
            )
        client.set_server_first(first_answer)
        if int(client.iterations) > _MAX_ITERATIONS:
            raise UpstreamRefused("The server asked for too many SCRAM iterations. Check host and port.")
        wire.send(message(b"p", client.get_client_final().encode()))
        client.set_server_final(_sasl(wire, _SASL_FINAL))
    except (scramp.ScramException, UnicodeError):
        # Not a wrong password: for that, a server sends 28P01.
        raise UpstreamAuthFailed(
            "The server did not prove that it knows this password. Check host and encryption."
        ) from None


def _asks_too_little(server_first: str) -> bool:
    """Of PBKDF2 (RFC 5802 5.1, `i=`). The library refuses what is not a number."""
    counts = _ITERATIONS.findall(server_first)
    return any(int(count) < _MIN_ITERATIONS for count in counts)


def _scram_client(names: list[str], password: str, encrypted: ssl.SSLSocket | None) -> Any:
    data = None if encrypted is None else end_point(encrypted.getpeercert(binary_form=True) or b"")
    if data is None:
        return scramp.ScramClient([name for name in names if not name.endswith("-PLUS")], _NO_NAME, password)
    return scramp.ScramClient(names, _NO_NAME, password, channel_binding=("tls-server-end-point", data))


def end_point(certificate: bytes) -> bytes | None:
    """What a login is bound to (RFC 5929 4.1): the certificate's hash (DER), by the hash function of its signature.
    `None` if that names none, as Ed25519: no binding is defined for it."""
    try:
        found = Certificate.load(certificate)
        if found["signature_algorithm"]["algorithm"].native in _WITHOUT_HASH:
            return None
        name = found.hash_algo
        return hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate).digest()
    except ValueError:
        return None


def _sasl(wire: Wire, expected: int) -> str:
    kind, body = wire.message()
    if kind == b"E":
        raise refusal(body)
    if kind != b"R" or len(body) < 4 or struct.unpack_from(">I", body)[0] != expected:
        raise Malformed
    return body[4:].decode()


def refusal(body: bytes) -> UpstreamError:
    """The typed error for an ErrorResponse."""
    code = sqlstate_of(body)
    if code == "28P01":
        return UpstreamAuthFailed()
    return UpstreamRefused(_REFUSALS.get(code), sqlstate=code)
