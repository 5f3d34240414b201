"""The doors: whoever comes is served at once, at whichever door, however many are served, until it is closed."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connvault_jupyter.relays.acceptor import Acceptor

_MOST_THREADS = 300


class House:
    """Each client stays until `leave` is set; `served` are the threads that have let one in."""

    def __init__(self) -> None:
        self.served: queue.Queue[str] = queue.Queue()
        self.leave = threading.Event()
        self.threads = ThreadPoolExecutor(_MOST_THREADS)
        self.acceptor = Acceptor(threads=self.threads)
        self.sockets: list[socket.socket] = []

    def open(self) -> tuple[str, int]:
        """A door's address."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(listening)
        self.acceptor.open(listening, self._serve)
        host, port = listening.getsockname()
        return host, port

    def _serve(self, stream: socket.socket) -> None:
        with stream:
            assert stream.getblocking()
            self.served.put(threading.current_thread().name)
            self.leave.wait(10)

    def close(self) -> None:
        for listening in self.sockets:
            self.acceptor.close(listening)
        self.acceptor.end()
        self.leave.set()
        self.threads.shutdown()


@pytest.fixture
def house() -> Iterator[House]:
    found = House()
    yield found
    found.close()


def _come(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=10)


def test_when_all_are_busy_the_next_is_served_all_the_same(house: House) -> None:
    """Each in a thread of its own."""
    address = house.open()
    clients = [_come(address) for _ in range(20)]
    assert len({house.served.get(timeout=10) for _ in clients}) == 20
    for client in clients:
        client.close()


def test_when_one_comes_after_the_other_threads_are_used_again(house: House) -> None:
    """Making one takes longer than the rest of a warm connect."""
    house.leave.set()
    address = house.open()
    names = set()
    for _ in range(50):
        with _come(address) as client:
            names.add(house.served.get(timeout=10))
            assert client.recv(1) == b""
    assert len(names) <= 4


def test_when_there_are_many_doors_there_are_few_threads(house: House) -> None:
    """A notebook may hold hundreds of handles, and use one."""
    house.leave.set()
    before = threading.active_count()
    addresses = [house.open() for _ in range(_MOST_THREADS)]
    for address in (addresses[0], addresses[-1]):
        with _come(address) as client:
            house.served.get(timeout=10)
            assert client.recv(1) == b""
    assert threading.active_count() - before <= 4


def test_when_a_door_is_closed_nobody_comes_in_there_and_who_is_in_stays(house: House) -> None:
    """The other doors stay open."""
    closed, other = house.open(), house.open()
    with _come(closed) as client:
        house.served.get(timeout=10)
        house.acceptor.close(house.sockets[0])
        with pytest.raises(ConnectionRefusedError):
            _come(closed)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        with _come(other):
            house.served.get(timeout=10)


def test_nobody_waits_for_an_acceptor_that_is_over(house: House) -> None:
    """Whoever waits wakes up and goes; nothing of it stays open."""
    address = house.open()
    house.acceptor.end()
    house.threads.shutdown()
    with _come(address):
        assert house.served.empty()
