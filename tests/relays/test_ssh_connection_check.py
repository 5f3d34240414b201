"""The connection test's login: against a real sshd, and against servers that mean harm or are none."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest

from connvault_jupyter.errors import (
    SecretInvalid,
    SecretMissing,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.ssh.relay import Relay
from tests.support.broker.processes import ends, wait_until
from tests.support.servers.scripted_upstream import Behaviour, dripping, upstream
from tests.support.servers.sshd import SshServer, UserKey, new_key
from tests.support.servers.sshd import sshd as sshd

_BANNER = b"SSH-2.0-Hostile_1.0 secret-host.internal\r\n"


@pytest.fixture(scope="module")
def key(sshd: SshServer) -> UserKey:
    made = new_key()
    sshd.let_in(made)
    return made


def log_in(fields: dict[str, Any], key: UserKey, **limits: Any) -> str:
    relay = Relay(limits=dataclasses.replace(LIMITS, **limits))
    return relay.log_in(Login(fields, key.secrets, 1, "r1"))


@contextlib.contextmanager
def server(behave: Behaviour) -> Iterator[dict[str, Any]]:
    """Fields of a connection to a server that does so."""
    with upstream(behave) as port:
        yield {"host": "127.0.0.1", "port": port, "user": "deploy"}


@pytest.mark.parametrize("host_key", [False, True])
def test_an_ssh_check_says_what_the_server_is(sshd: SshServer, key: UserKey, host_key: bool) -> None:
    """With the host's key known and without."""
    fields = {**sshd.fields, **({"host_key": f"{new_key().public}\n{sshd.host_key}"} if host_key else {})}
    found = log_in(fields, key)
    assert found.startswith("OpenSSH ")
    assert found[8].isdigit()


@pytest.mark.parametrize("named", [new_key().public, "nonsense"], ids=["another", "nonsense"])
def test_when_the_host_key_is_another_nothing_is_signed(sshd: SshServer, key: UserKey, named: str) -> None:
    """The server never hears of the user."""
    before = len(sshd.log_file.read_text())
    with pytest.raises(UpstreamTlsFailed, match="host key is not the one"):
        log_in({**sshd.fields, "host_key": named}, key)

    def heard() -> str:
        said = sshd.log_file.read_text()[before:]
        return said if "Disconnected from" in said else ""

    said = wait_until(heard, deadline_s=10, what="the server to tell of it")
    assert "publickey" not in said
    assert sshd.user not in said


@pytest.mark.parametrize("secrets", [{}, {"private_key": "hunter2"}])
def test_when_the_secret_is_unusable_nobody_is_connected_to(secrets: dict[str, str]) -> None:
    """Nobody listens there."""
    login = Login({"host": "127.0.0.1", "port": 1, "user": "deploy"}, secrets, 1, "r1")
    with pytest.raises((SecretMissing, SecretInvalid)):
        Relay(limits=LIMITS).log_in(login)


def test_an_ssh_check_with_an_unknown_key_or_user_is_a_failed_login(sshd: SshServer, key: UserKey) -> None:
    """The server does not say which."""
    with pytest.raises(UpstreamAuthFailed):
        log_in(sshd.fields, new_key())
    with pytest.raises(UpstreamAuthFailed):
        log_in({**sshd.fields, "user": "no-such-user"}, key)


def test_an_ssh_check_where_nobody_listens_is_unreachable(key: UserKey) -> None:
    """Not a failed login."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UpstreamUnreachable):
        log_in({"host": "127.0.0.1", "port": port, "user": "deploy"}, key)


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "fd00:ec2::254"])  # noqa: S104 -- to connect to
def test_an_ssh_check_of_an_address_never_connected_to_is_refused(key: UserKey, host: str) -> None:
    """As for every relay."""
    with pytest.raises(UpstreamRefused):
        log_in({"host": host, "port": 22, "user": "deploy"}, key)


def _silent(stream: socket.socket) -> None:
    stream.recv(1 << 16)
    stream.recv(1)


def _lying(stream: socket.socket) -> None:
    stream.sendall(_BANNER + struct.pack(">IB", 0x7FFFFFFF, 4) + bytes(100_000))
    stream.recv(1 << 16)


def _noise(stream: socket.socket) -> None:
    stream.sendall(_BANNER + os.urandom(4096))
    stream.recv(1 << 16)


@pytest.mark.parametrize("behave", [_silent, dripping(b"", _BANNER)])
def test_an_ssh_check_of_a_slow_server_is_given_up(key: UserKey, behave: Any) -> None:
    """The time is for the whole login."""
    with ends(), server(behave) as fields, pytest.raises(UpstreamTimeout):
        log_in(fields, key, login_s=0.3)


@pytest.mark.parametrize(
    "behave",
    [
        _lying,
        _noise,
        lambda stream: stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100_000),
        lambda stream: stream.sendall(b"no line end" * 100_000),
        lambda stream: stream.sendall(b"SSH-1.5-old\r\n"),
        lambda stream: stream.sendall(b"SSH-2.0-\xff\xfe\r\n"),
        lambda stream: stream.sendall(_BANNER),
        lambda stream: None,
    ],
    ids=["lying length", "noise", "HTTP", "no line", "SSH 1", "no UTF-8", "banner only", "hangs up"],
)
def test_an_ssh_check_of_nonsense_is_a_typed_error(key: UserKey, behave: Any) -> None:
    """In our words."""
    with server(behave) as fields, pytest.raises(UpstreamError) as caught:
        log_in(fields, key, login_s=5)
    assert "secret-host" not in str(caught.value)
    assert "Hostile" not in str(caught.value)


class _Lets(asyncssh.SSHServer):
    """Lets anybody in without asking."""

    def begin_auth(self, username: str) -> bool:
        return False


def test_an_ssh_check_of_a_server_that_lets_anybody_in_is_no_success(key: UserKey) -> None:
    """That says nothing about the key."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    port: list[int] = []
    ready, done = threading.Event(), threading.Event()

    async def listen() -> None:
        async with asyncssh.listen(
            "127.0.0.1", 0, server_factory=_Lets, server_host_keys=[host_key]
        ) as found:
            port.append(found.get_port())
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    try:
        assert ready.wait(10)
        with pytest.raises(UpstreamError):
            log_in({"host": "127.0.0.1", "port": port[0], "user": "deploy"}, key)
    finally:
        done.set()
        thread.join(10)


def test_when_tests_are_over_no_descriptor_and_thread_is_left(sshd: SshServer, key: UserKey) -> None:
    """After logins that went well and ones that didn't."""

    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    def both() -> None:
        log_in(sshd.fields, key)
        with pytest.raises(UpstreamAuthFailed):
            log_in(sshd.fields, new_key())

    both()
    before = counts()
    for _ in range(10):
        both()
    wait_until(lambda: counts() == before, deadline_s=20, what="everything to be let go of")
