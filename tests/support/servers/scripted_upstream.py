"""Servers on loopback that do what a test says, and no more: for what no real server does."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket], None]


@contextmanager
def upstream(behaviour: Behaviour) -> Iterator[int]:
    """A port of 127.0.0.1 where each connection is treated like that, in a thread, and closed then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, behaviour), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def dripping(begin: bytes, slowly: bytes, *, every_s: float = 0.02) -> Behaviour:
    """Says `begin`, and then byte by byte `slowly`, again and again, until the other side has had enough."""

    def behave(stream: socket.socket) -> None:
        stream.sendall(begin)
        clock = threading.Event()
        for byte in itertools.cycle(slowly):
            clock.wait(every_s)
            stream.sendall(bytes([byte]))

    return behave


def _accept(listener: socket.socket, behaviour: Behaviour) -> None:
    def treat(stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            behaviour(stream)

    with contextlib.suppress(OSError):
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=treat, args=(stream,), daemon=True).start()
