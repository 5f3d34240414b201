"""Locks that end with their holder, and are never found free while one is there."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connvault_jupyter.broker import locks
from tests.support.broker.no_locks import file_system_without_locks

HOLDS = """
import sys
from pathlib import Path
from connvault_jupyter.broker import locks
print(locks.hold(Path(sys.argv[1]), shared=sys.argv[2] == "shared") is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_lock_is_held_until_it_is_released(path: Path) -> None:
    """By one alone; then nothing is left of it."""
    held = locks.hold(path)
    assert held is not None
    assert locks.hold(path) is None
    assert locks.hold(path, shared=True) is None
    assert (locks.is_held(path), locks.is_left(path)) == (True, False)
    held.release()
    held.release()
    assert not path.exists()
    assert (locks.is_held(path), locks.is_left(path)) == (False, False)


def test_a_lock_ends_with_its_process(path: Path) -> None:
    """However it ends; what it leaves is found once, and taken away."""
    argv = [sys.executable, "-c", HOLDS, str(path), "alone"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert locks.is_held(path)
        process.kill()
    assert path.exists()
    assert locks.is_left(path)
    assert not path.exists()
    assert not locks.is_left(path)


def test_a_shared_lock_is_held_until_the_last_one_lets_go(path: Path) -> None:
    """Who wants it alone does not get it meanwhile."""
    one, other = locks.hold(path, shared=True), locks.hold(path, shared=True)
    assert one is not None
    assert other is not None
    one.release()
    assert locks.is_held(path)
    assert locks.hold(path) is None
    other.release()
    assert not locks.is_held(path)


def test_a_lock_is_not_inherited_by_what_is_executed(path: Path) -> None:
    """A kernel that outlives its server would keep the server's."""
    held = locks.hold(path)
    assert held is not None
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, close_fds=False) as process:
        held.release()
        assert not path.exists()
        again = locks.hold(path)
        assert again is not None
        again.release()
        process.kill()


def test_a_file_that_is_taken_away_meanwhile_is_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody found it free between its opening and its locking: the next one would make another file."""
    flock, calls = fcntl.flock, []

    def after_it_was_taken_away(descriptor: int, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            path.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", after_it_was_taken_away)
    held = locks.hold(path)
    assert held is not None
    assert len(calls) == 2
    monkeypatch.undo()
    assert locks.is_held(path)
    held.release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.parametrize("shared", [True, False])
def test_without_locks_none_is_given_and_nothing_is_found_free(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, shared: bool
) -> None:
    """A file system that has none: nobody is alone there, and nobody is taken for gone."""
    file_system_without_locks(monkeypatch, path.parent, number=number)
    opened = len(os.listdir("/dev/fd"))
    with pytest.raises(locks.NoLocks):
        locks.hold(path, shared=shared)
    assert (locks.is_held(path), locks.is_left(path)) == (True, False)
    assert len(os.listdir("/dev/fd")) == opened


def test_a_link_in_a_locks_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    """Something of the person's would be opened for writing, and taken away."""
    (tmp_path / "precious").write_text("mine")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic"):
        locks.hold(path)
    assert (locks.is_held(path), locks.is_left(path)) == (True, False)
    assert (tmp_path / "precious").read_text() == "mine"
