"""Which notebook is asking: found out from real processes and real sockets, never from what is sent."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from connvault_jupyter.broker.kernels import Kernels
from connvault_jupyter.broker.os_processes import PidNamespace
from connvault_jupyter.broker.peers import Peers
from connvault_jupyter.contracts.access import Requester
from connvault_jupyter.contracts.supervision import Document, KernelTable
from connvault_jupyter.errors import BrokerUnavailable
from connvault_jupyter.services.visible_names import visible
from tests.support.broker.peers import CONNECT, VIA_CHILD, Here, kernel, notebook, row, told
from tests.support.broker.peers import here as here


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


def test_the_folder_of_a_notebook_is_what_the_server_says_now(here: Here) -> None:
    """It follows a renaming; of several folders, and of a kernel without documents, there is none."""
    with here.connected(kernel(here)) as (process, peer):
        told(here, row(process.pid, notebook("shop/a.ipynb")))
        found = here.peers.identify(peer)
        assert here.peers.folder_of(found) == f"{here.root}/shop"
        told(here, row(process.pid, notebook("new/b.ipynb")))
        assert here.peers.folder_of(found) == f"{here.root}/new"
        told(here, row(process.pid, notebook("new/b.ipynb"), notebook("new/c.ipynb")))
        assert here.peers.folder_of(found) == f"{here.root}/new"
        told(here, row(process.pid, notebook("new/b.ipynb"), notebook("shop/a.ipynb")))
        assert here.peers.folder_of(found) is None
        told(here, row(process.pid))
        assert here.peers.folder_of(found) is None
        told(here)
        assert here.peers.folder_of(found) is None


def test_the_folder_of_a_script_is_its_files(here: Here, tmp_path: Path) -> None:
    """One that runs no file has none, wherever it was started."""
    script = tmp_path / "job.py"
    script.write_text(CONNECT)
    with here.connected([sys.executable, str(script), here.path]) as (_, peer):
        assert here.peers.folder_of(here.peers.identify(peer)) == str(tmp_path)
    with here.connected(kernel(here)) as (_, peer):
        assert here.peers.folder_of(here.peers.identify(peer)) is None


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
