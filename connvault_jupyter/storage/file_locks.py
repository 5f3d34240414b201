"""A lock between processes on an open file or folder (flock): it ends with its holder, however that ends."""

from __future__ import annotations

import fcntl


def has_lock(descriptor: int) -> bool:
    """Whether this descriptor has the lock now; it is held until it is closed. Never waits.

    Raises: OSError: the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
