"""Brokered: after any use, nothing of the secret is in the notebook's process, nor anywhere that it leaves traces.

Searched are memory, a core, environment, arguments, open files, temporary files, IPython's history, the notebook and
all logs, in every disguise. That the search can find a secret there is shown in the same way. Linux.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.bench.approver import approver
from tests.bench.children import Kernel
from tests.support.broker.process_sinks import crash, memory, open_files
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest
from tests.support.servers.brokered_services import SERVICES, Service, new_secret, services
from tests.support.sinks import Sink, files_below, hits, of_processes

# In all, with the long run: over 200.
LONG_RUNS = 34

_IMPORTS = "import os; from connvault_jupyter import connection"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    with services(tmp_path_factory.mktemp("services")) as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, running: dict[str, Service]) -> Iterator[JupyterServer]:
    """With a connection of each kind, and a person who says yes."""
    home = tmp_path_factory.mktemp("canary")
    (home / "tmp").mkdir()
    with serve(home, app="server", env={"TMPDIR": str(home / "tmp")}) as found, approver(found):
        rest = Rest(found)
        rest.set_up()
        for name, service in running.items():
            rest.create(name, name, service.fields, service.secrets)
        yield found


@pytest.fixture
def kernel(server: JupyterServer, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    name = f"{request.node.name.replace('[', '-').replace(']', '')}.ipynb"
    server.write_notebook(name, "")
    found = Kernel(server, name)
    found.value("0", _IMPORTS)
    try:
        yield found
    finally:
        found.close()
        server.request("DELETE", f"api/kernels/{found.id}")


def _everywhere(kernel_pid: int, server: JupyterServer) -> Iterator[Sink]:
    yield from memory(kernel_pid)
    yield from open_files(kernel_pid)
    yield from of_processes(server.pid)
    yield from files_below(server.home)


def _use_and_search(kernel: Kernel, server: JupyterServer, service: Service) -> None:
    pid = kernel.value("os.getpid()", service.code)
    found = [hit for sought in service.sought for hit in hits(_everywhere(pid, server), sought)]
    assert found == [], found


@pytest.mark.parametrize("kind", SERVICES)
def test_after_use_the_secret_is_nowhere_in_reach_of_the_notebook(
    kernel: Kernel, server: JupyterServer, running: dict[str, Service], kind: str
) -> None:
    """Twice: what the first use left behind the second one could have picked up."""
    for _ in range(2):
        _use_and_search(kernel, server, running[kind])


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", SERVICES)
def test_after_many_uses_the_secret_is_nowhere_in_reach_of_the_notebook(
    kernel: Kernel, server: JupyterServer, running: dict[str, Service], kind: str
) -> None:
    """A string that stays in memory only now and then is found now and then."""
    for _ in range(LONG_RUNS):
        _use_and_search(kernel, server, running[kind])


@pytest.mark.parametrize("kind", SERVICES)
def test_a_core_of_the_notebook_has_nothing_of_the_secret(
    kernel: Kernel, server: JupyterServer, running: dict[str, Service], kind: str
) -> None:
    """The kernel crashes in the middle of its work; where the system writes a core, it is searched."""
    no_limit = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)"
    folder = server.home / "core"
    folder.mkdir(exist_ok=True)
    pid = kernel.value("os.getpid()", f"{no_limit}\nos.chdir({str(folder)!r})\n{running[kind].code}")
    crash(pid)
    wait_until(lambda: not psutil.pid_exists(pid), deadline_s=30, what="the end of the kernel")
    written_here = not Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/"))
    assert any(path.stat().st_size > 1_000_000 for path in folder.iterdir()) == written_here
    try:
        for sought in running[kind].sought:
            assert hits(files_below(server.home), sought) == []
    finally:
        for path in folder.iterdir():
            path.unlink()


def test_what_a_notebook_has_is_found_in_its_memory(kernel: Kernel, server: JupyterServer) -> None:
    """The control: the same search finds plain text that the code got by `.reveal()`, while it has it."""
    secret = new_secret()
    rest = Rest(server)
    rest.create("revealed", "secret", {"description": "control"}, {"value": secret})
    with approver(server, "once"):
        pid = kernel.value(
            "os.getpid()", "kept = [str(v) for v in [connection('revealed').reveal('value').__enter__()]]"
        )
    assert hits(memory(pid), secret)


def test_what_a_relay_has_is_found_in_the_brokers_side(kernel: Kernel, server: JupyterServer) -> None:
    """The other control: the secret was there to be found, in the worker that is logging in. Only root may look."""
    secret = new_secret()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fields = {
            "host": "127.0.0.1", "port": silent.getsockname()[1], "database": "d", "user": "u",
            "sslmode": "disable",
        }  # fmt: skip
        Rest(server).create("silent", "postgresql", fields, {"password": secret})
        ticket = kernel.begin(
            "try:\n    connection('silent').connect(connect_timeout=20)\nexcept Exception as exc:\n    failure = exc"
        )
        upstream, _ = silent.accept()
        with upstream:
            upstream.recv(1000)
            workers = [
                process.pid
                for process in psutil.Process(server.pid).children(recursive=True)
                if "relay_process" in " ".join(process.cmdline())
            ]
            assert workers
            if os.geteuid() == 0:
                assert any(hits(memory(pid), secret) for pid in workers)
            else:
                with pytest.raises(PermissionError):
                    list(memory(workers[0]))
            kernel_pid = _kernel_pid(server, kernel)
            assert hits(memory(kernel_pid), secret) == []
        kernel.answer(ticket)


def _kernel_pid(server: JupyterServer, kernel: Kernel) -> int:
    for process in psutil.Process(server.pid).children(recursive=True):
        if f"kernel-{kernel.id}.json" in " ".join(process.cmdline()):
            return int(process.pid)
    raise AssertionError("the kernel's process is not there")
