"""The agent's messages: what is whole is parsed, everything else is refused, and memory follows what came."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.relay_wire import AGENT_SESSION_BIND, MAX_AGENT_MESSAGE_BYTES
from connvault_jupyter.relays.ssh import agent as ssh_agent
from connvault_jupyter.relays.ssh.agent import Malformed
from tests.support.relays.ssh_agent_client import SESSION, login_data, session_bind, sign_request, string
from tests.support.servers.sshd import new_key

_KEY = string(b"ssh-ed25519") + string(bytes(32))


def test_when_whole_a_login_is_read() -> None:
    """Each part in its place."""
    found = ssh_agent.user_auth(login_data(_KEY, host_key=b"host"))
    assert (found.session, found.user, found.service, found.algorithm, found.key, found.host_key) == (
        SESSION,
        b"deploy",
        b"ssh-connection",
        b"ssh-ed25519",
        _KEY,
        b"host",
    )
    assert ssh_agent.user_auth(login_data(_KEY)).host_key is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        login_data(_KEY) + b"\0",
        login_data(_KEY, host_key=b"host") + b"\0",
        login_data(_KEY, kind=51),
        login_data(_KEY, signed=0),
        login_data(_KEY, signed=2),
        login_data(_KEY, method=b"password"),
        login_data(_KEY, method=b"hostbased"),
        login_data(_KEY, method=b"publickey-hostbound-v00@openssh.com"),
        *(login_data(_KEY, session=bytes(length)) for length in (0, 1, 16, 31, 33, 65, 128)),
    ],
)
def test_what_is_no_login_is_malformed(data: bytes) -> None:
    """One wrong part is enough."""
    with pytest.raises(Malformed):
        ssh_agent.user_auth(data)


@pytest.mark.parametrize("host_key", [None, b"host"])
def test_when_cut_anywhere_a_login_is_malformed(host_key: bytes | None) -> None:
    """Every shorter form."""
    data = login_data(_KEY, host_key=host_key)
    for length in range(len(data)):
        with pytest.raises(Malformed):
            ssh_agent.user_auth(data[:length])


def test_when_cut_anywhere_requests_are_malformed() -> None:
    """Signing and binding, every shorter form and a longer one."""
    bind = session_bind(new_key())[1 + 4 + len(AGENT_SESSION_BIND) :]
    sign = sign_request(_KEY, b"data")[1:]
    assert ssh_agent.session_bind(bind).session == SESSION
    assert ssh_agent.sign_request(sign).data == b"data"
    for parse, whole in ((ssh_agent.session_bind, bind), (ssh_agent.sign_request, sign)):
        for data in (*(whole[:length] for length in range(len(whole))), whole + b"\0"):
            with pytest.raises(Malformed):
                parse(data)


@given(st.binary(max_size=300))
def test_a_parser_answers_whatever_comes_or_calls_it_malformed(data: bytes) -> None:
    """And nothing else."""
    for parse in (
        ssh_agent.user_auth,
        ssh_agent.sign_request,
        ssh_agent.session_bind,
        ssh_agent.extension,
    ):
        with contextlib.suppress(Malformed):
            parse(data)


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64))
def test_a_login_that_is_written_is_read_back(user: bytes, algorithm: bytes, key: bytes) -> None:
    """Two ways of writing never mean the same, so what is signed is what was looked at."""
    data = login_data(key, user=user, algorithm=algorithm)
    found = ssh_agent.user_auth(data)
    assert login_data(found.key, user=found.user, algorithm=found.algorithm) == data


@pytest.mark.parametrize("head", [0, MAX_AGENT_MESSAGE_BYTES + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_message_whose_length_lies_is_refused_unread(head: int) -> None:
    """Nothing is waited for or set aside."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(struct.pack(">I", head) + b"x")
        with pytest.raises(Malformed):
            ssh_agent.receive(other, patience_s=5, message_s=5)


def test_when_much_is_announced_and_nothing_comes_no_memory_is_taken() -> None:
    """Until the message's time is over."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(struct.pack(">I", MAX_AGENT_MESSAGE_BYTES) + b"x")
        tracemalloc.start()
        try:
            with pytest.raises(TimeoutError):
                ssh_agent.receive(other, patience_s=5, message_s=0.05)
            assert tracemalloc.get_traced_memory()[1] < MAX_AGENT_MESSAGE_BYTES / 2
        finally:
            tracemalloc.stop()


def test_when_a_message_comes_byte_by_byte_its_time_is_for_the_whole() -> None:
    """Each byte in time does not make the next one's time longer."""
    one, other = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        one.sendall(struct.pack(">I", 100))
        while not stop.wait(0.02):
            try:
                one.sendall(b"x")
            except OSError:
                return

    dripping = threading.Thread(target=drip)
    with one, other:
        dripping.start()
        try:
            with pytest.raises(TimeoutError):
                ssh_agent.receive(other, patience_s=5, message_s=0.2)
        finally:
            stop.set()
            dripping.join()


@pytest.mark.parametrize("sent", [b"\0", b"\0\0\0\5", b"\0\0\0\5\x0babc"])
def test_a_message_that_ends_in_the_middle_is_malformed(sent: bytes) -> None:
    """An end between two messages is one."""
    one, other = socket.socketpair()
    with other:
        with one:
            one.sendall(sent)
        with pytest.raises(Malformed):
            ssh_agent.receive(other, patience_s=5, message_s=5)
        assert ssh_agent.receive(other, patience_s=5, message_s=5) is None
