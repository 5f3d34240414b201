"""Who is asking, of processes that are no kernel: scripts, programs, what has ended, and other users."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.broker.os_processes import LinuxProcesses
from connvault_jupyter.errors import BrokerUnavailable, NotAllowed
from tests.support.broker.peers import CONNECT, Here, kernel
from tests.support.broker.peers import here as here


def test_a_script_is_its_file_with_its_hash(here: Here) -> None:
    """Below the root it is one of the person's own files, so it may be remembered."""
    script = here.root / "job.py"
    script.write_text(CONNECT)
    with here.connected([sys.executable, str(script), here.path]) as (_, peer):
        first = here.peers.identify(peer)
    script.write_text(CONNECT + " # changed")
    with here.connected([sys.executable, str(script), here.path]) as (_, peer):
        second = here.peers.identify(peer)
    assert (first.kind, first.label, first.durable) == ("script", str(script), True)
    assert first.key.startswith(f"script:{script}#")
    assert first.key != second.key
    assert first.instance != second.instance


def test_a_script_outside_the_root_is_not_durable(
    here: Here, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Jupyter would not notice that it is replaced."""
    script = tmp_path_factory.mktemp("elsewhere") / "job.py"
    script.write_text(CONNECT)
    with here.connected([sys.executable, str(script), here.path]) as (_, peer):
        found = here.peers.identify(peer)
    assert (found.kind, found.durable) == ("script", False)


def test_an_entry_point_of_an_environment_below_the_root_is_not_durable(here: Here) -> None:
    """`ipython` is a file too, and runs anything."""
    (here.root / ".venv" / "bin").mkdir(parents=True)
    (here.root / ".venv" / "pyvenv.cfg").touch()
    script = here.root / ".venv" / "bin" / "tool"
    script.write_text(CONNECT)
    with here.connected([sys.executable, str(script), here.path]) as (_, peer):
        assert here.peers.identify(peer).durable is False


@pytest.mark.parametrize(
    "namespace",
    [
        ".local/bin/tool",
        ".local/lib/python3.11/site-packages/IPython/__main__.py",
        "usr/lib/python3/dist-packages/tool.py",
        ".pyenv/versions/3.11.7/lib/python3.11/pdb.py",
    ],
)
def test_an_installed_program_below_the_root_is_not_durable(here: Here, namespace: str) -> None:
    """It runs whatever it is told, so nothing lasting is given to it; here the root is somebody's home."""
    script = here.root / namespace
    script.parent.mkdir(parents=True)
    script.write_text(CONNECT)
    with here.connected([sys.executable, str(script), here.path]) as (_, peer):
        assert here.peers.identify(peer).durable is False


def test_a_process_with_other_files_under_our_names_is_detached(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a mount namespace or a root of its own, another file may lie where the script does."""
    script = here.root / "job.py"
    script.write_text(CONNECT)
    with here.connected([sys.executable, str(script), here.path]) as (process, peer):
        assert here.processes.sees_our_files(process.pid)
        monkeypatch.setattr(here.processes, "sees_our_files", lambda pid: False)
        found = here.peers.identify(peer)
    assert (found.kind, found.durable) == ("detached", False)


def test_a_process_that_has_ended_sees_nothing_of_ours() -> None:
    """What can't be read is not taken for the same."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not LinuxProcesses().sees_our_files(process.pid)
    assert LinuxProcesses().environment(process.pid) is None


def test_code_without_a_file_is_detached(here: Here) -> None:
    """It has no name that would mean the same tomorrow."""
    with here.connected(kernel(here)) as (process, peer):
        found = here.peers.identify(peer)
    assert (found.kind, found.durable) == ("detached", False)
    assert found.instance in found.key
    assert str(process.pid) in found.label


def test_another_user_s_process_is_refused(here: Here) -> None:
    """The file system should have kept it out already."""
    with here.connected(kernel(here)) as (_, peer), pytest.raises(NotAllowed):
        here.peers.identify(replace(peer, uid=os.geteuid() + 1))


def test_a_process_that_has_ended_is_refused(here: Here) -> None:
    """Its pid may be somebody else's by now."""
    process = subprocess.Popen(kernel(here), stdin=subprocess.DEVNULL)
    stream, peer = here.accept()
    process.wait()
    with stream, pytest.raises(BrokerUnavailable):
        here.peers.identify(peer)
    peer.close()


class _Ended(socket.socket):
    """What Linux 6.5 to 6.15 answer about a peer that is gone."""

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        if name == 77:
            raise OSError(errno.EINVAL, "")
        return super().getsockopt(level, name, size)


def test_a_peer_that_ended_before_it_was_looked_at_is_refused() -> None:
    """Without a pidfd for it, its pid is just a number that somebody else may have by now."""
    one, other = socket.socketpair()
    with other, _Ended(fileno=one.detach()) as stream, pytest.raises(OSError, match="Errno 22"):
        LinuxProcesses().peer(stream)


def test_a_reused_pid_is_not_taken_for_the_peer(here: Here) -> None:
    """The pidfd is the ended process's, whatever runs under its number now."""
    process = subprocess.Popen(kernel(here), stdin=subprocess.DEVNULL)
    stream, peer = here.accept()
    process.wait()
    with stream, pytest.raises(BrokerUnavailable):
        here.peers.identify(replace(peer, pid=os.getpid()))
    peer.close()
