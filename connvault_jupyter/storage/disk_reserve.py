"""A file that reserves space for the moment when the disk is full. It does not know what the space is used for."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from .private_files import FILE_MODE
from .sqlite_errors import NO_SPACE

# A revoke or a lock with its audit event takes some 20 pages of 4 KiB; 1 MiB also covers ending a run with thousands
# of handles.
RESERVE_BYTES = 1024 * 1024

# With less than this free, the transactions that `escape` protects might not fit.
ENOUGH_BYTES = RESERVE_BYTES // 2

_log = logging.getLogger(__name__)


class Reserve:
    """Space reserved at `path`, really allocated: random bytes, so that a compressing file system keeps it too."""

    def __init__(self, *, path: Path) -> None:
        self._path = path

    def make(self) -> bool:
        """Creates the file unless it is already complete; returns whether it exists now.

        Never raises: without it everything works until the disk is full. It does not use up the last space of a disk.
        """
        try:
            if self._path.lstat().st_size >= RESERVE_BYTES:
                return True
        except OSError:
            pass
        if _free_bytes(self._path.parent) < RESERVE_BYTES + ENOUGH_BYTES:
            return False
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            _fill(draft, RESERVE_BYTES, sync=True)
            draft.replace(self._path)
        except OSError as exc:
            draft.unlink(missing_ok=True)
            if exc.errno not in NO_SPACE:
                _log.warning("The reserve file can't be made (error %s)", exc.errno)
            return False
        return True

    def free(self) -> bool:
        """Frees the space; returns whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def space_is_short(self) -> bool:
        """Whether the next few pages might not fit. Tested by writing, as `statvfs` does not consider quotas."""
        if _free_bytes(self._path.parent) < ENOUGH_BYTES:
            return True
        probe = self._path.with_name(f"{self._path.name}.probe.{os.getpid()}")
        try:
            # Not synced: it is removed before it would reach the disk.
            _fill(probe, ENOUGH_BYTES, sync=False)
        except OSError as exc:
            return exc.errno in NO_SPACE
        finally:
            probe.unlink(missing_ok=True)
        return False


def _free_bytes(directory: Path) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    # Some user-space file systems report nothing; then only writing shows it.
    return found.f_bavail * found.f_frsize if found.f_blocks else 2 * (RESERVE_BYTES + ENOUGH_BYTES)


def _fill(path: Path, size_bytes: int, *, sync: bool) -> None:
    """`sync`: some file systems (NFS) refuse only then."""
    # Do not trust what an ended process may have left under this name.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        left = memoryview(os.urandom(size_bytes))
        while left:
            left = left[os.write(descriptor, left) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
