"""A broker that does not start: why, at once, to everybody who asks; and it is not tried for ever."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.broker import broker_process
from connvault_jupyter.broker.broker_process import PROGRAM, BrokerProcess
from connvault_jupyter.broker.spawn import Spawned, Spawner
from connvault_jupyter.contracts.supervision import BrokerSettings
from connvault_jupyter.errors import BrokerUnavailable, ConnvaultError, SchemaTooNew, StorageError
from tests.support.broker.in_clear import IN_CLEAR, PROVIDERS
from tests.support.broker.namespaces import contained
from tests.support.broker.no_locks import file_system_without_locks
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, requester_process
from tests.support.broker.unprivileged import run_unprivileged
from tests.support.browser.rest import PASSPHRASE

DEADLINE_S = 30.0

MOVED_BY = ("ConnvaultExtension.data_dir", "JUPYTER_DATA_DIR", "HOME")


class Starts:
    """Starts a broker and counts how often it was tried."""

    def __init__(self, spawn: Callable[[Mapping[str, str]], Spawned] | None = None) -> None:
        self._spawn = spawn or Spawner(PROGRAM)
        self.count = 0
        self.broker = BrokerProcess(log=logging.getLogger("test.refused"), spawn=self)

    def __call__(self, environment: Mapping[str, str]) -> Spawned:
        self.count += 1
        return self._spawn(environment)

    def begin(self, settings: BrokerSettings) -> ConnvaultError:
        """Why it does not start: the same in each way to learn of it."""
        with contextlib.suppress(ConnvaultError):
            self.broker.start(settings)
        found = self.broker.ready.exception(DEADLINE_S)
        assert isinstance(found, ConnvaultError)
        assert self.ask() is found
        return found

    def ask(self) -> BaseException | None:
        return self.broker.call("vault.state", {}).exception(DEADLINE_S)


@pytest.fixture
def starts() -> Iterator[Starts]:
    found = Starts()
    yield found
    found.broker.stop()


def settings(home: Path, **changed: object) -> BrokerSettings:
    return BrokerSettings.model_validate(
        {
            "data_dir": str(home / "vault"),
            "socket_path": str(home / "s" / "b"),
            "server_root": str(home),
            "custodian": "passphrase",
            "version": __version__,
            **changed,
        }
    )


def too_new(home: Path) -> None:
    (home / "vault").mkdir(mode=0o700)
    with sqlite3.connect(home / "vault" / "connvault.db") as database:
        database.execute("PRAGMA user_version = 9999")
    database.close()


def told_a_kernel(home: Path) -> str:
    with requester_process(home, str(home / "s" / "b")) as kernel, pytest.raises(Refused) as refused:
        kernel.run("connections()")
    return str(refused.value)


def test_a_data_folder_that_can_not_be_made_is_named_with_what_moves_it(
    starts: Starts, short_tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """To who asks, in the log, and to a kernel; no process is started for it."""
    (short_tmp_path / "file").touch()
    data_dir = str(short_tmp_path / "file" / "vault")
    reason = starts.begin(settings(short_tmp_path, data_dir=data_dir))
    assert type(reason) is StorageError
    assert starts.count == 0
    for said in (reason.message, caplog.text, told_a_kernel(short_tmp_path)):
        for named in (data_dir, *MOVED_BY):
            assert named in said


def test_a_data_folder_without_file_locks_is_named_with_what_moves_it(
    starts: Starts, short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several servers would not know of each other there; no process is started for it."""
    (short_tmp_path / "vault").mkdir()
    file_system_without_locks(monkeypatch, short_tmp_path / "vault")
    reason = starts.begin(settings(short_tmp_path))
    assert type(reason) is StorageError
    assert starts.count == 0
    for named in (str(short_tmp_path / "vault"), "no file locks", *MOVED_BY):
        assert named in reason.message


# What is closed comes as (path below the home, mode), after a broker has run there or before.
UNWRITABLE = """
import sys
from pathlib import Path
from tests.broker.test_refused_starts import Starts, ran_once, settings
home, sockets, path, mode, used = Path(sys.argv[1]), *sys.argv[2:]
if used == "used":
    ran_once(home)
(home / path).chmod(int(mode, 8))
starts = Starts()
print(starts.begin(settings(home, socket_path=sockets + "/b")).message)
starts.broker.stop()
(home / path).chmod(0o700)
"""


def ran_once(home: Path) -> None:
    """There is a vault."""
    broker = BrokerProcess(log=logging.getLogger("test.refused"))
    broker.start(settings(home))
    broker.ready.result(DEADLINE_S)
    broker.stop()


@pytest.mark.parametrize(
    ("path", "mode", "used"),
    [
        (".", "500", "new"),
        ("vault", "500", "used"),
        ("vault", "000", "used"),
        ("vault/connvault.db", "400", "used"),
    ],
)
def test_a_folder_that_can_not_be_written_is_named_with_what_moves_it(
    short_tmp_path: Path, path: str, mode: str, used: str
) -> None:
    """Whatever of the vault is there already."""
    home, sockets = short_tmp_path / "home", short_tmp_path / "s"
    home.mkdir()
    sockets.mkdir(mode=0o700)
    said = run_unprivileged(UNWRITABLE, str(home), str(sockets), path, mode, used, home=short_tmp_path)
    for named in (str(home / "vault"), *MOVED_BY):
        assert named in said


READ_ONLY = """
import subprocess, sys
from pathlib import Path
from tests.broker.test_refused_starts import Starts, ran_once, settings
home, sockets, used = Path(sys.argv[1]), *sys.argv[2:]
if used == "used":
    ran_once(home)
subprocess.run(["mount", "--bind", home, home], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", home], check=True)
starts = Starts()
print(starts.begin(settings(home, socket_path=sockets + "/b")).message)
starts.broker.stop()
"""


@pytest.mark.parametrize("used", ["new", "used"])
def test_a_read_only_volume_is_named_with_what_moves_it(short_tmp_path: Path, used: str) -> None:
    """Where not even root may write."""
    home, sockets = short_tmp_path / "home", short_tmp_path / "s"
    home.mkdir()
    sockets.mkdir(mode=0o700)
    done = subprocess.run(
        contained([sys.executable, "-c", READ_ONLY, str(home), str(sockets), used]),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for named in (str(home / "vault"), *MOVED_BY):
        assert named in done.stdout


FOREIGN_PROC = """
import sys
from pathlib import Path
from tests.broker.test_refused_starts import Starts, settings
starts = Starts()
print(starts.begin(settings(Path(sys.argv[1]))).message)
starts.broker.stop()
"""


def test_a_proc_of_another_pid_namespace_is_refused_with_the_reason(short_tmp_path: Path) -> None:
    """Each pid would be looked up there and be some other process's: one would be taken for another."""
    done = subprocess.run(
        contained([sys.executable, "-c", FOREIGN_PROC, str(short_tmp_path)], own_proc=False),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "belongs to another PID namespace" in done.stdout


def test_a_refusal_is_not_tried_again_by_itself(starts: Starts, short_tmp_path: Path) -> None:
    """A newer database stays newer. A kernel gets the broker's own words, at once."""
    too_new(short_tmp_path)
    assert isinstance(starts.begin(settings(short_tmp_path)), SchemaTooNew)
    starts.broker.call("supervision.kernels", {"kernels": []}).exception(DEADLINE_S)
    assert told_a_kernel(short_tmp_path).startswith("SchemaTooNew: ")
    assert starts.count == 1


def test_a_person_who_has_seen_to_it_need_not_restart_the_server(
    starts: Starts, short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks again, and so it is tried again; kernels find it where they were refused."""
    too_new(short_tmp_path)
    starts.begin(settings(short_tmp_path))
    monkeypatch.setattr(broker_process, "_AGAIN_AFTER_S", 0.0)
    wait_until(lambda: starts.ask() and starts.count == 2, deadline_s=DEADLINE_S, what="another start")
    (short_tmp_path / "vault" / "connvault.db").unlink()
    starts.broker.call("supervision.kernels", {"kernels": []}).exception(DEADLINE_S)
    assert starts.count == 2
    wait_until(lambda: starts.ask() is None, deadline_s=DEADLINE_S, what="the broker")
    assert starts.count == 3
    with requester_process(short_tmp_path, str(short_tmp_path / "s" / "b")) as kernel:
        assert kernel.run("len(connections())") == 0


def test_a_later_start_is_told_what_the_server_said_meanwhile(
    starts: Starts, short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs where and how many tabs there are: without a tab every question would be a no."""
    too_new(short_tmp_path)
    starts.begin(
        settings(
            short_tmp_path, provider_dirs=[str(PROVIDERS)], consent={"approver_grace_s": 0, "timeout_s": 1}
        )
    )
    starts.broker.call("supervision.approvers", {"count": 1}).exception(DEADLINE_S)
    monkeypatch.setattr(broker_process, "_AGAIN_AFTER_S", 0.0)
    (short_tmp_path / "vault" / "connvault.db").unlink()
    wait_until(lambda: starts.ask() is None, deadline_s=DEADLINE_S, what="the broker")
    call = starts.broker.call
    call("vault.setup", {"custodian": "passphrase", "passphrase": PASSPHRASE}).result(DEADLINE_S)
    fields = {"host": "localhost", "port": 5432, "database": "sales", "user": "report"}
    made = {
        "provider_id": IN_CLEAR,
        "name": "warehouse",
        "fields": fields,
        "secrets": {"password": {"value": "p"}},
    }
    call("connections.create", made).result(DEADLINE_S)
    path = str(short_tmp_path / "s" / "b")
    with requester_process(short_tmp_path, path) as kernel, pytest.raises(Refused, match="ConsentTimeout"):
        kernel.run("connection('warehouse')")


def test_a_page_that_asks_in_a_loop_does_not_start_the_broker_in_one(
    starts: Starts, short_tmp_path: Path
) -> None:
    """Once every few seconds at most."""
    too_new(short_tmp_path)
    starts.begin(settings(short_tmp_path))
    for _ in range(20):
        assert isinstance(starts.ask(), SchemaTooNew)
    assert starts.count == 1


def _ends_at_once(_environment: Mapping[str, str]) -> Spawned:
    return Spawned(("-c", "pass"), {}, None, tried=lambda *, worked: None)


def test_a_broker_that_ends_at_once_each_time_is_given_up(
    short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been an accident, so some starts follow; and `ready` is settled then."""
    monkeypatch.setattr(broker_process, "_FIRST_PAUSE_S", 0.0)
    starts = Starts(_ends_at_once)
    reason = starts.begin(settings(short_tmp_path))
    assert isinstance(reason, BrokerUnavailable)
    assert starts.count == broker_process._MAX_STARTS
    assert told_a_kernel(short_tmp_path).startswith("BrokerUnavailable: ")
    starts.broker.stop()


def test_a_trouble_that_passes_by_itself_is_waited_for(
    starts: Starts, short_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that another process keeps busy."""
    monkeypatch.setattr(broker_process, "_FIRST_PAUSE_S", 0.0)
    (short_tmp_path / "vault").mkdir(mode=0o700)
    database = sqlite3.connect(short_tmp_path / "vault" / "connvault.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    starts.broker.start(settings(short_tmp_path))
    wait_until(lambda: starts.count > 1, deadline_s=DEADLINE_S, what="a second start")
    database.execute("COMMIT")
    database.close()
    assert starts.broker.ready.result(DEADLINE_S).version == __version__
