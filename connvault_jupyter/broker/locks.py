"""Locks that end with their holder, however it ends. This module does not know what a lock is for.

By flock(2): the lock belongs to the open file, so no pids are compared and it works across PID namespaces. Between
machines it is as good as the file system's locks; on a file system without locks, every lock counts as held, so
nothing is ever removed as abandoned.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Held:
    """A lock of this process; it ends with `release` or with the process. Executed programs do not inherit it."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def release(self) -> None:
        """Releases it, and removes the file if nobody else has it locked. Harmless when called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink()
        os.close(descriptor)


def hold(path: Path, *, shared: bool = False) -> Held | None:
    """The lock at `path`; `None`: somebody else has it. `shared`: several may have it at once, if all of them ask for
    a shared one.

    Raises: OSError: the file can't be created.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            # No locks on this file system: then others can't find it free either.
            return Held(descriptor, path)
        if _is_at(descriptor, path):
            return Held(descriptor, path)
        # Somebody found it free and has removed the file in the meantime: this lock is worthless.
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody has the lock, or it is unknown. A file that nobody has locked is removed."""
    return _is_left(path) is False


def is_left(path: Path) -> bool:
    """Whether the file exists but its holder does not. It is then removed."""
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
