"""The broker's life: spawned, supervised, hardened, and gone with its owner."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.broker.broker_process import BrokerProcess
from connvault_jupyter.broker.spawn import Spawned
from connvault_jupyter.contracts.supervision import BrokerReady, BrokerSettings
from connvault_jupyter.errors import (
    BrokerUnavailable,
    ConnvaultError,
    ProcessTraced,
    VaultLocked,
    VersionMismatch,
)
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.raw_requester import RawRequester, asking
from tests.support.browser.rest import PASSPHRASE

DEADLINE_S = 30.0

OWNER = """
import logging, sys
from connvault_jupyter.broker.broker_process import BrokerProcess
from connvault_jupyter.contracts.supervision import BrokerSettings
broker = BrokerProcess(log=logging.getLogger())
broker.start(BrokerSettings.model_validate_json(sys.argv[1]))
print(broker.ready.result(30).pid, flush=True)
sys.stdin.read()
"""

# Reads the memory of its own child twice: before and after the child hardens itself.
READER = """
import os
from connvault_jupyter.broker.hardening import become_non_dumpable
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    # Changing the user clears the flag; an exec, which the broker has behind it, would set it.
    import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
(hear, say), (hear_back, say_back) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.read(hear, 1); become_non_dumpable(); os.write(say_back, b"!"); os.read(hear, 1); os._exit(0)
def look():
    try:
        with open(f"/proc/{child}/mem", "rb"):
            print("open")
    except PermissionError:
        print("refused")
look(); os.write(say, b"!"); os.read(hear_back, 1); look(); os.write(say, b"!"); os.wait()
"""


def settings(home: Path, **changed: object) -> BrokerSettings:
    folder = home / "s"
    folder.mkdir(mode=0o700, exist_ok=True)
    return BrokerSettings.model_validate(
        {
            "data_dir": str(home / "vault"),
            "socket_path": str(folder / "b"),
            "server_root": str(home),
            "custodian": "passphrase",
            "version": __version__,
            **changed,
        }
    )


def _no_interpreter(_environment: Mapping[str, str]) -> Spawned:
    raise FileNotFoundError


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that its new parent has not reaped yet has ended too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def restarted() -> Future[BrokerReady]:
    """Done when a broker has taken the place of a dead one."""
    return Future()


@pytest.fixture
def broker(tmp_path: Path, restarted: Future[BrokerReady]) -> Iterator[BrokerProcess]:
    """A broker of the test's own."""
    found = BrokerProcess(
        on_restart=lambda ready: None if restarted.done() else restarted.set_result(ready),
        log=logging.getLogger("test"),
    )
    found.start(settings(tmp_path))
    found.ready.result(DEADLINE_S)
    yield found
    found.stop()


def kill(broker: BrokerProcess) -> int:
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def restart(operator: Operator) -> None:
    """Kills the broker and waits until another one answers."""
    old = kill(operator.broker)
    wait_until(lambda: operator.broker.pid not in (None, old), deadline_s=DEADLINE_S, what="a new broker")
    operator.call("connections.list")


def test_a_call_before_the_broker_answers_waits_for_it(tmp_path: Path) -> None:
    """Nobody has to know how long a start takes."""
    broker = BrokerProcess(log=logging.getLogger("test"))
    broker.start(settings(tmp_path))
    try:
        assert broker.call("connections.list", {}).result(DEADLINE_S) == {"connections": []}
    finally:
        broker.stop()


def test_a_call_before_the_start_waits_for_it(tmp_path: Path) -> None:
    """A page may ask while the server still has other things to do."""
    broker = BrokerProcess(log=logging.getLogger("test"))
    early = [broker.call("supervision.kernels", {"kernels": []}), broker.call("connections.list", {})]
    broker.start(settings(tmp_path))
    try:
        assert [answer.result(DEADLINE_S) for answer in early] == [{}, {"connections": []}]
    finally:
        broker.stop()


def test_when_there_is_no_start_what_waits_for_it_is_refused(tmp_path: Path) -> None:
    """Nothing waits for ever."""
    stopped = BrokerProcess(log=logging.getLogger("test"))
    unspawned = BrokerProcess(log=logging.getLogger("test"), spawn=_no_interpreter)
    early = [stopped.call("connections.list", {}), unspawned.call("connections.list", {})]
    stopped.stop()
    with pytest.raises(BrokerUnavailable):
        unspawned.start(settings(tmp_path))
    for answer in (*early, stopped.call("connections.list", {})):
        assert isinstance(answer.exception(DEADLINE_S), BrokerUnavailable)


def test_no_pydantic_plug_in_comes_into_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that any package can bring would be called with what is validated: secrets too."""
    seen = tmp_path / "seen"
    package = tmp_path / "site" / "watcher-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: watcher\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[pydantic]\nwatcher = watcher:plugin\n")
    (package.parent / "watcher.py").write_text(
        f"open({str(seen)!r}, 'w').close()\n"
        "class Plugin:\n"
        "    def new_schema_validator(self, *args): return None, None, None\n"
        "plugin = Plugin()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    broker = BrokerProcess(log=logging.getLogger("test"))
    broker.start(settings(tmp_path))
    try:
        assert broker.call("connections.list", {}).result(DEADLINE_S) == {"connections": []}
    finally:
        broker.stop()
    assert not seen.exists()
    # The plug-in would be found: elsewhere it is.
    subprocess.run(
        [sys.executable, "-c", "import pydantic; type('M', (pydantic.BaseModel,), {'__module__': 'm'})"],
        check=True,
        timeout=DEADLINE_S,
    )
    assert seen.exists()


def test_a_stopped_broker_leaves_neither_process_nor_socket(tmp_path: Path) -> None:
    """Nothing is left to clean up."""
    broker = BrokerProcess(log=logging.getLogger("test"))
    broker.start(settings(tmp_path))
    pid = broker.ready.result(DEADLINE_S).pid
    assert (tmp_path / "s" / "b").exists()
    broker.stop()
    assert gone(pid)
    assert not (tmp_path / "s" / "b").exists()


def test_when_the_broker_is_killed_calls_fail(broker: BrokerProcess) -> None:
    """A pending one and the next one know it, with a typed error."""
    os.kill(broker.pid or 0, signal.SIGSTOP)
    pending = broker.call("connections.list", {})
    kill(broker)
    assert isinstance(pending.exception(DEADLINE_S), BrokerUnavailable)


def test_a_killed_broker_is_started_again_on_the_same_path(
    broker: BrokerProcess, restarted: Future[BrokerReady], tmp_path: Path
) -> None:
    """Requesters find the new one where the old one was."""
    old = kill(broker)
    new = restarted.result(DEADLINE_S)
    assert new.pid != old
    assert broker.call("connections.list", {}).result(DEADLINE_S) == {"connections": []}
    path = str(tmp_path / "s" / "b")
    wait_until(lambda: Path(path).exists(), deadline_s=DEADLINE_S, what="the socket")
    with asking(path) as asker:
        assert asker.ask("connections.list", {})["ok"]


def test_a_new_broker_is_told_the_tabs_and_kernels_again(tmp_path: Path) -> None:
    """What only the broker's memory held is brought back by its owner."""
    kernel = {"kernel_id": "k1", "pid": os.getpid(), "display_name": "Python 3"}
    document = {"path": "a.ipynb", "type": "notebook", "saved": True}
    with operated_broker(tmp_path) as (operator, path):
        _make_connection(operator)
        operator.call("supervision.kernels", {"kernels": [{**kernel, "documents": [document]}]})
        restart(operator)
        operator.call("vault.unlock", {"passphrase": PASSPHRASE})
        with asking(path) as asker:
            assert asker.ask("access.request", {"connection": "warehouse"})["ok"]
        assert operator.asked[0]["requester"]["label"] == "a.ipynb"


def test_a_handle_works_again_after_a_crash_and_an_unlock(tmp_path: Path) -> None:
    """Grants and handles are stored, not remembered; with a passphrase the vault is locked at first."""
    with operated_broker(tmp_path) as (operator, path):
        _make_connection(operator)
        with asking(path) as asker:
            handle = asker.ask("access.request", {"connection": "warehouse"})["body"]
            assert asker.ask("access.deliver", {"ref": handle["ref"]})["ok"]
            restart(operator)
        with asking(path) as asker:
            locked = asker.ask("access.deliver", {"ref": handle["ref"]})
            assert locked["problem"]["code"] == VaultLocked.code
            operator.call("vault.unlock", {"passphrase": PASSPHRASE})
            assert asker.ask("access.deliver", {"ref": handle["ref"]})["ok"]


def _make_connection(operator: Operator) -> None:
    fields = {"host": "localhost", "port": 5432, "database": "sales", "user": "report"}
    operator.create("warehouse", IN_CLEAR, fields, {"password": "a-password"})


def test_a_question_of_a_killed_broker_is_recorded_as_interrupted(tmp_path: Path) -> None:
    """The next broker closes what nobody can answer any more."""
    with operated_broker(tmp_path, rule=None) as (operator, path):
        _make_connection(operator)
        with asking(path) as asker:
            threading.Thread(target=_ask, args=(asker,)).start()
            wait_until(
                lambda: operator.call("access_requests.list")["access_requests"],
                deadline_s=DEADLINE_S,
                what="the question",
            )
            restart(operator)
            types = [event["type"] for event in operator.call("audit.list")["events"]]
            assert types[:2] == ["access:interrupted", "access:asked"]


def _ask(asker: RawRequester) -> None:
    # The broker is killed while it waits.
    with contextlib.suppress(AssertionError, OSError, ConnvaultError):
        asker.ask("access.request", {"connection": "warehouse"})


def test_the_broker_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    """`kill -9` leaves the owner no time to say goodbye."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, settings(tmp_path).model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert not gone(pid)
        owner.kill()
        wait_until(lambda: gone(pid), deadline_s=DEADLINE_S, what="the broker's end")


def test_the_broker_shows_nothing_in_argv_and_environment(broker: BrokerProcess) -> None:
    """A descriptor's number is the only argument; Jupyter's own variables stay with the server."""
    arguments = Path(f"/proc/{broker.pid}/cmdline").read_bytes().split(b"\0")[1:-1]
    assert arguments[-3:-1] == [b"-m", b"connvault_jupyter.broker"]
    assert arguments[-1].isdigit()
    # The interpreter comes before, where the dynamic loader was told to run it.
    assert arguments[:-3] in ([], [os.fsencode(sys.executable)])


def test_the_broker_is_not_dumpable(broker: BrokerProcess) -> None:
    """Its /proc files belong to root, as proc(5) says of a process that is not dumpable."""
    assert broker.ready.result().non_dumpable
    pid = broker.pid
    assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


def test_another_process_of_the_user_can_not_read_its_memory() -> None:
    """As an ordinary user, which the test becomes if root runs it: root reads every process."""
    done = subprocess.run(
        [sys.executable, "-c", READER], check=False, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.stdout.split() == ["open", "refused"], done.stderr


def test_a_broker_of_another_version_refuses_with_the_reason(tmp_path: Path) -> None:
    """An update under a running server: calls say what to do instead of that nothing runs."""
    broker = BrokerProcess(log=logging.getLogger("test"))
    broker.start(settings(tmp_path, version="0.0.0"))
    try:
        refused = wait_until(
            lambda: (
                found
                if isinstance(
                    found := broker.call("connections.list", {}).exception(DEADLINE_S), VersionMismatch
                )
                else None
            ),
            deadline_s=DEADLINE_S,
            what="the reason",
        )
        assert "Restart" in refused.message
    finally:
        broker.stop()


def test_a_broker_that_can_not_be_spawned_is_unavailable(tmp_path: Path) -> None:
    """The owner goes on without it."""
    broker = BrokerProcess(log=logging.getLogger("test"), spawn=_no_interpreter)
    with pytest.raises(BrokerUnavailable):
        broker.start(settings(tmp_path))
    assert isinstance(broker.call("connections.list", {}).exception(1), BrokerUnavailable)


def test_a_key_in_the_terminal_does_not_end_the_broker(broker: BrokerProcess) -> None:
    """Ctrl-C is the server's; the broker is in a session of its own and does not listen to it."""
    pid = broker.pid or 0
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGINT)
    assert broker.call("connections.list", {}).result(DEADLINE_S) == {"connections": []}
    assert broker.pid == pid


def test_nothing_of_this_process_was_made_non_dumpable() -> None:
    """Hardening happens in the broker, not in whoever imports it."""
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 1


def test_a_broker_that_is_not_to_start_gives_its_reason(tmp_path: Path) -> None:
    """To who asked before, and to who asks later."""
    broker = BrokerProcess(log=logging.getLogger("test"))
    early = broker.call("connections.list", {})
    broker.refuse(ProcessTraced("a reason"))
    for answer in (early, broker.call("connections.list", {}), broker.ready):
        assert isinstance(answer.exception(DEADLINE_S), ProcessTraced)
    broker.stop()
