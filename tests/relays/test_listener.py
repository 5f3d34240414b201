"""The door: whoever comes is served at once, however many are being served, until it is closed."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connvault_jupyter.relays.listener import Listener


class Door:
    """Each client stays until `leave` is set; `served` counts those who have come in."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = self.listening.getsockname()
        self.served: queue.Queue[str] = queue.Queue()
        self.leave = threading.Event()
        self.threads = ThreadPoolExecutor(100)
        self.listener = Listener(self.listening, serve=self._serve, threads=self.threads)

    def _serve(self, stream: socket.socket) -> None:
        with stream:
            assert stream.getblocking()
            self.served.put(threading.current_thread().name)
            self.leave.wait(10)

    def come(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def close(self) -> None:
        self.listener.close()
        self.leave.set()
        self.threads.shutdown()


@pytest.fixture
def door() -> Iterator[Door]:
    found = Door()
    yield found
    found.close()


def test_when_all_are_busy_the_next_is_served_all_the_same(door: Door) -> None:
    """Each in a thread of its own."""
    clients = [door.come() for _ in range(20)]
    names = {door.served.get(timeout=10) for _ in clients}
    assert len(names) == 20
    for client in clients:
        client.close()


def test_when_one_comes_after_the_other_threads_are_used_again(door: Door) -> None:
    """Making one takes longer than the rest of a warm connect."""
    door.leave.set()
    names = set()
    for _ in range(50):
        with door.come() as client:
            names.add(door.served.get(timeout=10))
            assert client.recv(1) == b""
    assert len(names) <= 4


def test_when_closed_nobody_comes_in_and_who_is_in_stays(door: Door) -> None:
    """And nobody waits at it any more: its number may be another's by then."""
    with door.come() as client:
        door.served.get(timeout=10)
        door.listener.close()
        with pytest.raises(ConnectionRefusedError):
            door.come()
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
    door.leave.set()
    door.threads.shutdown()
    assert door.listening.fileno() == -1
    assert door.served.empty()
