"""The agent that a worker serves, as its clients meet it: over a real socket, with a broker that answers by rule."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.contracts.relay_wire import AGENT_REFUSAL
from connvault_jupyter.errors import ConnvaultError, HandleInvalid, VaultLocked
from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.limits import LIMITS, Limits
from connvault_jupyter.relays.ssh.key import public_key
from connvault_jupyter.relays.ssh.relay import Relay
from tests.support.broker.processes import wait_until
from tests.support.relays.ssh_agent_client import (
    SESSION,
    SSHSIG,
    extension,
    login_data,
    session_bind,
    sign_request,
    string,
)
from tests.support.servers.sshd import UserKey, new_key

_FAILURE = b"\x05"
_SUCCESS = b"\x06"
_IDENTITIES = b"\x0b"
_QUERY = extension(b"query")
_FIELDS = {"host": "build.test", "port": 22, "user": "deploy"}


class Agent:
    """A relay and the clients that it serves, each in its thread. `refusal` is what the broker answers instead."""

    def __init__(self, key: UserKey, **limits: Any) -> None:
        self.key = key
        self.fields: dict[str, Any] = dict(_FIELDS)
        self.rotation = "r1"
        self.asked = 0
        self.refusal: ConnvaultError | None = None
        self.limits: Limits = dataclasses.replace(LIMITS, **limits)
        self.relay = Relay(limits=self.limits)
        self.served: list[tuple[Downstream, threading.Thread]] = []

    @contextlib.contextmanager
    def client(self, *, over_tcp: bool = False) -> Iterator[Client]:
        ours, theirs = socket.socketpair()
        downstream = Downstream(
            stream=theirs,
            handle=Handle("h", "/nowhere", "token", self.fields),
            over_tcp=over_tcp,
            limits=self.limits,
            ask=self._login,
            hand=lambda _downstream, _descriptor: lambda _given: None,
        )
        thread = threading.Thread(target=self._serve, args=(downstream,))
        self.served.append((downstream, thread))
        thread.start()
        ours.settimeout(10)
        with ours:
            yield Client(ours)
        thread.join(10)
        assert not thread.is_alive()

    def _login(self, _downstream: Downstream) -> Login:
        self.asked += 1
        if self.refusal is not None:
            raise self.refusal
        return Login(self.fields, self.key.secrets, 1, self.rotation)

    def _serve(self, downstream: Downstream) -> None:
        with contextlib.suppress(OSError):
            self.relay.serve(downstream)
        downstream.close()


@dataclasses.dataclass
class Client:
    stream: socket.socket

    def ask(self, message: bytes) -> bytes:
        self.stream.sendall(string(message))
        return self.answer()

    def answer(self) -> bytes:
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def ask_for_ever(self, message: bytes) -> None:
        """Without reading an answer. Raises: OSError."""
        while True:
            self.stream.sendall(string(message))

    def ended(self) -> bool:
        return self.stream.recv(1) == b""

    def refusal(self) -> Any:
        answer = self.ask(extension(AGENT_REFUSAL))
        told = answer[1 + 4 + len(AGENT_REFUSAL) + 4 :]
        return json.loads(told) if told else None

    def _exactly(self, count: int) -> bytes:
        found = self.stream.recv(count, socket.MSG_WAITALL)
        assert len(found) == count, "the agent has hung up"
        return found


@pytest.fixture(scope="module")
def key() -> UserKey:
    return new_key()


@pytest.fixture
def agent(key: UserKey) -> Agent:
    return Agent(key)


def test_an_agent_that_is_asked_for_keys_names_the_one(agent: Agent, key: UserKey) -> None:
    """Its public half, and as whom and where."""
    with agent.client() as client:
        expected = (
            b"\x0c" + struct.pack(">I", 1) + string(key.blob) + string(b"deploy@build.test (connvault)")
        )
        assert client.ask(_IDENTITIES) == expected


@pytest.mark.parametrize(
    ("kind", "flags", "algorithm"),
    [
        ("ssh-ed25519", 0, "ssh-ed25519"),
        ("ecdsa-sha2-nistp256", 0, "ecdsa-sha2-nistp256"),
        ("ssh-rsa", 2, "rsa-sha2-256"),
        ("ssh-rsa", 4, "rsa-sha2-512"),
    ],
)
def test_the_signature_of_the_agent_verifies(kind: str, flags: int, algorithm: str) -> None:
    """Of exactly what was asked, by exactly that algorithm."""
    made = new_key(kind)
    data = login_data(made.blob, algorithm=algorithm.encode())
    with Agent(made).client() as client:
        answer = client.ask(sign_request(made.blob, data, flags))
    assert answer[0] == 14
    signature = answer[5:]
    assert signature.startswith(string(algorithm.encode()))
    found = public_key(made.blob)
    assert found is not None
    assert found.verify(data, signature)
    assert not found.verify(data + b"x", signature)


@pytest.mark.parametrize("kind", sorted(set(range(256)) - {11, 13, 27}))
def test_another_request_to_the_agent_is_refused(agent: Agent, kind: int) -> None:
    """Adding, removing, locking, smartcards, answers, and what nobody knows: all but three; and it goes on."""
    with agent.client() as client:
        assert client.ask(bytes([kind]) + string(b"passphrase")) == _FAILURE
        assert client.ask(_QUERY)[0] == 29
    assert agent.asked == 0


@pytest.mark.parametrize(
    "message",
    [
        b"\x0d",
        b"\x0d" + bytes(12),
        b"\x0d" + string(b"key"),
        b"\x1b",
        b"\x1b\xff\xff\xff\xff",
        extension(b"session-bind@openssh.com"),
        extension(b"session-bind@openssh.com", bytes(100)),
    ],
)
def test_a_malformed_request_is_refused_and_the_next_one_served(agent: Agent, message: bytes) -> None:
    """One client's mistake is not the end of its session."""
    with agent.client() as client:
        assert client.ask(message) == _FAILURE
        assert client.ask(_IDENTITIES)[0] == 12


def test_an_unknown_extension_is_told(agent: Agent) -> None:
    """And a query names the known ones."""
    with agent.client() as client:
        assert client.ask(extension(b"restrict-destination-v00@openssh.com")) == b"\x1c"
        for name in (b"query", b"session-bind@openssh.com", AGENT_REFUSAL):
            assert string(name) in client.ask(_QUERY)


def test_a_request_that_is_no_login_is_refused_with_a_problem(agent: Agent, key: UserKey) -> None:
    """To whoever asks with our extension; before, there is none."""
    with agent.client() as client:
        assert client.refusal() is None
        assert client.ask(sign_request(key.blob, SSHSIG)) == _FAILURE
        assert client.refusal()["code"] == "not_allowed"
    with agent.client() as another:
        assert another.refusal()["detail"].startswith("This key signs logins only")


def test_a_signature_by_another_key_is_refused(agent: Agent) -> None:
    """A well-formed login with a key that is not the connection's."""
    other = new_key()
    with agent.client() as client:
        assert client.ask(sign_request(other.blob, login_data(other.blob))) == _FAILURE
        assert "another key" in client.refusal()["detail"]


def test_a_connection_is_bound_to_the_session_that_a_host_proves(agent: Agent, key: UserKey) -> None:
    """With real signatures: of the session, of something else, by another host."""
    host, other = new_key(), new_key("ecdsa-sha2-nistp256")
    agent.fields["host_key"] = host.public
    signing = sign_request(key.blob, login_data(key.blob))
    with agent.client() as client:
        assert client.ask(session_bind(host, signed=b"x")) == _FAILURE
        assert client.ask(session_bind(host)) == _SUCCESS
        assert client.ask(signing)[0] == 14
    with agent.client() as client:
        assert client.ask(session_bind(other)) == _SUCCESS
        assert client.ask(signing) == _FAILURE
    with agent.client() as client:
        client.ask(session_bind(host, forwarding=True))
        assert client.ask(signing) == _FAILURE


def test_when_the_host_is_known_a_session_that_nobody_proved_is_not_signed_for(
    agent: Agent, key: UserKey
) -> None:
    """Not one without a word of its host, nor beside one that was proved, nor one with another's proof. Both ways to
    tell open it."""
    host, elsewhere = new_key(), bytes(32)
    agent.fields["host_key"] = host.public
    with agent.client() as client:
        assert client.ask(sign_request(key.blob, login_data(key.blob))) == _FAILURE
        assert ".connect()" in client.refusal()["detail"]
        assert client.ask(session_bind(host, session=elsewhere, signed=SESSION)) == _FAILURE
        assert client.ask(sign_request(key.blob, login_data(key.blob, session=elsewhere))) == _FAILURE
        assert client.ask(session_bind(host)) == _SUCCESS
        assert client.ask(sign_request(key.blob, login_data(key.blob, session=elsewhere))) == _FAILURE
        named = login_data(key.blob, session=elsewhere, host_key=host.blob)
        assert client.ask(sign_request(key.blob, named)) == _FAILURE
        assert client.ask(sign_request(key.blob, login_data(key.blob)))[0] == 14
    with agent.client() as client:
        assert client.ask(sign_request(key.blob, login_data(key.blob))) == _FAILURE
        assert client.ask(sign_request(key.blob, login_data(key.blob, host_key=host.blob)))[0] == 14
    agent.fields["bound_only"] = False
    with agent.client() as client:
        assert client.ask(sign_request(key.blob, login_data(key.blob)))[0] == 14


@pytest.mark.parametrize("refusal", [HandleInvalid(reason="foreign"), VaultLocked()])
def test_when_the_broker_refuses_nothing_is_shown_or_signed(
    agent: Agent, key: UserKey, refusal: ConnvaultError
) -> None:
    """It is asked for each key list and each signature, so what was allowed a moment ago does not matter."""
    signing = sign_request(key.blob, login_data(key.blob))
    with agent.client() as client:
        assert client.ask(_IDENTITIES)[0] == 12
        assert client.ask(signing)[0] == 14
        agent.refusal = refusal
        assert client.ask(_IDENTITIES) == _FAILURE
        assert client.ask(signing) == _FAILURE
        assert client.refusal()["code"] == refusal.code
    assert agent.asked == 4


def test_when_the_key_is_replaced_the_next_request_has_the_new_one(agent: Agent, key: UserKey) -> None:
    """On an open connection; the old one signs no more."""
    with agent.client() as client:
        assert string(key.blob) in client.ask(_IDENTITIES)
        agent.key, agent.rotation = new_key(), "r2"
        assert client.ask(sign_request(key.blob, login_data(key.blob))) == _FAILURE
        assert string(agent.key.blob) in client.ask(_IDENTITIES)


def test_a_worker_that_has_signed_keeps_nothing_of_the_key(agent: Agent, key: UserKey) -> None:
    """Nothing that can be reached holds it: neither the relay, nor the client's session that is still open."""
    seen: list[Any] = []

    def reachable(thing: Any, depth: int = 6) -> None:
        if depth and not any(thing is one for one in seen):
            seen.append(thing)
            for value in vars(thing).values() if hasattr(thing, "__dict__") else ():
                reachable(value, depth - 1)
            if isinstance(thing, tuple | list):
                for value in thing:
                    reachable(value, depth - 1)

    with agent.client() as client:
        assert client.ask(sign_request(key.blob, login_data(key.blob)))[0] == 14
        reachable(agent.relay)
        reachable(agent.served[0][0])
    assert ("r1", key.blob) in seen
    assert not any(isinstance(one, Login) for one in seen)
    assert not any("PRIVATE KEY" in one for one in seen if isinstance(one, str))


def test_when_on_tcp_nobody_is_served(agent: Agent) -> None:
    """The protocol has no place for the handle's token."""
    with agent.client(over_tcp=True) as client:
        assert client.ended()
    assert agent.asked == 0


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\0\4\0\1", b"\xff\xff\xff\xff"])
def test_the_agent_hangs_up_on_a_length_that_lies(agent: Agent, head: bytes) -> None:
    """Whatever follows has no meaning."""
    with agent.client() as client:
        client.stream.sendall(head)
        assert client.ended()


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5\x0b"])
def test_a_slow_client_of_the_agent_is_left(key: UserKey, sent: bytes) -> None:
    """Silent from the start, or in the middle of a message."""
    with Agent(key, greeting_s=0.1).client() as client:
        client.stream.sendall(sent)
        assert client.ended()


def test_a_client_of_the_agent_that_reads_nothing_is_left(key: UserKey) -> None:
    """Answers wait in its socket, not here, and not for ever."""
    with Agent(key, stalled_s=0.1).client() as client:
        client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Not a TimeoutError of this side: the agent has hung up.
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.ask_for_ever(_QUERY)


def test_a_client_of_the_agent_that_is_cut_ends(agent: Agent) -> None:
    """While it waits for the next message."""
    with agent.client() as client:
        assert client.ask(_IDENTITIES)[0] == 12
        agent.served[0][0].cut()
        assert client.ended()


def test_when_fifty_clients_sign_at_once_all_are_served(agent: Agent, key: UserKey) -> None:
    """In their own threads, with one key."""
    found = public_key(key.blob)
    assert found is not None
    outcomes: list[bool] = []

    def one(number: int) -> None:
        data = login_data(key.blob, session=number.to_bytes(32, "big"))
        with agent.client() as client:
            outcomes.append(found.verify(data, client.ask(sign_request(key.blob, data))[5:]))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == [True] * 50


def test_when_clients_have_gone_no_descriptor_thread_or_process_is_left(agent: Agent, key: UserKey) -> None:
    """After honest ones, refused ones and ones that go in the middle."""

    def round_of_clients() -> None:
        for message in (_IDENTITIES, sign_request(key.blob, login_data(key.blob)), b"\x0d", b"\x13"):
            with agent.client() as client:
                client.ask(message)
        with agent.client() as client:
            client.stream.sendall(b"\0\0\0\x50\x0d")

    def counts() -> tuple[int, int, int]:
        return (
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            len(psutil.Process().children(recursive=True)),
        )

    round_of_clients()
    before = counts()
    for _ in range(20):
        round_of_clients()
    wait_until(lambda: counts() == before, deadline_s=20, what="everything to be let go of")
