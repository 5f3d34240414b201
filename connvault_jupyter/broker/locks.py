"""Locks that end with whoever holds them, however that ends. What a lock stands for is not known here.

By flock(2): the lock is the open file's, so no pid is compared, and processes in different PID namespaces see each
other's. Between machines it is as good as the file system's locks are; where a file system has none, no lock is given,
and nothing is ever taken for left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class NoLocks(OSError):
    """The file system has no locks: some network file systems, as they are mounted here."""


class Held:
    """A lock of this process; it ends with `release` or with the process. Not inherited by what it executes."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def release(self) -> None:
        """Lets go of it, and takes the file away if nobody else has it. Harmless a second time."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink()
        os.close(descriptor)


def hold(path: Path, *, shared: bool = False) -> Held | None:
    """The lock at `path`; `None`: somebody else has it. `shared`: several may have it at once, if all want it so.

    Raises:
        NoLocks: whoever relied on it would not be alone.
        OSError: the file can't be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as exc:
            os.close(descriptor)
            raise NoLocks(exc.errno, "its file system has no file locks") from exc
        if _is_at(descriptor, path):
            return Held(descriptor, path)
        # Whoever found it free has taken the file away meanwhile: a lock on it is nobody's.
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody has the lock, or it can't be told. A file that nobody has is taken away."""
    return _is_left(path) is False


def is_left(path: Path) -> bool:
    """Whether the file is there and its holder is not. It is taken away."""
    return _is_left(path) is True


def _is_left(path: Path) -> bool | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, path):
            path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
