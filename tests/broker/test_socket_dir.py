"""The socket's place: ours alone, or refused."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.broker import socket_dir
from connvault_jupyter.contracts.frames import MAX_SOCKET_PATH_BYTES
from connvault_jupyter.errors import BrokerUnavailable


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
        path = socket_dir.choose(runtime, os.getpid())
        with socket_dir.bind(path):
            assert (mode(path.parent), mode(path)) == (0o700, 0o600)
    finally:
        os.umask(umask)


def test_a_directory_that_is_open_to_others_is_closed(runtime: Path) -> None:
    """It is ours, so it can be made right."""
    folder = runtime / f"connvault-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert mode(socket_dir.choose(runtime, os.getpid()).parent) == 0o700


def test_a_deep_runtime_directory_gives_a_short_private_one(runtime: Path) -> None:
    """A Unix socket's path has a hundred bytes at most."""
    deep = runtime / ("d" * 80) / "runtime"
    path = socket_dir.choose(deep, os.getpid())
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert mode(path.parent) == 0o700
    socket_dir.remove(path)
    assert not path.parent.exists()


def test_a_symlinked_directory_is_refused(runtime: Path) -> None:
    """Somebody else would decide where it leads."""
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / f"connvault-{os.getpid()}").symlink_to(runtime / "elsewhere")
    with pytest.raises(BrokerUnavailable):
        socket_dir.choose(runtime, os.getpid())
    with pytest.raises(BrokerUnavailable):
        socket_dir.bind(runtime / f"connvault-{os.getpid()}" / "s")


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_something_else_at_the_socket_s_path_is_refused(runtime: Path, what: str) -> None:
    """Only a socket of ours is ever replaced."""
    path = socket_dir.choose(runtime, os.getpid())
    if what == "file":
        path.write_text("mine")
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(runtime / "nowhere")
    with pytest.raises(BrokerUnavailable):
        socket_dir.bind(path)
    assert os.path.lexists(path)


def test_a_dead_broker_s_socket_is_replaced(runtime: Path) -> None:
    """A restart takes the same path."""
    path = socket_dir.choose(runtime, os.getpid())
    socket_dir.bind(path).close()
    with socket_dir.bind(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_directories_of_dead_servers_are_cleaned_up(runtime: Path) -> None:
    """A killed server could not do it itself; those of living ones stay."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, alive = runtime / f"connvault-{ended.pid}" / "s", runtime / f"connvault-{os.getppid()}" / "s"
    socket_dir.bind(dead).close()
    socket_dir.bind(alive).close()
    socket_dir.choose(runtime, os.getpid())
    assert not dead.parent.exists()
    assert alive.exists()
