"""PostgreSQL's protocol for servers that lie, and a client of the relay without a process."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql.messages import message
from connvault_jupyter.relays.postgresql.relay import Relay

from .scripted_upstream import Behaviour

AUTH_OK = message(b"R", struct.pack(">I", 0))
READY = message(b"Z", b"I")
KEY = message(b"K", struct.pack(">II", 4711, 815))


def says(*parts: bytes) -> Behaviour:
    """Reads a startup packet, says these, and waits for the other side to go."""

    def behave(stream: socket.socket) -> None:
        read_packet(stream)
        stream.sendall(b"".join(parts))
        while stream.recv(4096):
            pass

    return behave


def read_packet(stream: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", exactly(stream, 4))
    return exactly(stream, length - 4)


def read_message(stream: socket.socket) -> tuple[bytes, bytes]:
    kind, length = struct.unpack(">cI", exactly(stream, 5))
    return kind, exactly(stream, length - 4)


def exactly(stream: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = stream.recv(count - len(found))
        if not data:
            raise OSError("the stream has ended")
        found += data
    return found


def login_to(port: int, **changed: Any) -> Login:
    """A login at 127.0.0.1, in plain text unless told otherwise."""
    fields = {
        "host": "127.0.0.1",
        "port": port,
        "database": "shop",
        "user": "reader",
        "sslmode": "disable",
        **changed,
    }
    return Login(fields, {"password": "canary-secret"}, 1, "r1")


@contextmanager
def client_of(
    relay: Relay, ask: Callable[[Downstream], Login], *, limits: Limits, over_tcp: bool = False
) -> Iterator[tuple[socket.socket, threading.Thread]]:
    """A client's end of a connection that the relay serves in a thread of this process."""
    ours, theirs = socket.socketpair()
    downstream = Downstream(
        stream=theirs,
        handle=Handle("h", "/nowhere", "the-token", {}),
        over_tcp=over_tcp,
        limits=limits,
        ask=ask,
        hand=lambda downstream, descriptor: lambda _given: None,
    )

    def serve() -> None:
        try:
            with contextlib.suppress(OSError):
                relay.serve(downstream)
        finally:
            downstream.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ours.settimeout(10)
    try:
        yield ours, thread
    finally:
        ours.close()
        downstream.cut()
        thread.join(10)
        relay.close()
