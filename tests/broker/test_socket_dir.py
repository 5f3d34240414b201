"""The socket's place: ours alone, or refused; and nobody's that is still used."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.broker import socket_dir
from connvault_jupyter.contracts.frames import MAX_SOCKET_PATH_BYTES
from connvault_jupyter.errors import BrokerUnavailable
from tests.support.broker.no_locks import file_system_without_locks
from tests.support.broker.unprivileged import run_unprivileged


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short runtime directory, whatever pytest's own is called."""
    folder = Path(tempfile.mkdtemp(prefix="rt", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_directory_and_socket_are_ours_alone(runtime: Path) -> None:
    """0700 and 0600, whatever the umask."""
    umask = os.umask(0)
    try:
        found = socket_dir.choose(runtime)
        bound = socket_dir.bind(found.path)
        assert (mode(found.path.parent), mode(found.path)) == (0o700, 0o600)
        bound.close()
        found.remove()
    finally:
        os.umask(umask)
    assert list(runtime.iterdir()) == []


def test_no_umask_is_set_for_a_moment(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would count for a server's other threads too, which make files meanwhile."""
    asked: list[int] = []
    monkeypatch.setattr(os, "umask", asked.append)
    socket_dir.bind(runtime / "d" / "s").close()
    assert asked == []


def test_a_directory_that_is_open_to_others_is_closed(runtime: Path) -> None:
    """It is ours, so it can be made right."""
    (runtime / "d").mkdir()
    (runtime / "d").chmod(0o777)
    bound = socket_dir.bind(runtime / "d" / "s")
    assert mode(runtime / "d") == 0o700
    bound.close()


def test_two_owners_have_two_directories(runtime: Path) -> None:
    """Whatever their pids are: in two containers they are the same."""
    one, other = socket_dir.choose(runtime), socket_dir.choose(runtime)
    assert one.path != other.path
    one.remove()
    assert other.path.parent.exists()
    other.remove()


def test_a_deep_runtime_directory_gives_a_short_private_one(runtime: Path) -> None:
    """A Unix socket's path has a hundred bytes at most."""
    found = socket_dir.choose(runtime / ("d" * 80) / "runtime")
    assert len(os.fsencode(found.path)) <= MAX_SOCKET_PATH_BYTES
    assert mode(found.path.parent) == 0o700
    found.remove()
    assert not found.path.parent.exists()


def test_a_runtime_directory_that_can_not_be_made_gives_a_temporary_one(runtime: Path) -> None:
    """A server without one is of use all the same."""
    (runtime / "file").touch()
    found = socket_dir.choose(runtime / "file" / "runtime")
    assert found.path.parent.parent == Path(tempfile.gettempdir())
    assert mode(found.path.parent) == 0o700
    found.remove()


NOWHERE = """
import sys, tempfile
from pathlib import Path
from connvault_jupyter.broker import socket_dir
from connvault_jupyter.errors import BrokerUnavailable
tempfile.tempdir = socket_dir._LAST_RESORT = sys.argv[1] + "/closed"
try:
    socket_dir.choose(Path(sys.argv[1], "closed", "runtime"))
except BrokerUnavailable as exc:
    print(exc)
"""


def test_without_any_folder_the_refusal_names_them_and_their_variables(tmp_path: Path) -> None:
    """What is to be changed, and where."""
    (tmp_path / "closed").mkdir(mode=0o500)
    said = run_unprivileged(NOWHERE, str(tmp_path), home=tmp_path)
    for named in (f"{tmp_path}/closed/runtime", "JUPYTER_RUNTIME_DIR", "XDG_RUNTIME_DIR", "TMPDIR"):
        assert named in said


def test_a_symlinked_directory_is_refused(runtime: Path) -> None:
    """Somebody else would decide where it leads."""
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / "link").symlink_to(runtime / "elsewhere")
    with pytest.raises(BrokerUnavailable):
        socket_dir.bind(runtime / "link" / "s")


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_something_else_at_the_socket_s_path_is_refused(runtime: Path, what: str) -> None:
    """Only a socket of ours is ever replaced."""
    found = socket_dir.choose(runtime)
    if what == "file":
        found.path.write_text("mine")
    elif what == "folder":
        found.path.mkdir()
    else:
        found.path.symlink_to(runtime / "nowhere")
    with pytest.raises(BrokerUnavailable):
        socket_dir.bind(found.path)
    assert os.path.lexists(found.path)
    found.remove()


def test_a_folder_that_can_not_be_written_is_named_with_its_variable(runtime: Path) -> None:
    """Not only that something failed."""
    (runtime / "file").touch()
    with pytest.raises(BrokerUnavailable, match=f"{runtime}/file.*JUPYTER_RUNTIME_DIR"):
        socket_dir.bind(runtime / "file" / "s")


def dead_broker_at(path: Path) -> None:
    """A broker that was killed: its socket and its lock's file are left."""
    code = (
        "import sys, os, pathlib; from connvault_jupyter.broker import socket_dir; "
        "bound = socket_dir.bind(pathlib.Path(sys.argv[1])); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert stat.S_ISSOCK(path.lstat().st_mode)


def test_a_dead_broker_s_socket_is_replaced(runtime: Path) -> None:
    """A restart takes the same path."""
    path = runtime / "d" / "s"
    dead_broker_at(path)
    bound = socket_dir.bind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    bound.close()


def test_a_living_broker_s_socket_is_not_replaced(runtime: Path) -> None:
    """Its notebooks would find the other one there."""
    path = runtime / "d" / "s"
    bound = socket_dir.bind(path)
    with pytest.raises(BrokerUnavailable, match="Another broker"):
        socket_dir.bind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    bound.close()
    socket_dir.bind(path).close()


def test_without_locks_a_living_broker_s_socket_is_not_replaced(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could tell that it lives. What to do about it is said."""
    path = runtime / "d" / "s"
    bound = socket_dir.bind(path)
    with monkeypatch.context() as patched:
        file_system_without_locks(patched, runtime)
        with pytest.raises(BrokerUnavailable, match=f"{runtime}/d.*no file locks.*JUPYTER_RUNTIME_DIR"):
            socket_dir.bind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    bound.close()


def test_a_runtime_directory_without_locks_gives_a_temporary_one(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers could not tell each other's folders from those that were left behind. Nothing is left there."""
    file_system_without_locks(monkeypatch, runtime)
    found = socket_dir.choose(runtime)
    assert found.path.parent.parent == Path(tempfile.gettempdir())
    assert list(runtime.iterdir()) == []
    found.remove()


def dead_owner_in(runtime: Path) -> Path:
    """The directory of a server that was killed."""
    code = (
        "import sys, os, pathlib; from connvault_jupyter.broker import socket_dir; "
        "found = socket_dir.choose(pathlib.Path(sys.argv[1])); print(found.path, flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(runtime)], check=True, capture_output=True, text=True
    )
    return Path(done.stdout.strip()).parent


def test_directories_of_dead_servers_are_cleaned_up(runtime: Path) -> None:
    """A killed server could not do it itself; those of living ones stay, also while they have no broker."""
    dead, alive = dead_owner_in(runtime), socket_dir.choose(runtime)
    assert not dead.exists()
    dead = dead_owner_in(runtime)
    dead_broker_at(dead / "s")
    mine = socket_dir.choose(runtime)
    assert not dead.exists()
    assert alive.path.parent.exists()
    for one in (alive, mine):
        one.remove()


def test_the_directory_of_a_dead_server_whose_broker_lives_stays(runtime: Path) -> None:
    """It is about to end with its server, and takes its things away itself."""
    dead = dead_owner_in(runtime)
    bound = socket_dir.bind(dead / "s")
    socket_dir.choose(runtime).remove()
    assert dead.exists()
    bound.close()


def test_what_has_no_lock_is_left_alone(runtime: Path) -> None:
    """Another version's, or something else of that name: nothing proves that it was left behind."""
    (runtime / "connvault-12345678").mkdir()
    (runtime / "connvault-4711").mkdir()
    socket_dir.choose(runtime).remove()
    assert sorted(one.name for one in runtime.iterdir()) == ["connvault-12345678", "connvault-4711"]
