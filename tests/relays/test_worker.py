"""A worker, spoken to as the broker speaks: listens, asks for logins, passes sockets on, cuts."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.relay_wire import HAND_OVER_SOCKET, SOCKET
from connvault_jupyter.errors import ConnvaultError, UpstreamAuthFailed
from connvault_jupyter.relays.copying import copy_both
from connvault_jupyter.relays.downstream import Downstream, Login
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.pipe import Pipe
from connvault_jupyter.relays.worker import KEPT, Worker

_LOGIN = {"fields": {"host": "db"}, "secrets": {"password": "pw-1"}, "revision": 3, "rotation": "r1"}
_SESSION = 77


class PlainRelay:
    """Says who it has logged in as, then copies; its upstream, one end of a pair, may be taken over."""

    def __init__(self) -> None:
        self.closed = False
        self.forgets = 0
        self.upstream, self._ours = socket.socketpair()

    def serve(self, downstream: Downstream) -> None:
        try:
            login = downstream.login()
        except ConnvaultError as exc:
            downstream.stream.sendall(exc.code.encode())
            return
        downstream.adopt(self._ours)
        hand_over = downstream.offer(_SESSION, self._ours)
        downstream.stream.sendall(login.secrets["password"].encode())
        if copy_both(downstream.stream, self._ours, limits=LIMITS, stop=hand_over.stop) == "stopped":
            hand_over.wait(LIMITS.lifetime_s)

    def log_in(self, login: Login) -> str:
        if login.secrets["password"] != "pw-1":
            raise UpstreamAuthFailed
        return "Plain 1.0"

    def forget(self) -> None:
        self.forgets += 1

    def close(self) -> None:
        self.closed = True
        self._ours.close()


class Broker:
    """The other end of the pipe."""

    def __init__(self, folder: Path, *, connections: int = 3) -> None:
        ours, theirs = socket.socketpair()
        self.folder = folder
        self.pipe = Pipe(ours)
        self.relay = PlainRelay()
        self.token = "t" * 43
        worker = Worker(
            pipe=Pipe(theirs),
            protocol="redis",
            relay=self.relay,
            limits=dataclasses.replace(LIMITS, connections=connections),
        )
        self._thread = threading.Thread(target=worker.run)
        self._thread.start()
        self._theirs = theirs

    def listen(self, *, tcp: bool = False) -> dict[str, Any]:
        self.pipe.send(
            {"listen": "h1", "directory": str(self.folder), "token": self.token, "fields": {}, "tcp": tcp}
        )
        return self.next()[0]

    def next(self) -> tuple[dict[str, Any], list[int]]:
        received = self.pipe.receive()
        assert received is not None
        return received

    def answer(self, **answer: Any) -> dict[str, Any]:
        """Answers the next request for a login; the request."""
        message, descriptors = self.next()
        for descriptor in descriptors:
            assert stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        waits = Pipe(socket.socket(fileno=descriptors[1]))
        os.close(descriptors[0])
        waits.send(answer)
        waits.close()
        return message

    def keep(self) -> tuple[dict[str, Any], int]:
        """Says of the next socket that it is kept; what was told of it, and a copy that is the caller's."""
        message, (copy, waits) = self.next()
        with socket.socket(fileno=waits) as line:
            line.sendall(KEPT)
        return message, copy

    def client(self, name: str = SOCKET) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(10)
        try:
            stream.connect(str(self.folder / name))
        except OSError:
            stream.close()
            raise
        return stream

    def close(self) -> None:
        self.pipe.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.relay.upstream.close()
        self._theirs.close()


@pytest.fixture
def broker(short_tmp_path: Path) -> Iterator[Broker]:
    found = Broker(short_tmp_path)
    yield found
    found.close()


def test_a_worker_that_is_told_to_listen_has_its_sockets(broker: Broker) -> None:
    """Its process's umask makes them this user's alone, which is looked at where there is a process."""
    assert broker.listen() == {"listening": "h1", "port": None}
    for name in (SOCKET, HAND_OVER_SOCKET):
        assert stat.S_ISSOCK((broker.folder / name).stat().st_mode)


def test_a_port_that_is_wanted_later_is_added(broker: Broker) -> None:
    """The Unix socket stays, the port is one of loopback."""
    broker.listen()
    port = broker.listen(tcp=True)["port"]
    assert broker.listen(tcp=True)["port"] == port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        broker.answer(login=_LOGIN)
        assert client.recv(100) == b"pw-1"


def test_the_login_is_asked_for_when_a_client_comes(broker: Broker) -> None:
    """Each client's own, with its socket for the broker to look at."""
    broker.listen()
    for _ in range(2):
        with broker.client() as client:
            assert broker.answer(login=_LOGIN) == {"login": "h1"}
            assert client.recv(100) == b"pw-1"


def test_when_the_broker_refuses_the_client_is_told_why(broker: Broker) -> None:
    """The typed error arrives in the relay."""
    broker.listen()
    with broker.client() as client:
        broker.answer(problem={"code": "vault_locked", "detail": "locked"})
        assert client.recv(100) == b"vault_locked"


def test_when_cut_clients_and_sockets_are_gone(broker: Broker) -> None:
    """The upstream is shut down too, and a new client finds nobody."""
    broker.listen()
    with broker.client() as client:
        broker.answer(login=_LOGIN)
        client.recv(100)
        broker.pipe.send({"cut": "h1"})
        assert broker.next()[0] == {"cut": "h1"}
        assert client.recv(100) == b""
        broker.relay.upstream.settimeout(10)
        assert broker.relay.upstream.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            broker.client()


def test_a_client_too_many_is_turned_away(broker: Broker) -> None:
    """Those that are there stay."""
    broker.listen()
    clients = []
    for _ in range(3):
        clients.append(broker.client())
        broker.answer(login=_LOGIN)
        assert clients[-1].recv(100) == b"pw-1"
    with broker.client() as fourth:
        assert fourth.recv(100) == b""
    clients[0].sendall(b"still here")
    assert broker.relay.upstream.recv(100) == b"still here"
    for client in clients:
        client.close()


def test_when_silent_ones_hold_the_places_the_first_of_them_leaves(broker: Broker) -> None:
    """Who has a login stays, and who comes is served."""
    broker.listen()
    with broker.client() as first:
        broker.answer(login=_LOGIN)
        assert first.recv(100) == b"pw-1"
        # The relay asks for their logins, and waits.
        silent = [broker.client() for _ in range(2)]
        asked = [broker.next() for _ in silent]
        with broker.client() as late:
            gone = silent[0].recv(100)
            broker.answer(login=_LOGIN)
            assert (gone, late.recv(100)) == (b"", b"pw-1")
            first.sendall(b"still here")
            assert broker.relay.upstream.recv(100) == b"still here"
        for _, descriptors in asked:
            for descriptor in descriptors:
                os.close(descriptor)
        for client in silent:
            client.close()


def test_when_taken_over_the_client_has_the_upstream_itself(broker: Broker) -> None:
    """The broker gets a duplicate first, and is told when the client has let go."""
    broker.listen()
    with broker.client() as client, broker.client(HAND_OVER_SOCKET) as asking:
        broker.answer(login=_LOGIN)
        client.recv(100)
        asking.sendall(struct.pack(">Q", _SESSION))
        message, copy = broker.keep()
        assert message["handed"]
        said, descriptors, _, _ = socket.recv_fds(asking, 1, 2)
        assert said == b"+"
        upstream = socket.socket(fileno=descriptors[0])
        client.close()
        upstream.sendall(b"straight")
        assert broker.relay.upstream.recv(100) == b"straight"
        broker.relay.upstream.sendall(b"back")
        assert upstream.recv(100) == b"back"
        upstream.close()
        os.close(descriptors[1])
        assert broker.next()[0] == {"returned": message["handed"], "kept": False}
        os.close(copy)


def test_when_a_session_has_a_next_client_that_one_gets_its_socket(broker: Broker) -> None:
    """Also while the one before is just leaving."""
    broker.listen()
    held = []
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(broker.client())
            asking = stack.enter_context(broker.client(HAND_OVER_SOCKET))
            broker.answer(login=_LOGIN)
            client.recv(100)
            asking.sendall(struct.pack(">Q", _SESSION))
            held.append(broker.keep()[1])
            said, descriptors, _, _ = socket.recv_fds(asking, 1, 2)
            assert said == b"+"
            held += descriptors
    for descriptor in held:
        os.close(descriptor)


@pytest.mark.parametrize("how", ["says no", "is cut off"])
def test_when_the_broker_does_not_keep_the_socket_nothing_is_passed_on(broker: Broker, how: str) -> None:
    """It could not end a copy then: it may have no descriptor left, or be about to end."""
    broker.listen()
    with broker.client() as client, broker.client(HAND_OVER_SOCKET) as asking:
        broker.answer(login=_LOGIN)
        client.recv(100)
        asking.sendall(struct.pack(">Q", _SESSION))
        _, (copy, waits) = broker.next()
        if how == "says no":
            os.write(waits, b"-")
        os.close(waits)
        assert socket.recv_fds(asking, 1, 2)[:2] == (b"", [])
        os.close(copy)


def test_kept_sessions_are_forgotten_when_a_client_wants_it(broker: Broker) -> None:
    """The end of its line says that it is done; who is being served goes on."""
    broker.listen()
    with broker.client() as client, broker.client(HAND_OVER_SOCKET) as line:
        broker.answer(login=_LOGIN)
        client.recv(100)
        line.sendall(struct.pack(">Q", 0))
        assert line.recv(1) == b""
        assert broker.relay.forgets == 1
        client.sendall(b"still here")
        assert broker.relay.upstream.recv(100) == b"still here"


@pytest.mark.parametrize("asked", [struct.pack(">Q", 1), b"1234567"])
def test_a_wrong_number_gets_no_socket(broker: Broker, asked: bytes) -> None:
    """A guess, or half a number."""
    broker.listen()
    with broker.client() as client, broker.client(HAND_OVER_SOCKET) as asking:
        broker.answer(login=_LOGIN)
        client.recv(100)
        asking.sendall(asked)
        asking.shutdown(socket.SHUT_WR)
        assert socket.recv_fds(asking, 1, 2)[:2] == (b"", [])


def test_another_process_that_asks_for_the_socket_gets_nothing(broker: Broker) -> None:
    """Of the same user, with the right number."""
    broker.listen()
    code = (
        "import socket, struct, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n"
        f"s.sendall(struct.pack('>Q', {_SESSION})); print(socket.recv_fds(s, 1, 2)[:2])\n"
    )
    with broker.client() as client:
        broker.answer(login=_LOGIN)
        client.recv(100)
        path = str(broker.folder / HAND_OVER_SOCKET)
        done = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.stdout.strip() == "(b'', [])", done.stderr


@pytest.mark.parametrize(("password", "told"), [("pw-1", {"server": "Plain 1.0"}), ("pw-2", None)])
def test_the_outcome_of_a_tried_login_is_told(
    broker: Broker, password: str, told: dict[str, str] | None
) -> None:
    """By code, not by text."""
    broker.pipe.send({"try": 5, "login": {**_LOGIN, "secrets": {"password": password}}})
    answer = broker.next()[0]
    assert answer.pop("tried") == 5
    assert answer == told if told else answer["problem"]["code"] == "upstream_auth_failed"


def test_when_the_broker_hangs_up_the_worker_ends(short_tmp_path: Path) -> None:
    """With all that it has open."""
    broker = Broker(short_tmp_path)
    broker.listen()
    with broker.client() as client:
        broker.answer(login=_LOGIN)
        client.recv(100)
        broker.close()
        assert client.recv(100) == b""
    assert broker.relay.closed
