"""Sockets without another end: they say what a test gives them, and remember what they are sent. No thread, no wait.

With them a whole relay runs in one thread, thousands of times a second, the same each time.
"""

from __future__ import annotations

import io
import itertools
import random
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from connvault_jupyter.relays.copying import Filter, Held, Stop
from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.limits import Limits

TOKEN = "the-token"


class Scripted(socket.socket):
    """Says these blocks one by one, and ends. Its descriptor is of a connection on which nothing ever happens.

    `late`: so many reads find nothing yet.
    """

    def __init__(self, *said: bytes, late: int = 0) -> None:
        ours, self._other = socket.socketpair()
        # Not super(): a TLS socket refuses to be made like this.
        socket.socket.__init__(self, fileno=ours.detach())
        self._said = [block for block in reversed(said) if block]
        self._late = late
        self.sent = bytearray()

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if self._late:
            self._late -= 1
            raise BlockingIOError
        if not self._said:
            return b""
        block = self._said.pop()
        if len(block) > bufsize:
            self._said.append(block[bufsize:])
        return block[:bufsize]

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        data = self.recv(nbytes or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sent += data
        return len(data)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self.sent += data

    def makefile(self, *_arguments: Any, **_named: Any) -> Any:
        return io.BufferedReader(socket.SocketIO(self, "r"))

    def settimeout(self, value: float | None, /) -> None:
        """Nothing is ever waited for."""

    def setblocking(self, flag: bool, /) -> None:
        """As `settimeout`."""

    def setsockopt(self, *_arguments: Any) -> None:
        """As `settimeout`."""

    def shutdown(self, how: int, /) -> None:
        """Nobody is told."""

    def getpeername(self) -> Any:
        """Another machine (RFC 5737)."""
        return ("192.0.2.7", 1)

    def close(self) -> None:
        self._other.close()
        super().close()

    def left(self) -> bytes:
        """What it has not yet said."""
        return b"".join(reversed(self._said))


class ScriptedTls(Scripted, ssl.SSLSocket):  # type: ignore[misc]  # asked for its kind, and for bytes
    """As if it were encrypted."""

    def __init__(self, plain: Scripted) -> None:
        Scripted.__init__(self, *reversed(plain._said))
        plain.close()
        # As if what is sent came out at the same end.
        self.sent = plain.sent

    def getpeercert(self, binary_form: bool = False) -> Any:
        """None that a login could be bound to."""
        return b""

    def pending(self) -> int:
        return 0


def cut(data: bytes) -> list[bytes]:
    """In pieces, at places that depend on the data alone."""
    chance = random.Random(zlib.crc32(data))  # noqa: S311 -- to be repeated
    if len(data) <= 200 and chance.random() < 0.3:
        return [data[at : at + 1] for at in range(len(data))]
    places = {chance.randint(0, len(data)) for _ in range(chance.randint(1, 8))}
    return [data[start:end] for start, end in itertools.pairwise(sorted({0, len(data), *places}))]


def downstream_of(
    stream: socket.socket, login: Login, *, limits: Limits, over_tcp: bool = False
) -> Downstream:
    """A client's connection as a worker makes it; the broker always agrees."""
    return Downstream(
        stream=stream,
        handle=Handle("h", "/nowhere", TOKEN, login.fields),
        over_tcp=over_tcp,
        limits=limits,
        ask=lambda _downstream: login,
        hand=lambda _downstream, _descriptor: lambda _given: None,
    )


def copy_scripted(
    client: socket.socket,
    upstream: socket.socket,
    *,
    limits: Limits,
    stop: Stop | None = None,
    to_upstream: Filter | None = None,
    to_client: Filter | None = None,
    held: Held | None = None,
) -> str:
    """In the place of `copying.copy_both`: first all that the client says, then all that the server does."""
    for source, target, transform in ((client, upstream, to_upstream), (upstream, client, held or to_client)):
        more = True
        while more:
            data = source.recv(limits.block_bytes)
            more = bool(data)
            shown = data if transform is None else transform(data)
            if shown:
                target.sendall(shown)
    return "ended"


@contextmanager
def replaced(module: ModuleType, **values: object) -> Iterator[None]:
    """Other values for names of a module, for a while."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def reached(*streams: socket.socket) -> Callable[..., socket.socket]:
    """In the place of `upstream.connect`: these one after the other, the last one again and again."""
    waiting = list(reversed(streams))
    return lambda *_arguments, **_named: waiting.pop() if len(waiting) > 1 else waiting[0]


def encrypted(stream: Scripted, *_arguments: object, **_named: object) -> ScriptedTls:
    """In the place of `upstream.encrypt`: it always succeeds."""
    return ScriptedTls(stream)


def words_of(error: BaseException) -> str:
    """All that whoever prints an error would see of it, and of the errors that it comes from."""
    said = f"{error!r} {error} {getattr(error, 'details', '')}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said if cause is None else f"{said} {words_of(cause)}"
