"""MySQL's packets, as far as a login needs them: framing, the greeting, its answer, errors. It decides nothing.

Everything is bounded and no length is trusted: the data comes from a server or client that may be hostile.
Sources: MySQL's "Client/Server Protocol" (Connection Phase), MariaDB's "Connecting" and "Clients & Protocol" pages.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from enum import IntFlag

from ..limits import left_s

# A login's packets are below 1 KiB; only a client's attributes may be longer: 64 KiB in total, according to MySQL.
MAX_BYTES = 72 * 1024

SCRAMBLE_BYTES = 20
_PROTOCOL = 10


class Can(IntFlag):
    """Capability flags (MySQL, "Capabilities Flags"). Bit 0 is inverted in MariaDB: if unset, there are more."""

    MYSQL = 1 << 0
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    COMPRESS = 1 << 5
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRIBUTES = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    EXPIRED_PASSWORDS = 1 << 22
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24
    OPTIONAL_METADATA = 1 << 25
    ZSTD = 1 << 26
    QUERY_ATTRIBUTES = 1 << 27
    MULTI_FACTOR = 1 << 28


class Malformed(ValueError):
    """The data is not a packet of this kind, or too long."""


@dataclass(frozen=True)
class Greeting:
    """A server's first packet (HandshakeV10). `scramble` is without its final NUL; `extended` are MariaDB's flags."""

    version: bytes
    thread: int
    scramble: bytes
    capabilities: int
    extended: int
    charset: int
    status: int
    plugin: bytes


@dataclass(frozen=True)
class Answer:
    """A client's answer to it (HandshakeResponse41). `database`: `None` where it names none."""

    capabilities: int
    extended: int
    max_packet: int
    charset: int
    user: bytes
    proof: bytes = field(repr=False)
    database: bytes | None
    plugin: bytes
    attributes: bytes


class Packets:
    """One side of a login, packet by packet. All of it ends at `deadline` (as `time.monotonic()` counts).

    It reads no byte more than it returns, so the stream can be copied from where it stopped.
    """

    def __init__(self, stream: socket.socket, *, deadline: float) -> None:
        self.stream = stream
        self.deadline = deadline
        self._next = 0

    def receive(self) -> bytes:
        """The next packet's payload. Raises: Malformed; TimeoutError; OSError: the other side is gone."""
        header = self._read(4)
        length = int.from_bytes(header[:3], "little")
        if length > MAX_BYTES:
            raise Malformed
        self._next = (header[3] + 1) & 0xFF
        return self._read(length)

    def send(self, payload: bytes) -> None:
        """Raises: TimeoutError, OSError."""
        header = len(payload).to_bytes(3, "little") + bytes([self._next])
        self._next = (self._next + 1) & 0xFF
        self.stream.settimeout(left_s(self.deadline))
        self.stream.sendall(header + payload)

    def restart(self) -> None:
        """A new command begins: packet numbers restart at 0."""
        self._next = 0

    def _read(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            self.stream.settimeout(left_s(self.deadline))
            block = self.stream.recv(count - len(found))
            if not block:
                raise ConnectionError
            found += block
        return bytes(found)


def parse_greeting(payload: bytes) -> Greeting:
    """Raises: Malformed: not a HandshakeV10 with a scramble of 20 bytes or more."""
    read = _Reader(payload)
    if read.number(1) != _PROTOCOL:
        raise Malformed
    version, thread = read.text(), read.number(4)
    scramble = read.take(8)
    read.take(1)
    low, charset, status, high, length = (read.number(size) for size in (2, 1, 2, 2, 1))
    read.take(6)
    capabilities = low | high << 16
    extended = read.number(4)
    scramble += read.take(max(13, length - 8)) if capabilities & Can.SECURE_CONNECTION else b""
    scramble = scramble.removesuffix(b"\0")
    if len(scramble) < SCRAMBLE_BYTES:
        raise Malformed
    plugin = read.rest().split(b"\0", 1)[0] if capabilities & Can.PLUGIN_AUTH else b""
    return Greeting(version, thread, scramble, capabilities, extended, charset, status, plugin)


def greeting_packet(greeting: Greeting) -> bytes:
    """A packet that `parse_greeting` can read. `scramble` has 20 bytes, `plugin` is set."""
    can = greeting.capabilities
    return b"".join(
        (
            bytes([_PROTOCOL]) + greeting.version + b"\0" + struct.pack("<I", greeting.thread),
            greeting.scramble[:8] + b"\0" + struct.pack("<H", can & 0xFFFF),
            struct.pack("<BHHB", greeting.charset, greeting.status, can >> 16, SCRAMBLE_BYTES + 1),
            bytes(6) + struct.pack("<I", greeting.extended),
            greeting.scramble[8:] + b"\0" + greeting.plugin + b"\0",
        )
    )


def parse_answer(payload: bytes, offered: int) -> Answer:
    """The client's answer to a greeting that offered these capabilities; others of its own are ignored.

    Raises: Malformed: not a HandshakeResponse41 (it may be an SSLRequest, which was not offered).
    """
    read = _Reader(payload)
    capabilities = read.number(4) & (offered | Can.MYSQL)
    max_packet, charset = read.number(4), read.number(1)
    read.take(19)
    extended = read.number(4)
    if not capabilities & Can.PROTOCOL_41:
        raise Malformed
    user = read.text()
    if capabilities & Can.PLUGIN_AUTH_LENENC:
        proof = read.counted()
    elif capabilities & Can.SECURE_CONNECTION:
        proof = read.take(read.number(1))
    else:
        proof = read.text()
    # Some clients leave out empty parts at the end.
    named = capabilities & Can.CONNECT_WITH_DB and read.more
    database = read.text() if named else b""
    plugin = read.text() if capabilities & Can.PLUGIN_AUTH and read.more else b""
    attributes = read.counted() if capabilities & Can.CONNECT_ATTRIBUTES and read.more else b""
    if capabilities & Can.MYSQL:
        extended = 0
    return Answer(
        capabilities, extended, max_packet, charset, user, proof, database or None, plugin, attributes
    )


def answer_packet(answer: Answer) -> bytes:
    """A packet that `parse_answer` can read, with exactly its capabilities."""
    can = answer.capabilities
    parts = [_answer_head(answer), answer.user + b"\0"]
    if can & Can.PLUGIN_AUTH_LENENC:
        parts.append(_counted(answer.proof))
    else:
        parts.append(bytes([len(answer.proof)]) + answer.proof)
    if can & Can.CONNECT_WITH_DB:
        parts.append((answer.database or b"") + b"\0")
    if can & Can.PLUGIN_AUTH:
        parts.append(answer.plugin + b"\0")
    if can & Can.CONNECT_ATTRIBUTES:
        parts.append(_counted(answer.attributes))
    return b"".join(parts)


def ssl_request(answer: Answer) -> bytes:
    """The packet before TLS: the start of the answer that follows inside it."""
    return _answer_head(answer)


def parse_switch(payload: bytes) -> tuple[bytes, bytes]:
    """(plugin, scramble) of an AuthSwitchRequest. Raises: Malformed; that of MySQL before 4.1 has neither."""
    read = _Reader(payload)
    read.take(1)
    plugin = read.text()
    return plugin, read.rest().removesuffix(b"\0")


def switch_packet(plugin: bytes, scramble: bytes) -> bytes:
    """An AuthSwitchRequest."""
    return b"\xfe" + plugin + b"\0" + scramble + b"\0"


def parse_error(payload: bytes) -> int:
    """The number of an ERR packet; its text is ignored. Raises: Malformed."""
    read = _Reader(payload)
    read.take(1)
    return read.number(2)


def error_packet(number: int, state: str, text: str) -> bytes:
    """An ERR packet; `state` is an SQLSTATE."""
    return b"\xff" + struct.pack("<H", number) + b"#" + state.encode("ascii") + text.encode()


def _answer_head(answer: Answer) -> bytes:
    head = struct.pack("<IIB", answer.capabilities, answer.max_packet, answer.charset)
    return head + bytes(19) + struct.pack("<I", answer.extended)


def _counted(data: bytes) -> bytes:
    if len(data) < 0xFB:
        return bytes([len(data)]) + data
    if len(data) <= 0xFFFF:
        return b"\xfc" + struct.pack("<H", len(data)) + data
    return b"\xfd" + struct.pack("<I", len(data))[:3] + data


class _Reader:
    """Parses a payload from its start. Raises: Malformed: it is too short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise Malformed
        found = self._data[self._at : end]
        self._at = end
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> bytes:
        """Up to a NUL."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise Malformed
        found = self._data[self._at : end]
        self._at = end + 1
        return found

    def counted(self) -> bytes:
        """A value after its length ("length-encoded integer")."""
        first = self.number(1)
        if first < 0xFB:
            return self.take(first)
        size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
        if size is None:
            raise Malformed
        return self.take(self.number(size))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)
