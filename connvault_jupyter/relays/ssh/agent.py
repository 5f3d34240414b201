"""Messages of the agent protocol (draft-ietf-sshm-ssh-agent 5): reads them with limits, parses, builds. It judges
nothing.

It has no keys and no rules: `rules` decides what may be signed.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ...contracts.relay_wire import MAX_AGENT_MESSAGE_BYTES, AgentMessage
from ..limits import left_s

_USERAUTH_REQUEST = 50
_PUBLICKEY = b"publickey"
_HOSTBOUND = b"publickey-hostbound-v00@openssh.com"

# As long as a hash that a key exchange may use: SHA-1 to SHA-512.
_SESSION_BYTES = frozenset({20, 32, 48, 64})

_READ_BYTES = 16 * 1024


class Malformed(ValueError):
    """Not a message of this protocol. The text never quotes the input."""


@dataclass(frozen=True)
class SignRequest:
    """`key` is a public key in wire format (RFC 4253 6.6)."""

    key: bytes
    data: bytes
    flags: int


@dataclass(frozen=True)
class SessionBind:
    """OpenSSH PROTOCOL.agent 1: `signature` is the host's, of the session identifier."""

    host_key: bytes
    session: bytes
    signature: bytes
    forwarding: bool


@dataclass(frozen=True)
class UserAuth:
    """What a client signs to log in (RFC 4252 7). `host_key` is only present in OpenSSH's host-bound format."""

    session: bytes
    user: bytes
    service: bytes
    algorithm: bytes
    key: bytes
    host_key: bytes | None


def receive(stream: socket.socket, *, patience_s: float, message_s: float) -> tuple[int, bytes] | None:
    """The type and contents of the next message, or `None` at the end. Memory grows with the received data, not with
    the announced length.

    Raises:
        Malformed: an empty message, one that is too long, or an end in the middle.
        TimeoutError: none begins within `patience_s`, or it is incomplete `message_s` after its start.
    """
    stream.settimeout(patience_s)
    head = stream.recv(4)
    if not head:
        return None
    deadline = time.monotonic() + message_s
    head += _exactly(stream, 4 - len(head), deadline)
    (length,) = struct.unpack(">I", head)
    if not 1 <= length <= MAX_AGENT_MESSAGE_BYTES:
        raise Malformed("a message's length")
    message = _exactly(stream, length, deadline)
    return message[0], message[1:]


def framed(message: bytes) -> bytes:
    """A message in wire format."""
    return string(message)


def string(value: bytes) -> bytes:
    """RFC 4251 5."""
    return struct.pack(">I", len(value)) + value


def identities_answer(keys: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Public keys with their comments."""
    listed = b"".join(string(key) + string(comment) for key, comment in keys)
    return struct.pack(">BI", AgentMessage.IDENTITIES_ANSWER, len(keys)) + listed


def sign_response(signature: bytes) -> bytes:
    return bytes([AgentMessage.SIGN_RESPONSE]) + string(signature)


def extension_response(name: bytes, *contents: bytes) -> bytes:
    return bytes([AgentMessage.EXTENSION_RESPONSE]) + string(name) + b"".join(map(string, contents))


def sign_request(contents: bytes) -> SignRequest:
    """Raises: Malformed."""
    reader = Reader(contents)
    found = SignRequest(reader.string(), reader.string(), reader.uint32())
    reader.end()
    return found


def extension(contents: bytes) -> tuple[bytes, bytes]:
    """The extension's name and contents. Raises: Malformed."""
    reader = Reader(contents)
    return reader.string(), reader.rest()


def session_bind(contents: bytes) -> SessionBind:
    """Raises: Malformed."""
    reader = Reader(contents)
    found = SessionBind(reader.string(), reader.string(), reader.string(), reader.boolean())
    reader.end()
    if len(found.session) not in _SESSION_BYTES:
        raise Malformed("a session identifier")
    return found


def user_auth(data: bytes) -> UserAuth:
    """Raises: Malformed: it is not exactly a login with a public key."""
    reader = Reader(data)
    session = reader.string()
    if len(session) not in _SESSION_BYTES or reader.byte() != _USERAUTH_REQUEST:
        raise Malformed("no login")
    user, service, method = reader.string(), reader.string(), reader.string()
    # The signed request must say that it has a signature.
    if method not in (_PUBLICKEY, _HOSTBOUND) or not reader.boolean():
        raise Malformed("no login with a public key")
    algorithm, key = reader.string(), reader.string()
    host_key = reader.string() if method == _HOSTBOUND else None
    reader.end()
    return UserAuth(session, user, service, algorithm, key, host_key)


class Reader:
    """The data types of RFC 4251 5, from the front. Every method raises `Malformed` at an early end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self._take(1)[0]

    def boolean(self) -> bool:
        # Any other value than 0 counts as true there; nobody honest sends one, and what is signed has one form.
        value = self.byte()
        if value > 1:
            raise Malformed("a boolean")
        return value == 1

    def uint32(self) -> int:
        found: int = struct.unpack(">I", self._take(4))[0]
        return found

    def string(self) -> bytes:
        return self._take(self.uint32())

    def rest(self) -> bytes:
        return self._take(len(self._data) - self._at)

    def end(self) -> None:
        if self._at != len(self._data):
            raise Malformed("something after the end")

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise Malformed("an end in the middle")
        found = self._data[self._at : self._at + count]
        self._at += count
        return found


def _exactly(stream: socket.socket, count: int, deadline: float) -> bytes:
    found = bytearray()
    while len(found) < count:
        stream.settimeout(left_s(deadline))
        data = stream.recv(min(count - len(found), _READ_BYTES))
        if not data:
            raise Malformed("an end in the middle")
        found += data
    return bytes(found)
