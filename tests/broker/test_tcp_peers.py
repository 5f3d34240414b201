"""Which process is at the other end of a loopback TCP connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.broker.os_processes import Peer, PeerHidden
from connvault_jupyter.broker.tcp_peers import tcp_peer
from tests.support.broker.unprivileged import run_unprivileged

# <linux/in.h>; Python has no name for it. Not every kernel is built with it.
_IPPROTO_MPTCP = 262
_PROTOCOLS = (0, *([_IPPROTO_MPTCP] if Path("/proc/sys/net/mptcp/enabled").exists() else []))

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


@pytest.mark.parametrize("protocol", _PROTOCOLS)
def test_a_client_with_a_socket_for_both_kinds_of_addresses_is_found(
    listener: socket.socket, protocol: int
) -> None:
    """As Java makes them all: the system has those in its table of IPv6, with the address written as one of IPv6."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM, protocol) as stream:
        stream.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        stream.connect(("::ffff:127.0.0.1", port_of(listener)))
        accepted, _ = listener.accept()
        with accepted:
            assert tcp_peer(accepted).pid == os.getpid()


@pytest.mark.parametrize("protocol", _PROTOCOLS)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_listener_for_both_kinds_of_addresses_knows_its_clients(address: str, protocol: int) -> None:
    """Whichever of them a client has."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both,
        socket.socket(family, socket.SOCK_STREAM, protocol) as stream,
    ):
        stream.connect((address, port_of(both)))
        accepted, _ = both.accept()
        with accepted:
            assert tcp_peer(accepted).pid == os.getpid()


def test_of_another_users_connection_the_user_is_told(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which process of theirs it is can't be seen, and needs not: none of them may ask."""
    ours = os.geteuid()
    with socket.create_connection(("127.0.0.1", port_of(listener))):
        accepted, _ = listener.accept()
        monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
        with accepted:
            assert tcp_peer(accepted, (os.getpid(),)) == Peer(0, ours)


_CLOSED = r"""
import ctypes, os, socket, subprocess, sys
from connvault_jupyter.broker.os_processes import Peer, PeerHidden
from connvault_jupyter.broker.tcp_peers import tcp_peer
listener = socket.create_server(("127.0.0.1", 0))
code = sys.argv[1]
client = subprocess.Popen(
    [sys.executable, "-c", code, str(listener.getsockname()[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
accepted, _ = listener.accept()
client.stdout.readline()
try:
    print("found", tcp_peer(accepted).pid == client.pid)
except PeerHidden:
    print("hidden")
client.communicate(b"\n")
"""


def test_a_client_that_has_closed_itself_to_others_is_hidden_and_not_gone(tmp_path: Path) -> None:
    """Its connection is there and nobody can tell whose it is; an ordinary one is found the same way."""
    closes = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n"
    assert run_unprivileged(_CLOSED, _CONNECT, home=tmp_path).split() == ["found", "True"]
    assert run_unprivileged(_CLOSED, closes + _CONNECT, home=tmp_path).split() == ["hidden"]


def test_a_connection_that_has_ended_is_not_called_hidden(listener: socket.socket) -> None:
    """There is nobody to look for, so another reason is given."""
    stream = socket.create_connection(("127.0.0.1", port_of(listener)))
    accepted, _ = listener.accept()
    with accepted:
        stream.close()
        with pytest.raises(ProcessLookupError) as raised:
            tcp_peer(accepted)
    assert not isinstance(raised.value, PeerHidden)
