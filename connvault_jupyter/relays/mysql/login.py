"""Logs in at a MySQL or MariaDB server: its greeting, TLS, the proof of the password. The client's preferences are
arguments.

The password itself is sent only over TLS to a verified server (for caching_sha2_password, if the server has forgotten
the user, also to one on this machine), as an impostor could ask for it. It is never encrypted with a key sent by the
server. A response to a challenge is sent to any server: all of these are fast hashes, so there is no better method to
insist on, as there is SCRAM for PostgreSQL; the connection says how much to verify. None of the server's text leaves
this module.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ...errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from ...services.connections.addresses import Address, addresses_of
from ..downstream import Login
from ..limits import Limits, left_s
from ..local_sockets import connect_path
from ..upstream import by_path, connect, encrypt, is_the_server, shut
from . import proofs
from .packets import (
    SCRAMBLE_BYTES,
    Answer,
    Can,
    Greeting,
    Malformed,
    Packets,
    answer_packet,
    parse_error,
    parse_greeting,
    parse_switch,
    ssl_request,
)

# Needed for the login itself: without the first two, a password can't be proved.
_NEEDED = Can.PROTOCOL_41 | Can.SECURE_CONNECTION
_OF_THE_LOGIN = int(_NEEDED | Can.PLUGIN_AUTH | Can.PLUGIN_AUTH_LENENC | Can.SSL)

# Plugins whose proof may be sent unasked: it is useless to anyone who sees it.
_AT_ONCE = frozenset({proofs.NATIVE, proofs.CACHING_SHA2})

# Packets after the answer: a switch, a proof's continuation, its outcome. One more than any server needs.
_ROUNDS = 5

# ER_ACCESS_DENIED_ERROR and similar ones, an expired password, a locked account, a missing plugin.
_NOT_LET_IN = frozenset({1045, 1251, 1524, 1698, 1820, 1862, 2059, 3118, 4151})
_NEEDS_TLS = 3159

# OK_Packet of protocol 4.1: its header, two numbers, status and warnings. A shorter one does not end a login: drivers
# refuse it.
_SHORTEST_OK_BYTES = 7

_NOT_MYSQL = "The server did not answer with the MySQL protocol. Check host and port."
_NO_TLS = "The server does not offer encryption. Set Encryption to None only if it is on this machine."
_SHA2_NEEDS_TLS = (
    "The server asks for the password itself (caching_sha2_password), which is sent only to a verified "
    "server. Set Encryption to a mode that verifies it, or log in once with another client: the server "
    "then remembers the user."
)
_CLEAR_NEEDS_TLS = (
    "The server asks for the password in the clear (mysql_clear_password), which is sent only to a verified "
    "server. Set Encryption to a mode that verifies it."
)
_NO_NACL = (
    "This user logs in with ed25519, which needs PyNaCl in the Jupyter server's environment. "
    'Install it there: pip install "connvault-jupyter[mysql]"'
)
_UNKNOWN_PLUGIN = (
    "The server requires an authentication plugin that connvault does not support. Change the user's to "
    "mysql_native_password, caching_sha2_password, ed25519 or mysql_clear_password."
)


@dataclass
class Reached:
    """A server that has sent its greeting and waits for an answer. `packets.stream` becomes the TLS stream."""

    packets: Packets
    greeting: Greeting


@contextmanager
def reach(fields: Mapping[str, Any], *, limits: Limits, deadline: float) -> Iterator[Reached]:
    """A connection to the server at `host` and `port`, or at the socket with the path `host`, and its greeting.

    It is closed at the end of the block. Nothing is sent before the server's greeting.

    Raises: UpstreamUnreachable, UpstreamTimeout, UpstreamRefused.
    """
    with _failures_as_ours():
        stream = _connected(fields, min(limits.connect_s, left_s(deadline)))
    packets = Packets(stream, deadline=deadline)
    try:
        with _failures_as_ours():
            payload = packets.receive()
            if payload[:1] == b"\xff":
                raise _judged(payload)
            greeting = parse_greeting(payload)
        if greeting.capabilities & _NEEDED != _NEEDED:
            raise UpstreamRefused(_NOT_MYSQL)
        yield Reached(packets, greeting)
    finally:
        shut(packets.stream)


def _address_of(fields: Mapping[str, Any]) -> Address:
    try:
        (address,) = addresses_of(str(fields["host"]), int(fields.get("port") or 3306))
    except ValueError:
        raise UpstreamUnreachable("This is not the address of one server. Check host and port.") from None
    return address


def _connected(fields: Mapping[str, Any], timeout_s: float) -> socket.socket:
    address = _address_of(fields)
    if address.is_path:
        return connect_path(address.host, timeout_s=timeout_s)
    return connect(address.host, address.port, timeout_s=timeout_s)


def log_in(reached: Reached, login: Login, wanted: Answer) -> bytes:
    """Logs in with the client's capabilities, as far as the server has them; returns the server's OK packet.

    `wanted` is a client's answer; its user, proof and plugin are ignored. Without a database in it, the login's is
    used.

    Raises: UpstreamAuthFailed, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused, UpstreamUnreachable.
    """
    with _failures_as_ours():
        secured = _tls_mode(login.fields, reached.greeting)
        dialogue = _Dialogue(reached, login.fields, password_of(login))
        answer = dialogue.answer(wanted, login.fields, tls=bool(secured))
        if secured:
            reached.packets.send(ssl_request(answer))
            reached.packets.stream = encrypt(
                reached.packets.stream,
                # The name in its certificate: without port and brackets.
                {**login.fields, "host": _address_of(login.fields).host},
                timeout_s=left_s(reached.packets.deadline),
            )
        return dialogue.finish(answer)


def password_of(login: Login) -> bytes:
    """The password as the server hashed it."""
    return str(login.secrets.get("password", "")).encode()


def _tls_mode(fields: Mapping[str, Any], greeting: Greeting) -> str:
    """The mode, if there will be TLS; empty otherwise. Raises: UpstreamTlsFailed."""
    mode = str(fields.get("sslmode") or "verify-full")
    # Nobody can intercept a Unix socket.
    if mode == "disable" or by_path(fields):
        return ""
    if greeting.capabilities & Can.SSL:
        return mode
    if mode == "prefer":
        return ""
    raise UpstreamTlsFailed(_NO_TLS)


class _Dialogue:
    def __init__(self, reached: Reached, fields: Mapping[str, Any], password: bytes) -> None:
        self._packets = reached.packets
        self._greeting = reached.greeting
        self._password = password
        self._fields = fields
        offered = reached.greeting.plugin
        # A server with another default asks for the user's method once it knows the user.
        self._plugin = offered if offered in _AT_ONCE else proofs.NATIVE

    def answer(self, wanted: Answer, fields: Mapping[str, Any], *, tls: bool) -> Answer:
        server = self._greeting.capabilities
        database = wanted.database or str(fields.get("database") or "").encode() or None
        # Bit 0 comes from the client: it says whether it knows MariaDB's further flags.
        dropped = _OF_THE_LOGIN | Can.CONNECT_WITH_DB
        can = (wanted.capabilities & ~dropped & server) | (wanted.capabilities & Can.MYSQL)
        can |= server & (_OF_THE_LOGIN if tls else _OF_THE_LOGIN & ~int(Can.SSL))
        can |= Can.CONNECT_WITH_DB if database else 0
        return replace(
            wanted,
            capabilities=int(can),
            extended=0 if can & Can.MYSQL else wanted.extended & self._greeting.extended,
            user=str(fields.get("user") or "").encode(),
            proof=self._proof(self._plugin, self._greeting.scramble),
            database=database,
            plugin=self._plugin,
        )

    def finish(self, answer: Answer) -> bytes:
        self._packets.send(answer_packet(answer))
        switched = False
        for _ in range(_ROUNDS):
            payload = self._packets.receive()
            match payload[:1]:
                case b"\x00":
                    if len(payload) < _SHORTEST_OK_BYTES:
                        raise Malformed
                    return payload
                case b"\xff":
                    raise _judged(payload)
                case b"\xfe" if not switched:
                    # Only once: an impostor must not get a second proof for its own challenge.
                    switched = True
                    self._switch(payload)
                case b"\x01" if self._plugin == proofs.CACHING_SHA2:
                    self._go_on(payload)
                case _:
                    raise UpstreamRefused(_UNKNOWN_PLUGIN)
        raise Malformed

    def _switch(self, payload: bytes) -> None:
        if len(payload) == 1:
            # mysql_old_password: breakable in minutes.
            raise UpstreamAuthFailed(_UNKNOWN_PLUGIN)
        self._plugin, scramble = parse_switch(payload)
        self._packets.send(self._proof(self._plugin, scramble))

    def _go_on(self, payload: bytes) -> None:
        """caching_sha2_password: 3, the proof was known and OK follows; 4, the server must see the password."""
        if payload == b"\x01\x03":
            return
        if payload != b"\x01\x04":
            raise Malformed
        if not (self._unread and is_the_server(self._packets.stream, self._fields)):
            raise UpstreamTlsFailed(_SHA2_NEEDS_TLS)
        self._packets.send(self._password + b"\0")

    def _proof(self, plugin: bytes, scramble: bytes) -> bytes:
        if plugin == proofs.CLEAR:
            verified = self._fields.get("sslmode") in ("verify-ca", "verify-full")
            if by_path(self._fields):
                verified = is_the_server(self._packets.stream, self._fields)
            if not (self._unread and verified):
                raise UpstreamTlsFailed(_CLEAR_NEEDS_TLS)
            return self._password + b"\0"
        prove = _PROOFS.get(plugin)
        if prove is None:
            raise UpstreamAuthFailed(_UNKNOWN_PLUGIN)
        try:
            return prove(self._password, scramble)
        except proofs.NotHere:
            raise UpstreamAuthFailed(_NO_NACL) from None

    @property
    def _unread(self) -> bool:
        """Whether nobody on the network path can read what is sent."""
        return isinstance(self._packets.stream, ssl.SSLSocket) or by_path(self._fields)


_PROOFS: Mapping[bytes, Callable[[bytes, bytes], bytes]] = {
    proofs.NATIVE: lambda password, scramble: proofs.native(password, scramble[:SCRAMBLE_BYTES]),
    proofs.CACHING_SHA2: lambda password, scramble: proofs.caching_sha2(password, scramble[:SCRAMBLE_BYTES]),
    proofs.ED25519: proofs.ed25519,
}


def _judged(payload: bytes) -> ConnvaultError:
    """The typed error for an ERR packet. Its text names users and hosts, so it is dropped."""
    number = parse_error(payload)
    if number in _NOT_LET_IN:
        return UpstreamAuthFailed()
    if number == _NEEDS_TLS:
        return UpstreamTlsFailed("The server requires encryption. Set Encryption to Require or better.")
    return UpstreamRefused()


@contextmanager
def _failures_as_ours() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise UpstreamTimeout from None
    except Malformed:
        raise UpstreamRefused(_NOT_MYSQL) from None
    except OSError:
        raise UpstreamUnreachable from None
