"""Through a brokered handle for one SSH host: logging in at another one that knows the key, by clients of all kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connvault_jupyter.errors import SecretMissing
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.broker.ssh_world import SshWorld
from tests.support.broker.ssh_world import key as key
from tests.support.broker.ssh_world import world as world
from tests.support.servers.sshd import SshServer, UserKey
from tests.support.servers.sshd import sshd as sshd

# What the attacker's cell has: clients that tell the agent nothing, and one that tells it what it likes. Each returns
# what a command said on the other host.
_CLIENTS = """
import asyncio, os, socket, struct, subprocess
import asyncssh, paramiko
path = h.agent_socket

def by_asyncssh(host, port, user):
    async def one():
        async with asyncssh.connect(host, port, username=user, agent_path=path, known_hosts=None, config=None) as c:
            return (await c.run("echo in")).stdout.strip()
    return asyncio.run(one())

def by_paramiko(host, port, user):
    os.environ["SSH_AUTH_SOCK"] = path
    with paramiko.SSHClient() as c:
        c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        c.connect(host, port, user, look_for_keys=False)
        return c.exec_command("echo in")[1].read().decode().strip()

def by_ssh(host, port, user):
    done = subprocess.run(
        ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentityFile=none", "-o", "StrictHostKeyChecking=no",
         "-o", "UserKnownHostsFile=/dev/null", "-p", str(port), f"{user}@{host}", "echo in"],
        env={**os.environ, "SSH_AUTH_SOCK": path}, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    if done.returncode:
        raise PermissionError(done.stderr)
    return done.stdout.strip()

def string(value):
    return struct.pack(">I", len(value)) + value

# By hand: paramiko's session with the other host, an agent that is told lies about it.
def by_lies(host, port, user, told):
    agent = socket.socket(socket.AF_UNIX); agent.connect(path)
    def ask(message):
        agent.sendall(string(message))
        (length,) = struct.unpack(">I", agent.recv(4, socket.MSG_WAITALL))
        return agent.recv(length, socket.MSG_WAITALL)
    listed = ask(bytes([11]))
    blob = listed[9:9 + struct.unpack_from(">I", listed, 5)[0]]
    inner = paramiko.PKey.from_type_string("ssh-ed25519", blob)
    class Key(paramiko.PKey):
        public_blob = None
        def asbytes(self): return blob
        def get_name(self): return "ssh-ed25519"
        def can_sign(self): return True
        def sign_ssh_data(self, data, algorithm=None):
            for message in told(transport):
                ask(message)
            answer = ask(bytes([13]) + string(blob) + string(data) + bytes(4))
            if answer[0] != 14:
                raise paramiko.SSHException("not signed")
            return answer[5:]
        _fields = inner._fields
    with socket.create_connection((host, port)) as stream:
        transport = paramiko.Transport(stream)
        transport.start_client(timeout=10)
        try:
            transport.auth_publickey(user, Key())
            channel = transport.open_session(); channel.exec_command("echo in")
            return channel.makefile().read().decode().strip()
        finally:
            transport.close()

def bind(host_key, session, signature, forwarding=False):
    return bytes([27]) + string(b"session-bind@openssh.com") + string(host_key) + string(session) + \
        string(signature) + bytes([forwarding])

# A true binding of the connection's own host, from a session that is had with it.
def true_binding(host, port):
    kept = []
    class Transport(paramiko.Transport):
        def _verify_key(self, host_key, sig):
            super()._verify_key(host_key, sig)
            kept.append((host_key, self.session_id, sig))
    with socket.create_connection((host, port)) as stream:
        transport = Transport(stream)
        transport.start_client(timeout=10)
        transport.close()
    return kept[0]
"""

_LIES = {
    "nothing": "lambda t: []",
    "the right host, with no signature": "lambda t: [bind(real[0], t.session_id, b'')]",
    "the right host, with its signature of another session": "lambda t: [bind(real[0], t.session_id, real[2])]",
    "a session that is the right host's": "lambda t: [bind(*real)]",
    "the right host's, and then this one": "lambda t: [bind(*real), bind(real[0], t.session_id, real[2])]",
}


@pytest.fixture(scope="module")
def other(key: UserKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Another machine that lets the same key in, as a person's machines do."""
    server = SshServer(tmp_path_factory.mktemp("other"))
    server.let_in(key)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=[{}, {"bound_only": True}], ids=["by default", "chosen"])
def cell(request: pytest.FixtureRequest, world: SshWorld, key: UserKey) -> Iterator[RequesterProcess]:
    with world.asking(world.define(key, host_key=world.sshd.host_key, **request.param)) as asking:
        asking.run(_CLIENTS)
        yield asking


def at(server: SshServer) -> str:
    return f"'127.0.0.1', {server.port}, {server.user!r}"


@pytest.mark.parametrize("client", ["asyncssh", "paramiko", "ssh"])
def test_no_client_logs_in_at_another_host_when_the_host_key_is_known(
    cell: RequesterProcess, other: SshServer, client: str
) -> None:
    """Neither those that tell nothing of their host, nor the one that tells the truth."""
    with pytest.raises(Refused):
        cell.run(f"by_{client}({at(other)})")
    assert cell.run("h.last_refusal") is not None


@pytest.mark.parametrize("told", _LIES.values(), ids=_LIES.keys())
def test_no_lie_about_the_host_gets_a_signature_for_another(
    cell: RequesterProcess, world: SshWorld, other: SshServer, told: str
) -> None:
    """The host's own signature of this very session is what counts, and nobody else can make it."""
    cell.run(f"real = true_binding('127.0.0.1', {world.sshd.port})")
    with pytest.raises(Refused, match="not signed"):
        cell.run(f"by_lies({at(other)}, {told})")


def test_the_control_these_clients_log_in_where_nothing_is_known_of_the_host(
    world: SshWorld, key: UserKey, other: SshServer
) -> None:
    """Not stopped: with no host key in the connection, or where its owner has switched the binding off."""
    for fields in ({}, {"host_key": world.sshd.host_key, "bound_only": False}):
        with world.asking(world.define(key, **fields)) as cell:
            cell.run(_CLIENTS)
            for client in ("asyncssh", "paramiko"):
                assert cell.run(f"by_{client}({at(other)})") == "in"
            assert cell.run(f"by_lies({at(other)}, lambda t: [])") == "in"


def test_the_control_the_truth_about_the_right_host_is_signed_for(
    cell: RequesterProcess, world: SshWorld
) -> None:
    """The same hand-made client, with the session's own proof."""
    cell.run(
        """
kept = []
class Telling(paramiko.Transport):
    def _verify_key(self, host_key, sig):
        super()._verify_key(host_key, sig)
        kept.append((host_key, self.session_id, sig))
paramiko.Transport = Telling
"""
    )
    assert cell.run(f"by_lies({at(world.sshd)}, lambda t: [bind(*kept[-1])])") == "in"


def test_another_host_key_in_the_row_opens_no_key(world: SshWorld, key: UserKey, other: SshServer) -> None:
    """Nor does the switch: both are what the key is sealed for, so changing them asks for it again."""
    for change in ({"host_key": other.host_key}, {"host_key": None}, {"bound_only": False}):
        name = world.define(key, host_key=world.sshd.host_key)
        assert world.test(name)["ok"]
        world.change(name, **change)
        with pytest.raises(SecretMissing):
            world.test(name)
