"""Two containers on one volume: the same machine and boot, the same pids, and nothing of one is the other's to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.support.broker.namespaces import contained
from tests.support.broker.requester import RequesterProcess, requester_process

# Runs as the container's first process: the owner of a broker, as a server is, with one notebook.
OWNER = """
import os, subprocess, sys
from contextlib import ExitStack
from connvault_jupyter.broker import broker_process
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import clean_environment

stack, answer = ExitStack(), "session"

def start(home, data_dir, rule=lambda _: answer):
    global notebooks, operator
    operator, path = stack.enter_context(operated_broker(home, rule=rule, data_dir=data_dir))
    notebooks = Notebooks(operator, home=home, socket_path=path)

def define():
    fields = {"host": "localhost", "port": 5432, "database": "sales", "user": "report"}
    operator.create("warehouse", IN_CLEAR, fields, {"password": "a-password"})

def open_notebook():
    global kernel
    kernel = stack.enter_context(notebooks.open("a.ipynb"))

def ask():
    kernel.run("h = connection('warehouse')")

def use():
    kernel.run("h._handle_ref.deliver()")

def permissions():
    return len(operator.call("grants.list")["grants"])

def questions():
    return len(operator.call("access_requests.list")["access_requests"])

def run_script(file, text):
    file.write_text(text)
    environment = clean_environment(file.parent, {"CONNVAULT_SOCKET": notebooks.socket_path})
    subprocess.run([sys.executable, str(file)], env=environment, check=True)
    return operator.asked[-1]["requester"]
"""


@contextmanager
def container(
    shared: Path, name: str, *, before: str = "pass", rule: str = "lambda _: answer"
) -> Iterator[RequesterProcess]:
    """Its owner has a vault in common with the others on `shared`. `before`: what it does before it starts."""
    home = shared / name
    home.mkdir()
    with requester_process(home, "", inside=contained()) as owner:
        owner.run(OWNER)
        owner.run(before)
        owner.run(
            f"from pathlib import Path; start(Path({str(home)!r}), Path({str(shared / 'vault')!r}), {rule})"
        )
        try:
            yield owner
        finally:
            removed(owner)


def removed(owner: RequesterProcess) -> None:
    """All its processes at once, without a word."""
    inside = (
        psutil.Process(owner.process.pid).children(recursive=True) if owner.process.poll() is None else []
    )
    owner.process.kill()
    owner.process.wait()
    _, left = psutil.wait_procs(inside, timeout=20)
    assert left == []


def test_a_second_containers_start_leaves_the_firsts_handles_and_permissions(short_tmp_path: Path) -> None:
    """Each numbers its processes from 1 on, on the same machine and boot: no pid tells of the other's."""
    with container(short_tmp_path, "a") as first:
        first.run("define()")
        first.run("open_notebook()")
        first.run("ask()")
        with container(short_tmp_path, "b") as second:
            second.run("open_notebook()")
            second.run("ask()")
            assert first.run("os.getpid()") == second.run("os.getpid()") == 1
            first.run("use()")
            second.run("use()")
            assert first.run("permissions()") == second.run("permissions()") == 2
        first.run("use()")


def test_what_a_container_has_is_kept_while_its_broker_is_started_again(short_tmp_path: Path) -> None:
    """Its owner is there, so its notebooks are not over."""
    waits = "broker_process._FIRST_PAUSE_S = 3600"
    with container(short_tmp_path, "a", before=waits) as first:
        first.run("define()")
        first.run("open_notebook()")
        first.run("ask()")
        first.run("os.kill(operator.broker.pid, 9)")
        with container(short_tmp_path, "b") as second:
            second.run("open_notebook()")
            assert second.run("permissions()") == 1


def test_a_question_of_one_container_is_not_ended_by_anothers_start(short_tmp_path: Path) -> None:
    """Its broker is still there to take the answer."""
    with container(short_tmp_path, "a", rule="None") as first:
        first.run("define()")
        first.run("open_notebook()")
        first.run("kernel.begin(\"connection('warehouse')\")")
        first.run("from tests.support.broker.processes import wait_until")
        first.run("wait_until(questions, deadline_s=20, what='the question')")
        with container(short_tmp_path, "b") as second:
            second.run("open_notebook()")
            assert second.run("len(notebooks.record(type='access:interrupted'))") == 0
        assert first.run("questions()") == 1


def test_what_a_removed_container_had_is_over(short_tmp_path: Path) -> None:
    """Nobody is left there who could serve it; the next one that starts ends it."""
    with container(short_tmp_path, "a") as first, container(short_tmp_path, "b") as second:
        first.run("define()")
        first.run("open_notebook()")
        first.run("ask()")
        second.run("open_notebook()")
        second.run("ask()")
        removed(second)
        with container(short_tmp_path, "c") as third:
            third.run("open_notebook()")
            assert third.run("permissions()") == 1
            first.run("use()")


def test_a_script_of_an_owner_that_is_the_first_process_is_a_script(short_tmp_path: Path) -> None:
    """Its parent is pid 1, which is no sign here that whoever started it is gone."""
    with container(short_tmp_path, "a") as owner:
        owner.run("define()")
        file = str(short_tmp_path / "a" / "report.py")
        text = "from connvault_jupyter import connection; connection('warehouse')"
        requester = owner.run(f"run_script(Path({file!r}), {text!r})")
        assert (requester["kind"], requester["path"], requester["durable"]) == ("script", file, True)


def test_containers_may_share_a_runtime_folder(short_tmp_path: Path) -> None:
    """Each has a socket of its own there, that stays while it runs and is taken away when it was removed."""
    runtime = short_tmp_path / "run"
    binds = (
        "from pathlib import Path; from connvault_jupyter.broker import socket_dir; "
        f"chosen = socket_dir.choose(Path({str(runtime)!r})); bound = socket_dir.bind(chosen.path)"
    )
    with (
        requester_process(short_tmp_path, "", inside=contained()) as first,
        requester_process(short_tmp_path, "", inside=contained()) as second,
        requester_process(short_tmp_path, "", inside=contained()) as third,
    ):
        for one in (first, second):
            one.run(binds)
        paths = [Path(one.run("str(chosen.path)")) for one in (first, second)]
        assert [path.is_socket() for path in paths] == [True, True]
        removed(first)
        third.run(binds)
        assert [path.parent.exists() for path in paths] == [False, True]
        for one in (second, third):
            removed(one)


WAITED_FOR = """
import os, signal, sys
from pathlib import Path
from connvault_jupyter.broker.waiting_parent import continue_in_child
from tests.support.broker.processes import wait_until
assert os.getpid() == 1
continue_in_child()
hear, say = os.pipe()
child = os.fork()
if child == 0:
    left = os.fork()
    if left:
        os.write(say, str(left).encode())
    os._exit(0)
os.waitpid(child, 0)
left = Path("/proc", os.read(hear, 20).decode())
wait_until(lambda: not left.exists(), deadline_s=20, what="the end of what was left to the first process")
print("nothing is left", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_first_process_that_waits_for_its_copy_takes_what_is_left_to_it_and_ends_as_the_copy_did() -> None:
    """`jupyter connvault lab` as a container's command: no zombies, and the status that a shell would show."""
    done = subprocess.run(
        contained([sys.executable, "-c", WAITED_FOR]),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("nothing is left\n", 128 + signal.SIGTERM), done.stderr
