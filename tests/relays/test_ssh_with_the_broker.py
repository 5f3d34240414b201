"""SSH on the whole path: consent, agent, real sshd; programs of all kinds log in, and no kernel ever has the key."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.broker.process_sinks import memory
from tests.support.broker.processes import clean_environment, wait_until
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.broker.ssh_world import SshWorld
from tests.support.broker.ssh_world import key as key
from tests.support.broker.ssh_world import world as world
from tests.support.servers.sshd import UserKey, new_key
from tests.support.servers.sshd import sshd as sshd

_HELLO = "ssh(h._handle_ref.open().fields['user'] + '@127.0.0.1', 'echo hello')"

# Fifty logins at once, each with a connection of its own to the agent.
_FIFTY = """
import asyncio, asyncssh
async def one(number, fields):
    async with asyncssh.connect(fields["host"], fields["port"], username=fields["user"],
                                agent_path=path, known_hosts=known, config=None) as connection:
        assert connection.get_extra_info("username") == fields["user"]
        return number
async def all_of_them(fields):
    return sorted(await asyncio.gather(*(one(number, fields) for number in range(50))))
path = h.agent_socket
"""


@pytest.fixture(scope="module")
def name(world: SshWorld, key: UserKey) -> str:
    """A connection that is used by tests that leave it as it is."""
    return world.define(key, host_key=world.sshd.host_key)


@pytest.fixture
def unbound(world: SshWorld, key: UserKey) -> Iterator[RequesterProcess]:
    """Of a connection whose owner lets programs log in that can't name the host."""
    with world.asking(world.define(key, host_key=world.sshd.host_key, bound_only=False)) as asking:
        yield asking


@pytest.fixture
def cell(world: SshWorld, name: str) -> Iterator[RequesterProcess]:
    with world.asking(name) as asking:
        yield asking


def test_the_ssh_program_logs_in_with_the_agent(cell: RequesterProcess) -> None:
    """The story; the handle says how it is delivered."""
    assert "brokered" in cell.run("repr(h)")
    assert cell.run(_HELLO) == [0, "hello", ""]


@pytest.mark.parametrize(
    "kind",
    [
        ("ssh-ed25519", "openssh", ""),
        ("ssh-ed25519", "openssh", "open sesame"),
        ("ecdsa-sha2-nistp256", "pkcs8-pem", ""),
        ("ecdsa-sha2-nistp521", "openssh", "open sesame"),
        ("ssh-rsa", "pkcs1-pem", ""),
        ("ssh-rsa", "pkcs8-pem", "open sesame"),
    ],
    ids=" ".join,
)
def test_a_key_of_any_kind_logs_in(world: SshWorld, key: UserKey, kind: tuple[str, str, str]) -> None:
    """Through ssh, and through the relay's own login of the connection test."""
    made = new_key(kind[0], form=kind[1], passphrase=kind[2])
    world.sshd.let_in(key, made)
    name = world.define(made)
    assert world.test(name)["server"].startswith("OpenSSH ")
    with world.asking(name) as cell:
        assert cell.run(_HELLO) == [0, "hello", ""]


def test_git_clones_and_pushes_with_the_agent(
    cell: RequesterProcess, world: SshWorld, tmp_path: Path
) -> None:
    """With the variable that the provider promises, and the user and port in the address."""
    bare, clone = tmp_path / "bare.git", tmp_path / "clone"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
    known = world.sshd.known_hosts
    cell.run(
        f"""
e = {{**os.environ, **h.env(),
     "GIT_SSH_COMMAND": "ssh -F none -o IdentityFile=none -o UserKnownHostsFile={known}",
     "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}}
def git(*words): subprocess.run(["git", *words], env=e, check=True, timeout=60, capture_output=True)
git("clone", "ssh://{world.sshd.user}@127.0.0.1:{world.sshd.port}{bare}", "{clone}")
git("-C", "{clone}", "commit", "--allow-empty", "-m", "pushed through the agent")
git("-C", "{clone}", "push", "origin", "HEAD:main")
"""
    )
    log = subprocess.run(["git", "-C", bare, "log", "--format=%s", "main"], check=True, capture_output=True)
    assert log.stdout == b"pushed through the agent\n"


def test_when_fifty_clients_log_in_at_once_all_get_in(unbound: RequesterProcess, world: SshWorld) -> None:
    """asyncssh, each with its own connection to the agent."""
    unbound.run(_FIFTY)
    unbound.run(f"known = asyncssh.read_known_hosts({str(world.sshd.known_hosts)!r})")
    assert unbound.run("asyncio.run(all_of_them(h._handle_ref.open().fields))") == list(range(50))


def test_paramikos_own_agent_client_logs_in(unbound: RequesterProcess, world: SshWorld) -> None:
    """paramiko's own agent client, by SSH_AUTH_SOCK."""
    unbound.run(
        f"""
import paramiko
os.environ["SSH_AUTH_SOCK"] = h.agent_socket
c = paramiko.SSHClient(); c.load_host_keys({str(world.sshd.known_hosts)!r})
c.connect("127.0.0.1", {world.sshd.port}, "{world.sshd.user}", look_for_keys=False)
said = c.exec_command("echo hello")[1].read().decode(); c.close()
"""
    )
    assert unbound.run("said") == "hello\n"


def test_a_signature_of_a_commit_is_refused_with_a_reason(cell: RequesterProcess, tmp_path: Path) -> None:
    """A signature of a file is good everywhere: it is no login."""
    public = tmp_path / "key.pub"
    cell.run(
        f"""
listed = subprocess.run(["ssh-add", "-L"], env=environment(), capture_output=True, text=True, check=True).stdout
open({str(public)!r}, "w").write(listed)
signed = subprocess.run(["ssh-keygen", "-Y", "sign", "-n", "git", "-f", {str(public)!r}], env=environment(),
                        input="tree 1", capture_output=True, text=True)
"""
    )
    assert cell.run("signed.returncode") != 0
    assert "This key signs logins only" in cell.run("h.last_refusal")


@pytest.mark.parametrize("words", ["-D", "-x", "-d {public}", "{private}"])
def test_adding_removing_and_locking_keys_is_refused(
    cell: RequesterProcess, tmp_path: Path, words: str
) -> None:
    """ssh-add against the agent: the one key stays the one key."""
    other, public = new_key(), tmp_path / "key.pub"
    private = tmp_path / "other"
    private.write_text(other.private)
    private.chmod(0o600)
    list_ = "subprocess.run(['ssh-add', '-L'], env=environment(), capture_output=True, text=True).stdout"
    before = cell.run(list_)
    public.write_text(before)
    arguments = words.format(public=public, private=private).split()
    code = cell.run(
        f"subprocess.run(['ssh-add', *{arguments!r}], env={{**environment(), 'SSH_ASKPASS': '/bin/true',"
        " 'SSH_ASKPASS_REQUIRE': 'force'}, capture_output=True).returncode"
    )
    assert code != 0
    assert cell.run(list_) == before


def test_a_login_for_another_user_is_refused(world: SshWorld, key: UserKey) -> None:
    """The connection names one; what the server would allow does not matter."""
    with world.asking(world.define(key, user="deploy")) as cell:
        assert cell.run(f"ssh('{world.sshd.user}@127.0.0.1', 'true')[0]") == 255
        assert "another user" in cell.run("h.last_refusal")


def test_a_host_that_shows_another_key_is_refused(world: SshWorld, key: UserKey) -> None:
    """ssh tells the agent with whom its session is, and the host has signed it."""
    with world.asking(world.define(key, host_key=new_key().public)) as cell:
        assert cell.run(_HELLO)[0] == 255
        assert "not the one in the connection" in cell.run("h.last_refusal")


@pytest.mark.parametrize("chosen", [{}, {"bound_only": True}], ids=["by default", "chosen"])
def test_when_only_bound_logins_are_signed_ssh_gets_in_and_asyncssh_does_not(
    world: SshWorld, key: UserKey, chosen: dict[str, bool]
) -> None:
    """The one tells the host, the other does not; with a host key that is what a connection begins with."""
    with world.asking(world.define(key, host_key=world.sshd.host_key, **chosen)) as cell:
        assert cell.run(_HELLO) == [0, "hello", ""]
        cell.run(_FIFTY + "known = None")
        with pytest.raises(Refused) as caught:
            cell.run("asyncio.run(one(1, h._handle_ref.open().fields))")
        assert caught.value.kind == "PermissionDenied"
        assert "name their host's key" in cell.run("h.last_refusal")
        assert cell.run("h.connect().exec_command('echo hello')[1].read().decode()") == "hello\n"


def test_when_the_agent_is_forwarded_the_other_machine_gets_no_signature(
    cell: RequesterProcess, world: SshWorld
) -> None:
    """`ssh -A`: from over there, the same key opens nothing."""
    there = (
        f"ssh -F none -o BatchMode=yes -o IdentityFile=none -o StrictHostKeyChecking=yes "
        f"-o UserKnownHostsFile={world.sshd.known_hosts} -p {world.sshd.port} {world.sshd.user}@127.0.0.1 true"
    )
    assert cell.run(f"ssh('-A', '{world.sshd.user}@127.0.0.1', {there!r})")[0] == 255
    assert "forwarded" in cell.run("h.last_refusal")
    plain = there.replace("ssh -F", "ssh -a -F")
    assert "denied" in cell.run(f"ssh('{world.sshd.user}@127.0.0.1', {plain!r})")[2].lower()


def test_when_the_key_is_replaced_the_next_login_has_the_new_one(world: SshWorld, key: UserKey) -> None:
    """In the vault and at the server, with the same handle."""
    old, new = new_key(), new_key()
    world.sshd.let_in(key, old)
    name = world.define(old)
    with world.asking(name) as cell:
        assert cell.run(_HELLO)[0] == 0
        world.sshd.let_in(key, new)
        assert cell.run(_HELLO)[0] == 255
        world.rotate(name, new)
        assert cell.run(_HELLO) == [0, "hello", ""]


def test_when_the_secret_is_no_key_the_agent_is_empty_and_says_why(world: SshWorld, key: UserKey) -> None:
    """The connection test says the same."""
    name = world.define(UserKey(key.public, key.public))
    outcome = world.test(name)
    assert not outcome["ok"]
    assert outcome["code"] == "secret_invalid"
    with world.asking(name) as cell:
        assert cell.run(_HELLO)[0] == 255
        assert "public half" in cell.run("h.last_refusal")


def test_when_the_server_restarts_the_next_login_works(cell: RequesterProcess, world: SshWorld) -> None:
    """The agent never knew of it."""
    assert cell.run(_HELLO)[0] == 0
    world.sshd.stop()
    try:
        assert cell.run(_HELLO)[0] == 255
    finally:
        world.sshd.start()
    assert cell.run(_HELLO) == [0, "hello", ""]


def test_another_process_at_the_agent_is_refused(cell: RequesterProcess, world: SshWorld) -> None:
    """Of the same user, with the right path: this test's own process has asked nobody."""
    listed = subprocess.run(
        ["ssh-add", "-L"],
        env={**clean_environment(world.home), "SSH_AUTH_SOCK": cell.run("h.agent_socket")},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert listed.returncode != 0
    assert b"ssh-ed25519" not in listed.stdout


def test_when_the_permission_is_taken_back_an_open_ssh_goes_on_and_the_next_does_not(
    world: SshWorld, name: str
) -> None:
    """An agent is not on the session's way: it can refuse signatures, and nothing else."""
    with world.asking(name) as cell:
        cell.run(
            "f = ['ssh', '-F', 'none', '-o', 'IdentityFile=none', '-o', 'UserKnownHostsFile=' + "
            f"{str(world.sshd.known_hosts)!r}, '-p', '{world.sshd.port}', '{world.sshd.user}@127.0.0.1', 'cat']\n"
            "p = subprocess.Popen(f, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "p.stdin.write(b'before\\n'); p.stdin.flush(); first = p.stdout.readline().decode()\n"
            "path = h.agent_socket; sock = environment()"
        )
        assert cell.run("first") == "before\n"
        world.operator.revoke_all()
        wait_until(lambda: not os.path.exists(cell.run("path")), deadline_s=20, what="the agent's end")
        cell.run("p.stdin.write(b'after\\n'); p.stdin.flush(); second = p.stdout.readline().decode()")
        assert cell.run("second") == "after\n"
        cell.run("p.stdin.close(); p.wait()")
        with pytest.raises(Refused) as caught:
            cell.run("h.agent_socket")
        assert caught.value.kind == "HandleInvalid"
        assert cell.run("subprocess.run(f, env=sock, stdin=subprocess.DEVNULL).returncode") == 255


def test_when_signatures_are_given_each_is_on_record(cell: RequesterProcess, world: SshWorld) -> None:
    """As a use, before it is given."""
    events = world.operator.call("audit.list", {"limit": 500})["events"]
    before = sum(event["type"] == "access:used" for event in events)
    assert cell.run(_HELLO)[0] == 0
    events = world.operator.call("audit.list", {"limit": 500})["events"]
    # Its list of keys, and one signature.
    assert sum(event["type"] == "access:used" for event in events) == before + 2


def _needles(key: UserKey) -> dict[str, bytes]:
    """Every form of the key that could be somewhere: the text's lines, and the 32 bytes that the key is."""
    opened = asyncssh.import_private_key(key.private)
    seed = cast(Ed25519PrivateKey, opened.pyca_key).private_bytes_raw()
    lines = key.private.splitlines()
    return {
        # The first line is the same in every key, the last is padding.
        **{f"line {number}": line.encode() for number, line in enumerate(lines[3:-2])},
        "seed": seed,
        "seed in hex": seed.hex().encode(),
        "seed in base64": base64.b64encode(seed)[:-4],
        "seed reversed": seed[::-1],
    }


def _found_in_memory(pid: int, needles: dict[str, bytes]) -> set[str]:
    return {name for sink in memory(pid) for name, needle in needles.items() if needle in sink.content}


def test_when_everything_was_used_the_key_is_nowhere_in_the_kernels_memory(
    unbound: RequesterProcess, key: UserKey, tmp_path: Path
) -> None:
    """After ssh, asyncssh, paramiko and our own opener; the control shows that the search would find it."""
    cell, needles = unbound, _needles(key)
    cell.run(_FIFTY + "known = None")
    assert cell.run(_HELLO)[0] == 0
    cell.run("c = h.connect(); asyncio.run(one(1, h._handle_ref.open().fields))")
    assert _found_in_memory(cell.process.pid, needles) == set()
    path = tmp_path / "key"
    path.write_text(key.private)
    cell.run(f"text = open({str(path)!r}).read(); opened = asyncssh.import_private_key(text)")
    cell.run("raw = opened.pyca_key.private_bytes_raw()")
    assert {"line 0", "seed"} <= _found_in_memory(cell.process.pid, needles)
