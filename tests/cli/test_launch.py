"""`jupyter connvault lab`: the same server, closed from the start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.broker import hardening
from connvault_jupyter.cli import launch, main
from tests.support.broker.processes import END_GRACE_S, wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.remote_kernel import notebook_kernel, open_tab
from tests.support.browser.rest import Rest


@pytest.fixture(autouse=True)
def same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in the tests' own process does not rename it."""
    monkeypatch.setattr(launch, "show_as", lambda _: None)


def test_a_launched_server_serves_knows_its_kernels_and_ends_when_asked(tmp_path: Path) -> None:
    """By a signal to the process that was started, whichever of the two that is; nothing is left."""
    with serve(tmp_path, app="lab", launched=True) as server, open_tab(server):
        rest = Rest(server)
        rest.set_up()
        rest.create("api", "http", {"base_url": "https://localhost", "auth": "bearer"}, {"token": "a secret"})
        assert "can read what passes through it" not in server.log()
        path = server.write_notebook("a.ipynb", "")
        with notebook_kernel(server, path) as kernel:
            kernel.begin("from connvault_jupyter import connection; connection('api', reason='x')")
            question = wait_until(rest.questions, deadline_s=20, what="the question")[0]
            assert question["requester"]["label"] == "a.ipynb"
            assert rest.decide(question, "session").ok
            kernel.finish()
        below = psutil.Process(server.pid).children(recursive=True)
        assert below
        psutil.Process(server.pid).send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(below, timeout=END_GRACE_S)
        assert left == []


def test_the_applications_own_arguments_and_status_pass(tmp_path: Path) -> None:
    """Nothing of them is read here, and an error is an error."""
    command = [sys.executable, "-m", "connvault_jupyter.cli.main", "server"]
    shown = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    expected = subprocess.run(
        [sys.executable, "-m", "jupyter_server", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout == expected.stdout
    wrong = subprocess.run([*command, "--ServerApp.port=no"], capture_output=True, check=False, timeout=60)
    assert wrong.returncode == 1


def test_an_application_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "become_non_dumpable", lambda: False)
    monkeypatch.setattr(launch, "_main_of", lambda _: None)
    assert launch.run("lab", []) == 69
    assert "jupyter lab" in capsys.readouterr().err


@pytest.mark.parametrize("hidden", [False, True])
def test_a_server_with_a_debugger_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hidden: bool
) -> None:
    """Also where nobody can tell."""

    def tracer_of() -> int:
        if hidden:
            raise FileNotFoundError
        return 7

    monkeypatch.setattr(launch, "become_non_dumpable", lambda: True)
    monkeypatch.setattr(launch, "tracer_of", tracer_of)
    monkeypatch.setattr(launch, "_main_of", lambda _: pytest.fail("started"))
    assert launch.run("lab", []) == 69
    assert "debugger" in capsys.readouterr().err


def test_where_processes_can_not_be_closed_a_launch_is_an_ordinary_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """macOS: the server says there that it is open."""
    seen: list[list[str]] = []
    monkeypatch.setattr(launch, "unreadable_loader", lambda: None)
    monkeypatch.setattr(launch, "become_non_dumpable", lambda: False)
    monkeypatch.setattr(launch, "_main_of", lambda _: lambda: seen.append(list(sys.argv)))
    monkeypatch.setattr(sys, "argv", [])
    assert main.main(["lab", "--port", "1", "--"]) == 0
    assert seen == [["jupyter-lab", "--port", "1", "--"]]
    assert not hardening.closed_at_start()


def test_no_variable_of_the_environment_makes_a_server_believe_that_it_is_closed() -> None:
    """Only the launcher's own process knows, and what is forked from it: not what it executes."""
    code = (
        "import json, os, subprocess, sys\n"
        "from connvault_jupyter.broker import hardening\n"
        "hardening.note_closed_at_start()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(int(hardening.closed_at_start()))\n"
        "forked = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "asks = 'from connvault_jupyter.broker import hardening; print(int(hardening.closed_at_start()))'\n"
        "executed = subprocess.run([sys.executable, '-c', asks], capture_output=True, check=True).stdout\n"
        "print(json.dumps([forked, int(executed)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [1, 0]
