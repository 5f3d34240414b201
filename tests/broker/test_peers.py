"""Who is asking: found out from real processes and real sockets, never from what is sent."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.broker.kernels import Kernels
from connvault_jupyter.broker.os_processes import LinuxProcesses, Peer, PidNamespace
from connvault_jupyter.broker.peers import Peers
from connvault_jupyter.contracts.access import Requester
from connvault_jupyter.contracts.supervision import Document, KernelRow, KernelTable
from connvault_jupyter.errors import BrokerUnavailable, NotAllowed
from connvault_jupyter.services.visible_names import visible

# Connects, says so, and stays until its standard input ends.
CONNECT = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"
# The same, one process further down.
VIA_CHILD = "import subprocess,sys; subprocess.run([sys.executable,'-c',sys.argv[2],sys.argv[1]])"


class Here:
    """A listening socket and what finds out about its peers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = str(root / "s")
        self.processes = LinuxProcesses()
        self.kernels = Kernels(processes=self.processes)
        self.manned: set[PidNamespace] = set()
        self.peers = Peers(
            processes=self.processes,
            kernels=self.kernels,
            server_root=str(root),
            owner_pid=os.getpid(),
            namespace=self.processes.namespace(),
            somebody_at=self.manned.__contains__,
        )
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(20)

    def accept(self) -> tuple[socket.socket, Peer]:
        stream, _ = self._listener.accept()
        return stream, self.processes.peer(stream)

    @contextmanager
    def connected(self, argv: list[str], **kwargs: Any) -> Iterator[tuple[subprocess.Popen[bytes], Peer]]:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, **kwargs)
        with process:
            stream, peer = self.accept()
            with stream:
                yield process, peer
            peer.close()
            assert process.stdin is not None
            process.stdin.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A server root of the test's own."""
    found = Here(tmp_path)
    yield found
    found.close()


def row(pid: int | None, *documents: Document, kernel_id: str = "k1", local: bool = True) -> KernelRow:
    return KernelRow(
        kernel_id=kernel_id, pid=pid, display_name="Python 3", local=local, documents=list(documents)
    )


def notebook(path: str = "a.ipynb", *, saved: bool = True) -> Document:
    return Document(path=path, type="notebook", saved=saved)


def told(here: Here, *rows: KernelRow) -> None:
    here.kernels.replace(KernelTable(kernels=list(rows)))


def kernel(here: Here) -> list[str]:
    return [sys.executable, "-c", CONNECT, here.path]


def test_a_kernel_with_one_notebook_is_that_notebook(here: Here) -> None:
    """Its key is the root and the path, its instance this run of the kernel."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook("reports/a.ipynb")))
        found = here.peers.identify(peer)
    assert (found.kind, found.label, found.path) == ("notebook", "reports/a.ipynb", "reports/a.ipynb")
    assert found.key == f"notebook:{here.root}/reports/a.ipynb"
    assert found.key == here.peers.key_of_document("reports/a.ipynb")
    assert found.durable
    assert found.kernel == "Python 3"
    assert found.instance.startswith(f"kernel:k1:{process.pid}:")


def test_a_kernel_that_was_found_out_is_known_again(here: Here) -> None:
    """By its process alone; another process, and the same number in another run, is not it."""
    with here.connected(kernel(here)) as (process, peer), here.connected(kernel(here)) as (_, other):
        told(here, row(process.pid, notebook()))
        found = here.peers.identify(peer)
        assert here.peers.is_run_of(peer, found)
        assert not here.peers.is_run_of(other, found)
        assert not here.peers.is_run_of(replace(peer, uid=peer.uid + 1), found)
        kind, kernel_id, pid, started, *machine = found.instance.split(":")
        later = ":".join([kind, kernel_id, pid, str(int(started) + 1), *machine])
        assert not here.peers.is_run_of(peer, found.model_copy(update={"instance": later}))


def test_a_kernel_that_has_ended_is_not_known_again(here: Here) -> None:
    """Its number may be another one's soon."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook()))
        found = here.peers.identify(peer)
        process.kill()
        process.wait()
        assert not here.peers.is_run_of(peer, found)


def test_a_child_of_a_kernel_is_the_kernel_s_notebook(here: Here) -> None:
    """A wrapper puts the kernel one level down, `!python x.py` even deeper."""
    with here.connected([sys.executable, "-c", VIA_CHILD, here.path, CONNECT]) as (process, peer):
        told(here, row(process.pid, notebook()))
        found = here.peers.identify(peer)
        assert peer.pid != process.pid
    assert (found.kind, found.pid) == ("notebook", peer.pid)


def test_an_unsaved_notebook_is_not_durable(here: Here) -> None:
    """Its name will be another notebook's tomorrow."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook("Untitled.ipynb", saved=False)))
        assert here.peers.identify(peer).durable is False


SHARED = {
    "two notebooks": (notebook("a.ipynb"), notebook("b.ipynb")),
    "notebook and console": (notebook(), Document(path="c", type="console", saved=False)),
    "console": (Document(path="c", type="console", saved=False),),
    "file": (Document(path="a.py", type="file", saved=True),),
}


@pytest.mark.parametrize("documents", SHARED.values(), ids=SHARED)
def test_a_kernel_without_exactly_one_notebook_is_a_console(
    here: Here, documents: tuple[Document, ...]
) -> None:
    """Nobody could say which document asks, so nothing durable is offered."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, *documents))
        found = here.peers.identify(peer)
    assert (found.kind, found.key, found.durable) == ("console", "console:k1", False)


def test_a_kernel_without_a_session_is_a_console_after_a_while(here: Here) -> None:
    """`POST /api/kernels` never gets a document; it is waited for as long as a new kernel is."""
    with here.connected(kernel(here)) as (process, peer):
        times = iter([0.0, 0.0, 0.0, 5.0, 5.0, 5.0])
        late = Kernels(processes=here.processes, monotonic=lambda: 0.0)
        late.wait_for_change = lambda seconds: None  # type: ignore[method-assign]
        late.replace(KernelTable(kernels=[row(process.pid)]))
        peers = Peers(
            processes=here.processes,
            kernels=late,
            server_root=str(here.root),
            owner_pid=os.getpid(),
            namespace=here.processes.namespace(),
            somebody_at=here.manned.__contains__,
            monotonic=lambda: next(times, 5.0),
        )
        assert peers.identify(peer).kind == "console"


def test_a_row_that_comes_late_is_waited_for(here: Here) -> None:
    """The session is saved after the kernel has started, and its first cell may already ask."""
    environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
    with here.connected(kernel(here), env=environment) as (process, peer), ThreadPoolExecutor(1) as pool:
        told(here)
        waiting = threading.Event()
        wait = here.kernels.wait_for_change

        def noticed(seconds: float) -> None:
            waiting.set()
            wait(seconds)

        here.kernels.wait_for_change = noticed  # type: ignore[method-assign]
        found = pool.submit(here.peers.identify, peer)
        assert waiting.wait(20)
        told(here, row(process.pid))
        told(here, row(process.pid, notebook()))
        assert found.result(20).kind == "notebook"


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


def test_another_machine_s_kernel_pid_is_not_taken_for_a_local_one(here: Here) -> None:
    """The same number is another process here."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook(), local=False))
        assert here.peers.identify(peer).kind == "detached"


def test_a_kernel_that_is_not_this_server_s_process_is_told_why(here: Here) -> None:
    """It looks like a kernel, and the server has kernels elsewhere."""
    environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
    with here.connected(kernel(here), env=environment) as (_, peer):
        told(here, row(None, local=False))
        times = iter([0.0, 5.0])
        peers = Peers(
            processes=here.processes,
            kernels=here.kernels,
            server_root=str(here.root),
            owner_pid=os.getpid(),
            namespace=here.processes.namespace(),
            somebody_at=here.manned.__contains__,
            monotonic=lambda: next(times, 5.0),
        )
        with pytest.raises(BrokerUnavailable, match="another machine"):
            peers.identify(peer)


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


def test_a_renamed_notebook_is_the_same_run_under_its_new_name(here: Here) -> None:
    """Identified once, but shown as it is now."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook("a.ipynb")))
        found = here.peers.identify(peer)
        told(here, row(process.pid, notebook("b.ipynb")))
        now = here.peers.current(found)
    assert (now.path, now.instance) == ("b.ipynb", found.instance)


def test_a_restarted_kernel_is_another_run(here: Here) -> None:
    """The same kernel id with another process: what the old one was given has ended."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook()))
        old = here.peers.identify(peer)
    with here.connected(kernel(here)) as (process, peer):
        ended = here.kernels.replace(KernelTable(kernels=[row(process.pid, notebook())]))
        new = here.peers.identify(peer)
        assert [here.peers.instance_of(one) for one in ended] == [old.instance]
        assert here.peers.instance_alive(new.instance)
        assert not here.peers.instance_alive(old.instance)
    assert old.key == new.key
    assert old.instance != new.instance


def test_the_run_of_a_living_process_is_alive(here: Here) -> None:
    """Until it ends."""
    with here.connected(kernel(here)) as (_, peer):
        found = here.peers.identify(peer)
        assert here.peers.instance_alive(found.instance)
    assert not here.peers.instance_alive(found.instance)


def changed(instance: str, **parts: str) -> tuple[str, PidNamespace]:
    """The run of the same pid and start time in another place, and that place."""
    run, namespace = instance.split(":")[:-3], PidNamespace(*instance.split(":")[-3:])._replace(**parts)
    return ":".join((*run, *namespace)), namespace


@pytest.mark.parametrize(
    "parts", [{"namespace": "1"}, {"boot": "00000000"}, {"machine": "0" * 8, "namespace": "1"}]
)
def test_a_run_in_another_place_is_over_when_nobody_is_left_there(here: Here, parts: dict[str, str]) -> None:
    """Another container, or a boot of this machine that is over: its pids say nothing here."""
    instance, namespace = changed(here.peers.own_instance(), **parts)
    assert not here.peers.instance_alive(instance)
    here.manned.add(namespace)
    assert here.peers.instance_alive(instance)
    assert here.peers.process_of(instance) == 0


def test_a_run_of_this_place_is_judged_by_its_process_alone(here: Here) -> None:
    """Whoever else is there: a kernel that has ended is over while its server goes on."""
    with here.connected(kernel(here)) as (_, peer):
        found = here.peers.identify(peer)
        here.manned.add(here.processes.namespace())
    assert not here.peers.instance_alive(found.instance)


def test_a_run_on_another_machine_counts_as_alive(here: Here) -> None:
    """A shared home: this broker can't see it, so it must not end it."""
    instance, _ = changed(here.peers.own_instance(), machine="00000000", boot="00000000")
    assert here.peers.instance_alive(instance)


@pytest.mark.parametrize(
    "instance",
    [
        "",
        "x",
        "a:b:c:d:e",
        "process:1",
        f"process:{'9' * 40}:1:{'a' * 8}:{'b' * 8}:1",
        f"process:1:1:{'a' * 8}:{'b' * 8}",
        f"process:1:1:{'a' * 8}:{'b' * 8}:../../x",
        f"process:1:1:{'a' * 8}:../../aa:1",
        f"process:1:1:{'a' * 8}:{'b' * 8}:1\n",
        ":::::",
    ],
)
def test_an_instance_of_another_form_is_not_alive(here: Here, instance: str) -> None:
    """Whatever an edited row holds, even if somebody is said to be everywhere."""
    here.peers._somebody_at = lambda _: True
    assert here.peers.instance_alive(instance) is False


NAMES = [
    "a.ipynb ",
    "a\u3164.ipynb",
    "a  b.ipynb",
    "a\ufe0f.ipynb",
    "a\u202egpj.ipynb",
    "a\x1b[31m.ipynb",
    "a\u200b.ipynb",
    "a\n.ipynb",
    "\ud800.ipynb",
    "a\u00a0.ipynb",
    "a\u2009.ipynb",
    "a\u3000.ipynb",
    "a\u2800.ipynb",
    " a.ipynb",
    "x" * 5000,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_that_could_deceive_is_shown_plain_and_told_apart(here: Here, name: str) -> None:
    """All that it has is to be seen in its label; its key is not that of a plain name."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid).model_copy(update={"documents": [_raw(name)]}))
        found = here.peers.identify(peer)
    assert found.label == found.path == visible(name, limit=4096) != name
    assert found.label.isprintable()
    assert found.key != here.peers.key_of_document(found.label)
    assert Requester.model_validate_json(found.model_dump_json()) == found


def _raw(path: str) -> Document:
    return Document.model_construct(path=path, type="notebook", saved=True)
