"""Which process is at the other end of a loopback TCP connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from connvault_jupyter.broker.tcp_peers import tcp_peer

_CONNECT = """
import socket, sys
stream = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
input()
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def test_a_connection_of_this_process_is_its_own(listener: socket.socket) -> None:
    """Pid and user; the hint only saves time."""
    with socket.create_connection(("127.0.0.1", port_of(listener))):
        accepted, _ = listener.accept()
        with accepted:
            for likely in ((), (os.getpid(),), (1, 2**22 + 1)):
                found = tcp_peer(accepted, likely)
                assert (found.pid, found.uid, found.pidfd) == (os.getpid(), os.geteuid(), -1)


def test_a_connection_of_another_process_is_that_ones(listener: socket.socket) -> None:
    """Whatever pid was expected: being likely is not being it.

    This process has the listener's end, whose row in the system's table has the two addresses the other way round.
    """
    argv = [sys.executable, "-c", _CONNECT, str(port_of(listener))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        accepted, _ = listener.accept()
        with accepted:
            for likely in ((), (os.getpid(),), (os.getpid(), process.pid)):
                assert tcp_peer(accepted, likely).pid == process.pid
        process.communicate(b"\n")


def test_many_connections_are_told_apart(listener: socket.socket) -> None:
    """By address and port of both ends."""
    argv = [sys.executable, "-c", _CONNECT, str(port_of(listener))]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        theirs, _ = listener.accept()
        with socket.create_connection(("127.0.0.1", port_of(listener))):
            ours, _ = listener.accept()
            with theirs, ours:
                assert (tcp_peer(theirs).pid, tcp_peer(ours).pid) == (process.pid, os.getpid())
        process.communicate(b"\n")


def test_a_connection_that_has_ended_has_no_process(listener: socket.socket) -> None:
    """Its socket belongs to nobody any more; who was there can't be told."""
    stream = socket.create_connection(("127.0.0.1", port_of(listener)))
    accepted, _ = listener.accept()
    with accepted:
        stream.close()
        with pytest.raises(ProcessLookupError):
            tcp_peer(accepted)
