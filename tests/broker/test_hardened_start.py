"""How a process that is to have secrets begins: closed, alone with its owner, in a copy of itself where it was open."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.broker import hardened_start, hardening, spawn, unreadable_exec, waiting_parent
from connvault_jupyter.errors import BrokerUnavailable, ProcessTraced
from tests.support.broker.processes import wait_until
from tests.support.broker.unprivileged import run_unprivileged

DEADLINE_S = 20.0

# What a started process does here: it tells its own and its parent's pid on its channel, then waits for the end of it.
TELLS = """
import os, sys
from connvault_jupyter.broker.hardened_start import start
started = start(int(sys.argv[1]), ends_with_owner=True)
started.channel.sendall(f"{os.getpid()} {os.getppid()} {started.owner_pid}".encode())
while started.channel.recv(1):
    pass
os._exit(5)
"""

# As an ordinary user: the same, and whether it was closed when it began.
UNREADABLE = """
import json, os, sys
from connvault_jupyter.broker import hardening, spawn
hardening.become_non_dumpable()
begins = "from connvault_jupyter.broker.hardening import is_open; was_open = is_open()"
spawned = spawn.Spawner(("-c", begins + sys.argv[1].replace("} {os", "} {was_open} {os")))(os.environ)
channel, pid = spawned.meet()
own, was_open, *_ = channel.recv(99).decode().split()
channel.close()
print(json.dumps([pid == spawned.process.pid == int(own), was_open, spawned.process.wait()]))
"""


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the system can't close a process from its first instruction."""
    monkeypatch.setattr(spawn, "unreadable_loader", lambda: None)


def started(code: str = TELLS) -> spawn.Spawned:
    return spawn.Spawner(("-c", code))(os.environ)


@pytest.fixture
def copied(plain: None) -> Iterator[tuple[spawn.Spawned, socket.socket, int]]:
    """A process that has gone on in a copy: what was spawned, the channel, and the copy's pid."""
    spawned = started()
    channel, pid = spawned.meet()
    with channel:
        yield spawned, channel, pid
    spawned.process.wait(DEADLINE_S)


def runs(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_a_process_that_was_open_goes_on_in_a_copy_of_itself(
    copied: tuple[spawn.Spawned, socket.socket, int],
) -> None:
    """The first one is the copy's parent and only waits; the owner stays the owner."""
    spawned, channel, pid = copied
    own, parent, owner = map(int, channel.recv(99).split())
    assert (own, parent, owner) == (pid, spawned.process.pid, os.getpid())
    assert pid != spawned.process.pid
    assert psutil.Process(spawned.process.pid).name() == waiting_parent.NAME


def test_a_process_that_never_was_open_stays_one(tmp_path: Path) -> None:
    """An ordinary user's, which can execute what it can't read."""
    same, was_open, status = json.loads(run_unprivileged(UNREADABLE, TELLS, home=tmp_path))
    assert (same, was_open, status) == (True, "False", 5)


def test_the_waiting_process_ends_as_its_copy_does(copied: tuple[spawn.Spawned, socket.socket, int]) -> None:
    """By itself, with its status."""
    spawned, channel, _ = copied
    channel.shutdown(socket.SHUT_WR)
    assert spawned.process.wait(DEADLINE_S) == 5


def test_the_waiting_process_ends_by_its_copys_signal(
    copied: tuple[spawn.Spawned, socket.socket, int],
) -> None:
    """So that whoever waits for it sees a killed process."""
    spawned, _, pid = copied
    os.kill(pid, signal.SIGKILL)
    assert spawned.process.wait(DEADLINE_S) == -signal.SIGKILL


def test_a_signal_to_the_waiting_process_reaches_its_copy(
    copied: tuple[spawn.Spawned, socket.socket, int],
) -> None:
    spawned, _, pid = copied
    spawned.process.terminate()
    assert spawned.process.wait(DEADLINE_S) == -signal.SIGTERM
    assert not runs(pid)


def test_a_killed_waiting_process_takes_its_copy_along(
    copied: tuple[spawn.Spawned, socket.socket, int],
) -> None:
    """Nothing with a key stays behind that nobody waits for."""
    spawned, _, pid = copied
    spawned.process.kill()
    wait_until(lambda: not runs(pid), deadline_s=DEADLINE_S, what="the copy's end")


# In a terminal of its own: one Ctrl-C, then a signal to the process that was started.
WAITED_FOR = """
import signal
from connvault_jupyter.broker.waiting_parent import continue_in_child
continue_in_child()
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append("int"))
signal.signal(signal.SIGTERM, lambda *_: heard.append("term"))
print("ready", flush=True)
while "term" not in heard:
    signal.pause()
print("heard", *heard, "end", flush=True)
"""
IN_A_TERMINAL = r"""
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
said = b""
for awaited, act in (
    (b"ready", lambda: os.write(terminal, b"\x03")),
    # The terminal shows a key when it has sent its signal.
    (b"^C", lambda: os.kill(pid, signal.SIGTERM)),
    (b"end", lambda: None),
):
    while awaited not in said:
        said += os.read(terminal, 100)
    act()
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(said[said.index(b"heard"):].decode().split(), status)
"""


def test_keys_of_a_terminal_reach_the_copy_once() -> None:
    """Jupyter asks at the first Ctrl-C and ends at a second: passing it on would be that second."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL, WAITED_FOR],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "['heard', 'int', 'term', 'end'] 0"


def test_the_first_process_itself_is_not_believed(plain: None) -> None:
    """While it was open, others could have had its descriptors, those of a channel too."""
    code = """
import socket, sys
line = socket.socket(fileno=int(sys.argv[1]))
ours, theirs = socket.socketpair()
socket.send_fds(line, [b"+"], [theirs.fileno()])
theirs.close()
ours.recv(1)
"""
    spawned = started(code)
    with pytest.raises(BrokerUnavailable, match="Another process"):
        spawned.meet()
    assert spawned.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("word", [b"+", b"?", b"++"])
def test_a_word_without_a_channel_is_refused(plain: None, word: bytes) -> None:
    """Nobody knows who would hear what is said next."""
    code = f"import socket, sys; socket.socket(fileno=int(sys.argv[1])).sendall({word!r})"
    spawned = started(code)
    with pytest.raises(BrokerUnavailable):
        spawned.meet()
    spawned.process.wait(DEADLINE_S)


def test_a_process_that_ends_at_once_is_unavailable(plain: None) -> None:
    """Its end is the end of what was inherited."""
    spawned = started("")
    with pytest.raises(BrokerUnavailable):
        spawned.meet()
    spawned.process.wait(DEADLINE_S)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [("return 7", ProcessTraced, "debugger"), ("raise FileNotFoundError", BrokerUnavailable, "Mount /proc")],
)
def test_what_a_debugger_could_be_attached_to_does_not_start(
    plain: None, answer: str, error: type[Exception], words: str
) -> None:
    """Also where nobody can tell, because /proc is not there."""
    code = f"""
from connvault_jupyter.broker import hardened_start
def tracer_of(pid=None):
    {answer}
hardened_start.tracer_of = tracer_of
"""
    spawned = started(code + TELLS)
    with pytest.raises(error, match=words):
        spawned.meet()
    assert spawned.process.wait(DEADLINE_S) == 1


def test_the_owner_looks_for_a_debugger_itself(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a traced process reads of itself is up to its tracer."""
    monkeypatch.setattr(spawn, "tracer_of", lambda pid: 1 if pid != os.getpid() else 0)
    spawned = started()
    with pytest.raises(ProcessTraced):
        spawned.meet()
    spawned.process.wait(DEADLINE_S)


def test_the_channel_is_not_inherited_by_what_the_owner_starts(
    copied: tuple[spawn.Spawned, socket.socket, int],
) -> None:
    """Kernels are started beside it."""
    assert not os.get_inheritable(copied[1].fileno())


@pytest.mark.parametrize(("ends", "again"), [("exit 127", False), ("kill -9 $$", True)])
def test_where_the_loader_fails_the_next_start_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, again: bool
) -> None:
    """It says so by its status. A signal, which anybody of the user can send, changes nothing."""
    asked = []

    def loader() -> int:
        asked.append(True)
        return os.open(script, os.O_PATH)

    script = tmp_path / "loader"
    script.write_text(f"#!/bin/sh\n{ends}\n")
    script.chmod(0o700)
    monkeypatch.setattr(spawn, "unreadable_loader", loader)
    spawner = spawn.Spawner(("-c", ""))
    for _ in range(2):
        spawned = spawner(os.environ)
        with pytest.raises(BrokerUnavailable):
            spawned.meet()
        spawned.process.wait(DEADLINE_S)
    assert len(asked) == 1 + again


def test_a_hardening_that_has_worked_once_is_never_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody could have used up the descriptors that it takes."""
    found = [os.open("/bin/true", os.O_PATH)]
    monkeypatch.setattr(spawn, "unreadable_loader", lambda: found.pop() if found else None)
    spawner = spawn.Spawner(("-c", ""))
    spawned = spawner(os.environ)
    spawned._tried(worked=True)
    with pytest.raises(BrokerUnavailable):
        spawned.meet()
    spawned.process.wait(DEADLINE_S)
    with pytest.raises(OSError, match="closed"):
        spawner(os.environ)


class TestOnMacOS:
    """What is done there, as far as it can be looked at elsewhere."""

    @pytest.fixture(autouse=True)
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        calls: list[Any] = []

        class Library:
            @staticmethod
            def ptrace(*arguments: Any) -> int:
                calls.append(arguments)
                return 0

        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
        monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
        return calls

    def test_debuggers_are_denied_and_nothing_is_claimed(self, calls: list[Any]) -> None:
        """PT_DENY_ATTACH is 31; there is no flag that closes the memory and no TracerPid."""
        hardening.deny_debuggers()
        assert calls == [(31, 0, None, 0)]
        assert hardening.is_open()
        assert not hardening.become_non_dumpable()
        assert hardening.tracer_of(1) == 0
        assert unreadable_exec.unreadable_loader() is None

    def test_the_inherited_end_stays_the_channel(self) -> None:
        """Both sides agree on that."""
        ours, theirs = socket.socketpair()
        found = hardened_start.start(theirs.detach(), ends_with_owner=True)
        with ours, found.channel:
            assert (found.owner_pid, found.non_dumpable) == (os.getppid(), False)
            ours.sendall(b"!")
            assert found.channel.recv(1) == b"!"


def test_elsewhere_than_on_macos_debuggers_are_not_denied_but_looked_for() -> None:
    """This test has none."""
    hardening.deny_debuggers()
    assert hardening.tracer_of() == hardening.tracer_of(os.getpid()) == 0
