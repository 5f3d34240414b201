"""`.connect()` of an SSH handle: a paramiko client that the broker logs in, the host keys that count, its end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.broker.ssh_world import SshWorld, ssh_world
from tests.support.broker.ssh_world import key as key
from tests.support.broker.ssh_world import world as world
from tests.support.servers.sshd import SshServer, UserKey, new_key
from tests.support.servers.sshd import sshd as sshd

_ALIVE = "c.get_transport() is not None and c.get_transport().is_active()"

# What this process has open besides the first one of its kind: threads of ours or paramiko's, and descriptors.
_COUNTS = "[sum('connvault-ssh' in t.name or 'paramiko' in repr(t) for t in threading.enumerate()), len(os.listdir('/proc/self/fd'))]"  # noqa: E501 -- one expression


@pytest.fixture
def cell(world: SshWorld, key: UserKey) -> Iterator[RequesterProcess]:
    with world.asking(world.define(key, host_key=world.sshd.host_key)) as asking:
        yield asking


def settled(cell: RequesterProcess) -> list[int]:
    """The counts when no session is left: threads end a moment after what they served."""

    def counted() -> list[int] | None:
        found: list[int] = cell.run(f"[gc.collect(), {_COUNTS}][1]")
        return None if found[0] else found

    return wait_until(counted, deadline_s=20, what="the sessions' threads to end")


def refused(cell: RequesterProcess, line: str = "h.connect(timeout_s=5)") -> Refused:
    with pytest.raises(Refused) as caught:
        cell.run(line)
    return caught.value


def test_a_connected_client_runs_commands_and_moves_files(cell: RequesterProcess, tmp_path: Path) -> None:
    """A paramiko client like any other."""
    cell.run("import paramiko; c = h.connect()")
    assert cell.run("isinstance(c, paramiko.SSHClient)") is True
    assert cell.run("c.exec_command('echo hello')[1].read().decode()") == "hello\n"
    cell.run(f"s = c.open_sftp(); s.open({str(tmp_path / 'made')!r}, 'w').write('there'); s.close()")
    assert (tmp_path / "made").read_text() == "there"


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp384", "ssh-rsa"])
def test_a_key_of_any_kind_connects(world: SshWorld, key: UserKey, kind: str) -> None:
    """For RSA, paramiko says which hash by a flag."""
    made = new_key(kind)
    world.sshd.let_in(key, made)
    with world.asking(world.define(made, host_key=world.sshd.host_key)) as cell:
        assert cell.run("h.connect().exec_command('echo hello')[1].read().decode()") == "hello\n"


def test_when_the_connection_has_no_host_key_known_hosts_counts(world: SshWorld, key: UserKey) -> None:
    """An unknown host is refused, and nothing is added by itself; a known one is let pass."""
    known = world.home / ".ssh" / "known_hosts"
    with world.asking(world.define(key)) as cell:
        found = refused(cell)
        assert found.kind == "UpstreamTlsFailed"
        assert "not known" in str(found)
        assert not known.exists()
        known.parent.mkdir(mode=0o700)
        known.write_text(world.sshd.known_hosts.read_text())
        try:
            assert cell.run("h.connect().exec_command('echo hello')[1].read().decode()") == "hello\n"
        finally:
            known.unlink()
            known.parent.rmdir()


def test_a_host_with_another_key_is_refused_and_nothing_signed(world: SshWorld, key: UserKey) -> None:
    """Before the login."""
    with world.asking(world.define(key, host_key=new_key().public)) as cell:
        found = refused(cell)
        assert found.kind == "UpstreamTlsFailed"
        assert "host key is not the one" in str(found)
        assert found.details["connection"].startswith("'build-")
        assert cell.run("h.last_refusal") is None


def test_a_key_that_the_server_does_not_know_is_a_failed_login(world: SshWorld) -> None:
    """A typed error, without the server's words."""
    with world.asking(world.define(new_key(), host_key=world.sshd.host_key)) as cell:
        assert refused(cell).kind == "UpstreamAuthFailed"


def test_a_key_that_needs_a_passphrase_is_told(world: SshWorld) -> None:
    """The relay's words come through the agent."""
    locked = new_key(passphrase="open sesame")
    name = world.define(UserKey(locked.private, locked.public), host_key=world.sshd.host_key)
    with world.asking(name) as cell:
        found = refused(cell)
        assert found.kind == "SecretInvalid"
        assert "Enter its passphrase" in str(found)


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_where_logins_must_be_bound_the_client_shows_the_hosts_signature(
    key: UserKey, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever kind of key the host has; the same by default and if it was chosen."""
    server = SshServer(tmp_path_factory.mktemp("sshd"), host_key=new_key(kind))
    server.let_in(key)
    server.start()
    try:
        with ssh_world(server) as world:
            for chosen in ({}, {"bound_only": True}):
                with world.asking(world.define(key, host_key=server.host_key, **chosen)) as cell:
                    cell.run("c = h.connect()")
                    assert cell.run("c.exec_command('echo hello')[1].read().decode()") == "hello\n"
    finally:
        server.stop()


def test_without_the_hosts_signature_the_error_says_what_to_do(cell: RequesterProcess) -> None:
    """A later paramiko may keep it elsewhere: no login then, and no other way of asking for one."""
    cell.run("import connvault_jupyter.kernel.clients.ssh.client as s\ns._HostProof.found = lambda *_: None")
    found = refused(cell)
    assert found.kind == "NotAllowed"
    assert "name their host's key" in str(found)


def test_when_the_session_changes_its_keys_the_first_exchange_counts(cell: RequesterProcess) -> None:
    """Its hash is the session's name for good (RFC 4253 7.2)."""
    cell.run("c = h.connect(); c.get_transport().renegotiate_keys()")
    assert cell.run("c.exec_command('echo hello')[1].read().decode()") == "hello\n"


def test_an_ssh_host_where_nobody_listens_is_unreachable(world: SshWorld, key: UserKey) -> None:
    """At once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with world.asking(world.define(key, host_key=world.sshd.host_key, port=port)) as cell:
        assert refused(cell).kind == "UpstreamUnreachable"


@pytest.mark.parametrize("greeting", [b"", b"220 mail.example.com ESMTP\r\n" * 200])
def test_a_host_that_does_not_speak_ssh_is_given_up(world: SshWorld, key: UserKey, greeting: bytes) -> None:
    """A silent listener, and one of another kind."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        name = world.define(key, host_key=world.sshd.host_key, port=other.getsockname()[1])
        with world.asking(name) as cell:
            cell.begin("h.connect(timeout_s=1)")
            stream, _ = other.accept()
            with stream:
                stream.sendall(greeting)
                with pytest.raises(Refused) as caught:
                    cell.finish()
    assert caught.value.kind in ("UpstreamRefused", "UpstreamTimeout")
    assert "mail.example.com" not in str(caught.value)


def test_when_the_permission_is_taken_back_the_client_is_closed(
    cell: RequesterProcess, world: SshWorld
) -> None:
    """Within moments, though the broker is not on the session's way; and the next one is refused."""
    cell.run("c = h.connect()")
    assert cell.run(_ALIVE) is True
    world.operator.revoke_all()
    wait_until(lambda: cell.run(_ALIVE) is False, deadline_s=20, what="the client's end")
    assert refused(cell).kind == "HandleInvalid"


def test_what_a_closed_client_says_is_about_its_handle(cell: RequesterProcess, world: SshWorld) -> None:
    """paramiko only knows that there is no session any more."""
    cell.run("from connvault_jupyter.kernel import api\nc = h.connect()")
    world.operator.revoke_all()
    wait_until(lambda: cell.run(_ALIVE) is False, deadline_s=20, what="the client's end")
    cell.run(
        "def why():\n"
        "    try: c.exec_command('true')\n"
        "    except Exception as exc: return [x.details['reason'] for x in api.ended(exc)]\n"
    )
    assert cell.run("why()") == ["revoked"]


def test_when_the_vault_is_locked_the_client_is_closed(cell: RequesterProcess, world: SshWorld) -> None:
    """As every session of a handle."""
    cell.run("c = h.connect()")
    world.operator.call("vault.lock")
    try:
        wait_until(lambda: cell.run(_ALIVE) is False, deadline_s=20, what="the client's end")
        assert refused(cell).kind == "VaultLocked"
    finally:
        world.operator.set_up()


def test_when_sessions_end_nothing_is_left(cell: RequesterProcess) -> None:
    """Neither threads nor descriptors, whoever ends them: this side, or the server's."""
    cell.run("import threading, gc; h.connect().close()")
    before = settled(cell)
    cell.run("for _ in range(5): h.connect().close()")
    cell.run("ended = [h.connect() for _ in range(5)]")
    cell.run("for c in ended: c.exec_command('kill $PPID')[1].read()")
    cell.run("c = ended = None")
    assert settled(cell) == before


def test_when_the_client_is_forgotten_the_session_is_still_cut(
    cell: RequesterProcess, world: SshWorld
) -> None:
    """paramiko keeps it open, and what was opened on it can be used."""
    cell.run("import gc\nout = h.connect().exec_command('echo hello; cat')[1]; gc.collect()")
    assert cell.run("out.readline()") == "hello\n"
    world.operator.revoke_all()
    assert cell.run("out.read().decode()") == ""


def test_when_a_login_fails_nothing_is_left(world: SshWorld) -> None:
    """Five times refused by the server."""
    with world.asking(world.define(new_key(), host_key=world.sshd.host_key)) as cell:
        cell.run("import threading, gc, paramiko")
        refused(cell)
        before = settled(cell)
        for _ in range(5):
            refused(cell)
        assert settled(cell) == before


def test_when_paramiko_is_missing_the_message_is_the_command(cell: RequesterProcess) -> None:
    """To run in this kernel."""
    found = refused(cell, "import sys\nsys.modules['paramiko'] = None\nh.connect()")
    assert found.kind == "ImportError"
    assert 'pip install "connvault-jupyter[ssh]"' in str(found)
