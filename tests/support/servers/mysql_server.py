"""The server's side of MySQL's login, scripted: no MySQL 8 can be installed, and no real server misbehaves on demand.

Written from MySQL's protocol pages ("Connection Phase", "Caching_sha2_password information") without any of the
package's code, and itself tested with PyMySQL. After a login it answers every command with OK.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers.scripted_upstream import upstream
from tests.support.servers.tls import ServerCertificate

CACHING_SHA2 = b"caching_sha2_password"
NATIVE = b"mysql_native_password"

# LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION; PLUGIN_AUTH, CONNECT_ATTRS,
# PLUGIN_AUTH_LENENC, DEPRECATE_EOF.
_CAPABILITIES = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 24
_SSL = 0x800
SCRAMBLE = b"abcdefghijklmnopqrst"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
DENIED = b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied for user 'ann'@'secret.host'"


def greeting(
    *,
    plugin: bytes = CACHING_SHA2,
    tls: bool = False,
    version: bytes = b"8.0.36",
    capabilities: int = _CAPABILITIES,
) -> bytes:
    """HandshakeV10."""
    can = capabilities | (_SSL if tls else 0)
    return (
        b"\x0a" + version + b"\0" + struct.pack("<I", 7) + SCRAMBLE[:8] + b"\0"
        + struct.pack("<HBHHB", can & 0xFFFF, 45, 2, can >> 16, 21) + bytes(10) + SCRAMBLE[8:] + b"\0" + plugin + b"\0"
    )  # fmt: skip


@dataclass
class Wire:
    """Whole packets on a socket."""

    stream: socket.socket
    number: int = 0

    def send(self, payload: bytes) -> None:
        self.stream.sendall(struct.pack("<I", len(payload))[:3] + bytes([self.number & 255]) + payload)
        self.number += 1

    def receive(self) -> bytes:
        head = self._exactly(4)
        self.number = head[3] + 1
        return self._exactly(int.from_bytes(head[:3], "little"))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            block = self.stream.recv(count - len(found))
            if not block:
                raise ConnectionError
            found += block
        return found


Serve = Callable[[Wire], None]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A port of 127.0.0.1; each client is served in a thread."""

    def behave(stream: socket.socket) -> None:
        stream.settimeout(20)
        wire = Wire(stream)
        try:
            serve(wire)
        finally:
            # TLS has made another one of it.
            wire.stream.close()

    with upstream(behave) as port:
        yield port


@dataclass
class MySql8:
    """A MySQL 8 with one user. `cached`: it remembers the password's hash, so the fast way will do.

    `default`: what the greeting names; `switch`: what it then asks for. `seen`: how each login went.
    """

    password: bytes = field(repr=False)
    certificate: ServerCertificate | None = None
    cached: bool = False
    default: bytes = CACHING_SHA2
    switch: bytes = b""
    seen: list[str] = field(default_factory=list)

    def __call__(self, wire: Wire) -> None:
        wire.send(greeting(plugin=self.default, tls=self.certificate is not None))
        first = wire.receive()
        if len(first) == 32 and self.certificate is not None:
            wire.stream = _context(self.certificate).wrap_socket(wire.stream, server_side=True)
            answer = wire.receive()
            # SSLRequest is the beginning of what follows.
            assert answer[:32] == first
        else:
            answer = first
        proof, plugin = _proof_and_plugin(answer)
        wanted = self.switch or self.default
        if wanted != plugin:
            wire.send(b"\xfe" + wanted + b"\0" + SCRAMBLE + b"\0")
            proof = wire.receive()
        wire.send(OK if self._lets_in(wire, wanted, proof) else DENIED)
        while True:
            wire.number = 0
            if wire.receive()[:1] == b"\x01":
                return
            wire.send(OK)

    def _lets_in(self, wire: Wire, plugin: bytes, proof: bytes) -> bool:
        if plugin == NATIVE:
            return proof == _native(self.password)
        if plugin == b"mysql_clear_password":
            self.seen.append("clear")
            return proof == self.password + b"\0"
        if plugin != CACHING_SHA2:
            return False
        if self.cached:
            if not _knows(self.password, proof):
                return False
            self.seen.append("fast")
            wire.send(b"\x01\x03")
            return True
        wire.send(b"\x01\x04")
        shown = wire.receive()
        if not isinstance(wire.stream, ssl.SSLSocket):
            # 2: asks for the RSA key. The password itself never comes without TLS.
            self.seen.append("asked for a key" if shown == b"\x02" else "clear without TLS")
            return False
        self.seen.append("full")
        return shown == self.password + b"\0"


def _knows(password: bytes, proof: bytes) -> bool:
    """As the server does it, who stores SHA256(SHA256(password)) only."""
    stored = hashlib.sha256(hashlib.sha256(password).digest()).digest()
    mask = hashlib.sha256(stored + SCRAMBLE).digest()
    shown = bytes(a ^ b for a, b in zip(proof, mask, strict=False))
    return hashlib.sha256(shown).digest() == stored


def _native(password: bytes) -> bytes:
    once = hashlib.sha1(password).digest()  # noqa: S324 -- the protocol's own
    twice = hashlib.sha1(once).digest()  # noqa: S324
    mask = hashlib.sha1(SCRAMBLE + twice).digest()  # noqa: S324
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def _proof_and_plugin(answer: bytes) -> tuple[bytes, bytes]:
    _user, _, rest = answer[32:].partition(b"\0")
    proof, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    if int.from_bytes(answer[:4], "little") & 0x8:
        rest = rest.partition(b"\0")[2]
    return proof, rest.partition(b"\0")[0]


def _context(certificate: ServerCertificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "pair.pem")
        pair.write_text(certificate.certificate + certificate.key)
        context.load_cert_chain(pair)
    return context
