"""A file system without file locks, for this process."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest


def file_system_without_locks(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, number: int = errno.ENOLCK
) -> None:
    """Below `folder` flock(2) fails with `number` until the test ends; elsewhere it works."""
    flock = fcntl.flock

    def none_here(descriptor: int, how: int) -> None:
        if any(_is_open_as(descriptor, path) for path in folder.rglob("*")):
            raise OSError(number, os.strerror(number))
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", none_here)


def _is_open_as(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
