"""Being taken for somebody else: what is stopped, and what attribution among processes of one user can't stop.

The notebook `trusted.ipynb` and the script `job.py` have an `always`; the others want to use it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.processes import clean_environment, wait_until
from tests.support.broker.requester import Refused, RequesterProcess

# What an asking program does, as a file or as -c. Without a grant somebody is asked, and a `deny` is a no.
ASK = """
import sys
from connvault_jupyter import connection
try:
    print(connection("api", reason=sys.argv[1] if len(sys.argv) > 1 else "deny").decision, flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def run(notebooks: Notebooks, argv: list[str], *, home: Path, **extra: Any) -> str:
    environment = clean_environment(home, {"CONNVAULT_SOCKET": notebooks.socket_path, **extra.pop("env", {})})
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [environment.get("PYTHONPATH"), str(Path(__file__).resolve().parents[2])])
    )
    done = subprocess.run(
        argv, check=False, env=environment, capture_output=True, text=True, timeout=60, **extra
    )
    found: str = done.stdout
    return found.strip()


@pytest.fixture
def trusted(notebooks: Notebooks) -> Iterator[RequesterProcess]:
    """The kernel of a notebook that may always use `api`."""
    with notebooks.open("trusted.ipynb") as process:
        process.run("h = connection('api', reason='always')")
        yield process


@pytest.fixture(scope="module")
def job(notebooks: Notebooks, folder: Path) -> Path:
    """A script below the server's root that may always use `api`."""
    script = folder / "jobs" / "job.py"
    script.parent.mkdir()
    script.write_text(ASK)
    assert run(notebooks, [sys.executable, str(script), "always"], home=folder) == "always"
    assert run(notebooks, [sys.executable, str(script), "deny"], home=folder) == "always"
    return script


def last_asked(notebooks: Notebooks) -> dict[str, Any]:
    found: dict[str, Any] = notebooks.asked()[-1]["requester"]
    return found


def test_a_process_that_leaves_its_kernel_leaves_its_grants_too(
    notebooks: Notebooks, trusted: RequesterProcess
) -> None:
    """Forked twice, in a session of its own: it is a process without a name, for which nothing lasting is offered."""
    daemon = """
import os
read, write = os.pipe()
if os.fork() == 0:
    middle = os.getpid()
    if os.fork() == 0:
        os.setsid()
        while os.getppid() == middle:
            pass
        try:
            found = connection("api", reason="deny").decision
        except Exception as error:
            found = type(error).__name__
        os.write(write, found.encode())
    os._exit(0)
os.close(write)
answer = os.read(read, 100).decode()
"""
    trusted.run(daemon)
    assert trusted.run("answer") == "AccessDenied"
    assert last_asked(notebooks)["kind"] == "detached"
    assert notebooks.asked()[-1]["durations"] == ["once", "session"]


def test_forged_arguments_and_environment_make_no_kernel(notebooks: Notebooks, folder: Path) -> None:
    """Jupyter's own marks and a kernel's command line are not what a kernel is known by."""
    with notebooks.open("trusted.ipynb") as process:
        process.run("connection('api', reason='always')")
        disguise = {
            "JPY_SESSION_NAME": str(folder / "trusted.ipynb"),
            "JPY_PARENT_PID": str(os.getpid()),
            "JUPYTER_KERNEL_ID": "kernel-of-trusted.ipynb",
        }
        argv = ["python3 -m ipykernel_launcher -f kernel-of-trusted.ipynb.json", "-c", ASK]
        found = run(notebooks, argv, home=folder, env=disguise, executable=sys.executable)
    assert found == "AccessDenied"
    assert last_asked(notebooks)["kind"] == "detached"


def test_another_notebooks_kernel_is_asked_for_itself(
    notebooks: Notebooks, trusted: RequesterProcess
) -> None:
    """An `always` is for one notebook."""
    with notebooks.open("other.ipynb") as other, pytest.raises(Refused, match="AccessDenied"):
        other.run("connection('api', reason='deny')")
    assert last_asked(notebooks)["label"] == "other.ipynb"


@pytest.mark.parametrize("agent", ["assistant", "trusted.ipynb", "None"])
def test_a_grant_without_a_claim_is_none_for_an_agent(
    notebooks: Notebooks, trusted: RequesterProcess, agent: str
) -> None:
    """Calling itself something asks anew, whatever the name."""
    with pytest.raises(Refused, match="AccessDenied"):
        trusted.run(f"connection('api', reason='deny', agent={agent!r})")
    assert notebooks.asked()[-1]["agent"] == agent


@pytest.mark.parametrize("claim", ["", ", agent='another'", ", agent='Assistant'"])
def test_what_an_agent_was_granted_is_for_this_claim_only(notebooks: Notebooks, claim: str) -> None:
    """Dropping the claim, or making another one, asks anew."""
    with notebooks.open("claims.ipynb") as process:
        process.run("connection('api', reason='session', agent='assistant')")
        assert process.run("connection('api', reason='deny', agent='assistant').decision") == "session"
        with pytest.raises(Refused, match="AccessDenied"):
            process.run(f"connection('api', reason='deny'{claim})")


@contextmanager
def handed_over(path: Path) -> Iterator[socket.socket]:
    """Where processes leave a socket of theirs."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)
        yield listener


def take(listener: socket.socket) -> socket.socket:
    stream, _ = listener.accept()
    with stream:
        _, descriptors, _, _ = socket.recv_fds(stream, 10, 1)
    taken = socket.socket(fileno=descriptors[0])
    taken.settimeout(20)
    return taken


HAND_OVER = """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect({broker!r})
if {hello!r}:
    from connvault_jupyter.contracts import frames
    frames.send(s, {{"protocol": frames.PROTOCOL, "version": {version!r}}}), frames.receive(s)
    frames.send(s, {{"op": "connections.list", "body": {{}}}}), frames.receive(s)
hand = socket.socket(socket.AF_UNIX)
hand.connect({hand!r})
socket.send_fds(hand, [b"x"], [s.fileno()])
hand.close()
"""


def hand_over(notebooks: Notebooks, place: Path, *, hello: bool) -> str:
    return HAND_OVER.format(broker=notebooks.socket_path, hello=hello, version=__version__, hand=str(place))


def test_a_passed_connection_is_good_as_long_as_who_opened_it(notebooks: Notebooks, folder: Path) -> None:
    """Not stopped: a notebook can lend its connection, and is named for it. Stopped: using it after its end."""
    ask = {"op": "access.request", "body": {"connection": "api", "reason": "deny"}}
    with handed_over(folder / "h1") as listener:
        with notebooks.open("trusted.ipynb") as owner:
            owner.run("connection('api', reason='always')")
            owner.run(hand_over(notebooks, folder / "h1", hello=True))
            stream = take(listener)
            frames.send(stream, ask)
            answer = frames.receive(stream)
            assert answer is not None
            assert answer["body"]["decision"] == "always"
            row = notebooks.record(type="access:granted")[0]
            assert row["requester_label"] == "trusted.ipynb"
            assert f"pid {owner.process.pid}" in row["evidence"]
        with stream:
            frames.send(stream, ask)
            answer = frames.receive(stream)
            assert answer is not None
            assert answer["problem"]["code"] == "not_allowed"


def test_a_connection_of_a_process_that_has_ended_is_nobodys(notebooks: Notebooks, folder: Path) -> None:
    """Opened in a child, used by its parent: its pid may be another process's by now."""
    with handed_over(folder / "h2") as listener:
        run(notebooks, [sys.executable, "-c", hand_over(notebooks, folder / "h2", hello=False)], home=folder)
        with take(listener) as stream:
            frames.send(stream, {"protocol": frames.PROTOCOL, "version": __version__})
            assert frames.receive(stream)
            frames.send(stream, {"op": "connections.list", "body": {}})
            answer = frames.receive(stream)
            assert answer is not None
            assert answer["problem"]["code"] == "broker_unavailable"


def test_an_orphan_of_a_kernel_that_has_stopped_asks_for_itself(notebooks: Notebooks, folder: Path) -> None:
    """A background process that outlives the notebook, with the connection that it opened as the notebook's child."""
    orphan = """
import os, sys
read, write = os.pipe()
go_read, go_write = os.pipe()
if os.fork() == 0:
    os.setsid()
    connections()
    os.write(write, b"ready")
    os.close(go_write)
    os.read(go_read, 1)
    found = "granted"
    try:
        connection("api", reason="deny")
    except Exception as error:
        found = type(error).__name__
    open({place!r}, "w").write(found)
    os._exit(0)
os.read(read, 10)
""".format(place=str(folder / "orphan"))
    with notebooks.open("trusted.ipynb") as process:
        process.run("connection('api', reason='always')")
        process.run(orphan)
    written = wait_until(
        lambda: (folder / "orphan").exists() and (folder / "orphan").read_text(),
        deadline_s=20,
        what="the orphan",
    )
    assert written == "NotAllowed"


def test_a_changed_script_is_another_one(notebooks: Notebooks, job: Path, folder: Path) -> None:
    """Its content is part of its name, and so are its folder and its interpreter."""
    copy = job.with_name("changed.py")
    copy.write_text(job.read_text() + "# more\n")
    assert run(notebooks, [sys.executable, str(copy)], home=folder) == "AccessDenied"
    same = job.with_name("same.py")
    same.write_text(job.read_text())
    assert run(notebooks, [sys.executable, str(same)], home=folder) == "AccessDenied"


def test_a_script_started_elsewhere_is_another_one(notebooks: Notebooks, job: Path, folder: Path) -> None:
    """What it imports depends on where it is started."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job.py").symlink_to(job)
    assert run(notebooks, [sys.executable, str(job)], home=folder, cwd=elsewhere) == "AccessDenied"
    assert run(notebooks, [sys.executable, "job.py"], home=folder, cwd=elsewhere) == "AccessDenied"


def test_code_without_a_file_is_nobodys_script(notebooks: Notebooks, job: Path, folder: Path) -> None:
    """Naming a script behind -c, or feeding it to standard input, does not make it that script."""
    assert run(notebooks, [sys.executable, "-c", ASK, str(job)], home=folder) == "AccessDenied"
    assert last_asked(notebooks)["kind"] == "detached"
    assert run(notebooks, [sys.executable, "-"], home=folder, input=ASK) == "AccessDenied"
    assert last_asked(notebooks)["kind"] == "detached"


# `{job}` is the trusted script, `{evil}` another file; `{pipe}` comes on standard input.
NOT_ALONE = {
    "a prompt behind it": ["-i", "{job}"],
    "one in a cluster": ["-ui", "{job}"],
    "another in a cluster": ["-Ii", "{job}"],
    "a module that runs it": ["-m", "pdb", "{job}"],
    "code before it": ["-c", ASK, "{job}"],
    "standard input before it": ["-", "{job}"],
    "standard input by a path": ["/dev/stdin", "{job}"],
    "without its first line": ["-x", "{job}"],
    "compiled modules of elsewhere": ["-X", "pycache_prefix={folder}", "{job}"],
    "a warning of elsewhere": ["-W", "ignore::evil.Category", "{job}"],
}


@pytest.mark.parametrize("how", NOT_ALONE)
def test_a_script_that_is_not_all_that_runs_is_nobodys(
    notebooks: Notebooks, job: Path, folder: Path, how: str
) -> None:
    """Whatever else it runs would have the script's permissions: it is a process without a name."""
    arguments = [part.replace("{job}", str(job)).replace("{folder}", str(folder)) for part in NOT_ALONE[how]]
    found = run(notebooks, [sys.executable, *arguments], home=folder, input=ASK + "continue\nquit\n")
    assert "always" not in found
    assert last_asked(notebooks)["kind"] == "detached"
    assert notebooks.asked()[-1]["durations"] == ["once", "session"]


def test_a_prompt_by_the_environment_is_nobodys_script(notebooks: Notebooks, job: Path, folder: Path) -> None:
    """As `-i`: more code comes afterwards."""
    found = run(notebooks, [sys.executable, str(job)], home=folder, input=ASK, env={"PYTHONINSPECT": "1"})
    assert "always" not in found
    assert last_asked(notebooks)["kind"] == "detached"


def test_another_file_mounted_over_a_script_is_not_the_script(
    notebooks: Notebooks, job: Path, folder: Path, tmp_path: Path
) -> None:
    """Any user can do that, for its own processes alone; the broker would hash the file that it sees itself."""
    evil = tmp_path / "evil.py"
    evil.write_text(ASK)
    mount = f'mount --bind "{evil}" "{job}" && exec "{sys.executable}" "{job}"'
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    # Nothing comes where user namespaces are forbidden: there nobody can do this.
    assert run(notebooks, argv, home=folder) in ("AccessDenied", "")
    assert last_asked(notebooks)["kind"] == "detached"


@pytest.mark.parametrize("name", ["PYTHONPATH", "LD_PRELOAD", "PYTHONUSERBASE", "PYTHONWARNINGS"])
def test_a_script_in_another_environment_is_asked_anew(
    notebooks: Notebooks, job: Path, folder: Path, tmp_path: Path, name: str
) -> None:
    """Whoever sets these runs code in it. That costs one line more: code in it can hide what it was started with."""
    (tmp_path / "sitecustomize.py").write_text(ASK.replace("import sys", "import sys; sys.argv = ['x']"))
    found = run(notebooks, [sys.executable, str(job)], home=folder, env={name: str(tmp_path)})
    assert "always" not in found


def test_a_script_put_back_before_it_asks_is_taken_for_what_it_was(
    notebooks: Notebooks, job: Path, folder: Path
) -> None:
    """Not stopped: what is hashed is the file as it lies there, not what the process has loaded."""
    good = job.read_text()
    job.write_text(f"open({str(job)!r}, 'w').write({good!r})\n" + ASK)
    assert run(notebooks, [sys.executable, str(job)], home=folder) == "always"
    assert job.read_text() == good
    assert notebooks.record(type="access:granted")[0]["requester_label"] == str(job)


def test_code_slipped_into_a_scripts_interpreter_is_the_script(
    notebooks: Notebooks, job: Path, folder: Path
) -> None:
    """Not stopped: a module beside a script is imported before any other, and only the script is hashed."""
    beside = job.parent / "connvault_jupyter.py"
    beside.write_text(f"import sys\nsys.path.remove({str(job.parent)!r})\ndel sys.modules[__name__]\n" + ASK)
    try:
        found = run(notebooks, [sys.executable, str(job)], home=folder)
    finally:
        beside.unlink()
    assert found.splitlines()[0] == "always"
    assert notebooks.record(type="access:granted")[0]["requester_label"] == str(job)


def test_a_process_that_rewrites_its_command_line_is_the_script(
    notebooks: Notebooks, job: Path, folder: Path
) -> None:
    """Not stopped: what a process was started with lies in its own memory."""
    rewrite = """
import sys
with open("/proc/self/stat") as file:
    fields = file.read().rpartition(")")[2].split()
start, end = int(fields[45]), int(fields[46])
line = b"python\\0" + sys.argv[1].encode() + b"\\0"
with open("/proc/self/mem", "r+b", buffering=0) as memory:
    memory.seek(start)
    memory.write(line.ljust(end - start, b"\\0"))
"""
    found = run(notebooks, [sys.executable, "-c", rewrite + ASK, str(job)], home=folder)
    assert found == "always"
    assert notebooks.record(type="access:granted")[0]["requester_label"] == str(job)


def test_whoever_connects_and_then_becomes_the_script_is_the_script(
    notebooks: Notebooks, job: Path, folder: Path
) -> None:
    """Not stopped: a process is what it is when it first asks, and another may hold its socket by then."""
    become = """
import os, socket, sys, time
from connvault_jupyter.contracts import frames
from connvault_jupyter._version import __version__
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["CONNVAULT_SOCKET"])
if os.fork() == 0:
    while b"job.py" not in open(f"/proc/{os.getppid()}/cmdline", "rb").read().split(b"\\0")[1]:
        pass
    frames.send(s, {"protocol": frames.PROTOCOL, "version": __version__})
    frames.receive(s)
    frames.send(s, {"op": "access.request", "body": {"connection": "api", "reason": "deny"}})
    answer = frames.receive(s)
    print(answer["body"]["decision"] if answer["ok"] else answer["problem"]["code"], flush=True)
    os._exit(0)
os.set_inheritable(s.fileno(), True)
os.execv(sys.executable, [sys.executable, sys.argv[1], "deny"])
"""
    found = run(notebooks, [sys.executable, "-c", become, str(job)], home=folder)
    assert "always" in found.splitlines()
