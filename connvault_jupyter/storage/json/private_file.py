"""A private file that is replaced as a whole: read without following links, written beside it, synced, renamed. It does
not know what is in it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import ConnectionsFileInvalid, StorageBusy, StorageError
from ..file_locks import has_lock
from ..private_files import FILE_MODE, claim_private, unusable

# Several times what a thousand connections with keys and certificates take. What is larger is a mistake, and would fill
# the broker's memory.
MAX_BYTES = 64 * 1024 * 1024

# As for a transaction of the database; whoever has the lock holds it for a few syncs of the disk.
LOCK_TIMEOUT_S = 2.0
_PAUSE_S = 0.005

# Each further try needs another program that replaces the file within the time of reading it.
_TRIES = 10

_OF_OTHERS = 0o077

Signature = tuple[int, int, int, int]
"""Inode, times of modification and of change in nanoseconds, size: other content, other signature, but for a change in
place within one tick of the kernel's clock (4 ms) that keeps the size."""


@dataclass(frozen=True)
class Found:
    """What was read; `digest` is its SHA-256."""

    data: bytes = field(repr=False)
    digest: bytes
    signature: Signature


class PrivateFile:
    """The file at `path`, the pending one that is to replace it, and a lock between processes.

    Other programs that replace the file do not know the lock. Whoever replaces it checks first that it is still what
    was read; between that and the rename nothing can be done about them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending = path.with_name(f"{path.name}.pending")
        self._lock = path.with_name(f"{path.name}.lock")

    def claim(self) -> None:
        """Raises: StorageError: one of the files is a link, somebody else's, or not a file."""
        for path in (self.path, self.pending, self._lock):
            claim_private(path)

    def signature(self) -> Signature | None:
        """`None`: there is none. Costs a microsecond."""
        try:
            return _signature(self.path.lstat())
        except OSError:
            return None

    def read(self) -> Found | None:
        """`None`: there is none. Raises: ConnectionsFileInvalid, StorageBusy, StorageError."""
        return _read(self.path)

    def read_pending(self) -> Found | None:
        """Likewise."""
        return _read(self.pending)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Against other processes, and other instances in this one. Never within itself.

        Raises: StorageBusy: somebody else has it for more than 2 s. StorageError."""
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        except OSError as exc:
            raise unusable(self.path.parent, exc) from exc
        try:
            try:
                while not has_lock(descriptor):
                    if time.monotonic() > deadline:
                        raise StorageBusy
                    time.sleep(_PAUSE_S)
            except OSError as exc:
                raise unusable(self.path.parent, exc) from exc
            yield
        finally:
            # The file stays: removing it would let two have "the" lock.
            os.close(descriptor)

    def write_pending(self, data: bytes) -> None:
        """Writes and syncs what is to be the next content. Raises: StorageFull, StorageError: nothing is left."""
        if len(data) > MAX_BYTES:
            raise StorageError(
                f"{self.path} would be larger than {MAX_BYTES >> 20} MiB. Remove connections first."
            )
        try:
            _remove(self.pending)
            _write(self.pending, data)
            _sync_folder(self.path.parent)
        except OSError as exc:
            with suppress(OSError):
                _remove(self.pending)
            raise unusable(self.path.parent, exc) from exc

    def discard_pending(self) -> None:
        """Raises: StorageError."""
        try:
            _remove(self.pending)
        except OSError as exc:
            raise unusable(self.path.parent, exc) from exc

    def remove(self) -> None:
        """Raises: StorageError."""
        try:
            _remove(self.path)
            _sync_folder(self.path.parent)
        except OSError as exc:
            raise unusable(self.path.parent, exc) from exc

    def install(self, *, erasing: bool = False) -> Signature | None:
        """Puts the pending file in its place; returns the new signature. `erasing`: what it replaces is overwritten.

        Raises: OSError: it may be in its place or not."""
        replaced = _open_to_erase(self.path) if erasing else None
        try:
            os.replace(self.pending, self.path)
            _sync_folder(self.path.parent)
            if replaced is not None:
                _erase(replaced)
        finally:
            if replaced is not None:
                os.close(replaced)
        return self.signature()

    def keep_aside(self, found: Found) -> Path:
        """Gives what is at `path` another name, after its digest. Raises: OSError."""
        kept = self.path.with_name(f"{self.path.name}.edited-{found.digest.hex()[:12]}")
        os.replace(self.path, kept)
        return kept

    def back_up(self, data: bytes, name: str) -> Path:
        """Writes `data` into a private file of this name beside it. Raises: StorageFull, StorageError."""
        copy = self.path.with_name(f"{self.path.name}.{name}")
        # As for the database's copies.
        draft = copy.with_name(f"{copy.name}.part")
        try:
            _remove(draft)
            _write(draft, data)
            os.replace(draft, copy)
            _sync_folder(self.path.parent)
        except OSError as exc:
            raise unusable(self.path.parent, exc) from exc
        finally:
            with suppress(OSError):
                _remove(draft)
        return copy


def _signature(found: os.stat_result) -> Signature:
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _read(path: Path) -> Found | None:
    for _ in range(_TRIES):
        try:
            # Opening a FIFO must not wait for its writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise ConnectionsFileInvalid(
                    f"{path} is a symbolic link. Replace it with a real file."
                ) from None
            raise unusable(path.parent, exc) from exc
        try:
            found = _stable(descriptor, path)
        except OSError as exc:
            raise unusable(path.parent, exc) from exc
        finally:
            os.close(descriptor)
        if found is not None:
            return found
    raise StorageBusy(f"{path} is being replaced by another program. Try again.")


def _stable(descriptor: int, path: Path) -> Found | None:
    """`None`: it was replaced or written meanwhile."""
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise ConnectionsFileInvalid(
            f"connvault needs a file at {path}, but something else is there. Move it away."
        )
    if before.st_uid != os.geteuid():
        raise ConnectionsFileInvalid(f"{path} belongs to another user. Put a file of your own there.")
    if before.st_size > MAX_BYTES:
        raise ConnectionsFileInvalid(
            f"{path} is larger than {MAX_BYTES >> 20} MiB. Move it away, and restore yours from a backup."
        )
    if stat.S_IMODE(before.st_mode) & _OF_OTHERS:
        # As git, or an editor that saves by renaming, has left it.
        os.fchmod(descriptor, FILE_MODE)
        before = os.fstat(descriptor)
    parts = []
    # One byte more, so that one that grows meanwhile has another size than before.
    left = before.st_size + 1
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    data = b"".join(parts)
    try:
        now = path.lstat()
    except FileNotFoundError:
        return None
    signature = _signature(before)
    if (
        len(data) != before.st_size
        or signature != _signature(now)
        or signature != _signature(os.fstat(descriptor))
    ):
        return None
    return Found(data, hashlib.sha256(data).digest(), signature)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_to_erase(path: Path) -> int | None:
    with suppress(OSError):
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    return None


def _erase(descriptor: int) -> None:
    """Overwrites what has no name any more; what somebody gave another name is theirs."""
    found = os.fstat(descriptor)
    if found.st_nlink:
        return
    left = found.st_size
    while left:
        left -= os.write(descriptor, bytes(min(left, 1 << 20)))
    os.fsync(descriptor)
