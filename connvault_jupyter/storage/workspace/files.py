"""Finds, reads and replaces projects' files. Implements `services.workspace_ports.WorkspaceFiles`.

A project is shared: its file may be another user's, and has the project's rights, not private ones. It is read without
following links, and written beside itself, synced, and renamed, under a lock (flock) on its folder. Other programs do
not know the lock: whoever replaces the file checks first that it is still what was read; between that and the rename
nothing can be done about them. Nobody waits for the lock, as everybody would wait for the broker meanwhile, and any
program that can read the folder can take it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from ...contracts.workspaces import WorkspaceBlock
from ...errors import (
    StorageBusy,
    StorageError,
    StorageFull,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
    WorkspaceReadOnly,
)
from ...services.visible_names import visible
from ...services.workspace_ports import WorkspaceFile
from ..file_locks import has_lock
from ..sqlite_errors import NO_SPACE
from .format import MAX_BLOCKS, file_of, text_of

FOLDER = ".connvault"
FILE = "connections.json"
_PENDING = f".{FILE}.pending"

# Several hundred connections. What is larger is a mistake; it is parsed while the broker holds its lock.
MAX_BYTES = 256 * 1024

# A change in place within one tick of the kernel's clock (10 ms at most) may leave the same times: what was changed so
# recently when it was read is read again. By the time of the change, which nobody can set.
_TICK_NS = 20_000_000

# Each further try needs another program that replaces the file within the time of reading it.
_TRIES = 10

_MODE = 0o666

# What a replaced file hands on: who may read and write, never whose rights it runs with.
_KEPT_MODE = 0o777
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_ABSENT = {errno.ENOENT, errno.ENOTDIR}

_LINK = "is, or is in, a symbolic link. Replace it with a real file in a real folder."

Signature = tuple[int, ...]


@dataclass(frozen=True)
class _Known:
    """What a file said, or why it could not be read. `settled`: equal signatures mean equal content. `digest`: of the
    text of which that is known; `None`: it was not read."""

    signature: Signature | None
    settled: bool
    digest: bytes | None = None
    found: WorkspaceFile | None = None
    problem: str = ""


class ProjectFiles:
    """`server_root` is an absolute path. `now_ns`: the time of the files' clock, in nanoseconds."""

    def __init__(self, *, server_root: str, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._server_root = server_root
        self._now_ns = now_ns
        self._known: dict[str, _Known] = {}

    def nearest(self, folder: str) -> str | None:
        """See `WorkspaceFiles.nearest`."""
        top, here = os.path.realpath(self._server_root), _real(folder)
        if here is None or not _is_within(here, top):
            return None
        while True:
            if _is_there(os.path.join(here, FOLDER, FILE)):
                return here
            if here == top:
                return None
            here = os.path.dirname(here)

    def folder(self, path: str) -> str | None:
        """See `WorkspaceFiles.folder`."""
        top = os.path.realpath(self._server_root)
        here = _real(os.path.join(top, path.lstrip("/")))
        return here if here is not None and _is_within(here, top) and os.path.isdir(here) else None

    def name(self, root: str) -> str:
        """See `WorkspaceFiles.name`."""
        top = os.path.realpath(self._server_root)
        shown = os.path.relpath(root, top) if _is_within(root, top) else root
        return visible(os.path.normpath(os.path.join(shown, FOLDER, FILE)))

    def signature(self, root: str) -> Signature | None:
        """See `WorkspaceFiles.signature`."""
        folder = os.path.join(root, FOLDER)
        try:
            outer, inner = os.lstat(folder), os.lstat(os.path.join(folder, FILE))
        except (OSError, ValueError) as exc:
            # Gone, and not to be read, are not the same.
            return None if _is_absent(exc) else (0,)
        return _folder_signature(outer) + _signature(inner)

    def read(self, root: str) -> WorkspaceFile | None:
        """See `WorkspaceFiles.read`."""
        known = self._known.get(root)
        if known is None or not known.settled or known.signature != self.signature(root):
            known = self._look(root, known)
            self._known[root] = known
        if known.problem:
            raise WorkspaceFileInvalid(known.problem)
        return known.found

    def change(self, root: str, blocks: Mapping[str, WorkspaceBlock], *, expected: bytes | None) -> None:
        """See `WorkspaceFiles.change`."""
        data, name = text_of(blocks), self.name(root)
        if len(blocks) > MAX_BLOCKS:
            raise WorkspaceFileInvalid(
                f"{name} would have more than {MAX_BLOCKS} connections. Remove some first."
            )
        if len(data) > MAX_BYTES:
            raise WorkspaceFileInvalid(
                f"{name} would be larger than {MAX_BYTES >> 10} KiB. Remove connections first."
            )
        _refuse_link(root, name)
        try:
            with suppress(FileExistsError):
                os.mkdir(os.path.join(root, FOLDER))
            with _opened(root) as folder:
                _lock(folder)
                present = _raw(folder, name)
                if (None if present is None else hashlib.sha256(present[0]).digest()) != expected:
                    raise WorkspaceFileChanged
                mode = None if present is None else present[1].st_mode & _KEPT_MODE
                _replace(folder, data, mode)
        except OSError as exc:
            _refuse_to_write(name, exc)
        self._known.pop(root, None)

    def _look(self, root: str, known: _Known | None) -> _Known:
        name = self.name(root)
        for _ in range(_TRIES):
            before = self.signature(root)
            if before is None:
                return _Known(None, settled=True)
            settled = len(before) == 1 or self._now_ns() - before[_CTIME] > _TICK_NS
            digest, found, problem = None, None, ""
            try:
                _refuse_link(root, name)
                with _opened(root) as folder:
                    present = _raw(folder, name)
                if present is not None:
                    digest = hashlib.sha256(present[0]).digest()
                    if known is not None and known.digest == digest:
                        found, problem = known.found, known.problem
                    else:
                        found = file_of(present[0], digest, name)
            except WorkspaceFileInvalid as exc:
                problem = exc.message
            except OSError as exc:
                problem = _unreadable(name, exc)
            if self.signature(root) == before:
                return _Known(before, settled, digest, found, problem)
        return _Known(None, False, problem=f"{name} is being replaced by another program. Try again.")


# The position in a signature.
_CTIME = 4


def _signature(found: os.stat_result) -> Signature:
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode


def _folder_signature(found: os.stat_result) -> Signature:
    return found.st_ino, found.st_mode


def _real(path: str) -> str | None:
    """Without symbolic links; `None`: no path, or one that JSON can't hold."""
    try:
        found = os.path.realpath(path)
        found.encode()
    except (OSError, ValueError):
        return None
    return found


def _refuse_link(root: str, name: str) -> None:
    """A root was none when it was found; a project can have a link in its place since then.

    Raises: WorkspaceFileInvalid."""
    if _real(root) != root:
        raise WorkspaceFileInvalid(f"{name} {_LINK}")


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except (OSError, ValueError) as exc:
        return not _is_absent(exc)
    return True


def _is_absent(error: Exception) -> bool:
    return not isinstance(error, OSError) or error.errno in _ABSENT


@contextmanager
def _opened(root: str) -> Iterator[int]:
    """The project's `.connvault`."""
    descriptor = os.open(
        os.path.join(root, FOLDER), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    )
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _raw(folder: int, name: str) -> tuple[bytes, os.stat_result] | None:
    """`None`: there is none. Raises: WorkspaceFileInvalid, OSError."""
    try:
        # Opening a FIFO must not wait for its writer.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(FILE, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise WorkspaceFileInvalid(f"{name} is not a file. Move it away.")
        if found.st_size > MAX_BYTES:
            raise WorkspaceFileInvalid(f"{name} is larger than {MAX_BYTES >> 10} KiB. Remove connections.")
        parts, left = [], MAX_BYTES + 1
        while left and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
        if not left:
            raise WorkspaceFileInvalid(f"{name} is growing. Remove connections.")
        return b"".join(parts), found
    finally:
        os.close(descriptor)


def _lock(folder: int) -> None:
    """Held until the descriptor is closed. A folder, so that nothing has to be left in the project. Raises:
    StorageBusy, OSError."""
    if not has_lock(folder):
        raise StorageBusy("Another program is changing the project's connections. Try again.")


def _replace(folder: int, data: bytes, mode: int | None) -> None:
    with suppress(FileNotFoundError):
        # What a killed broker left, perhaps somebody else's.
        os.unlink(_PENDING, dir_fd=folder)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(_PENDING, flags, _MODE, dir_fd=folder)
    try:
        try:
            if mode is not None:
                os.fchmod(descriptor, mode)
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(_PENDING, FILE, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except OSError:
        with suppress(OSError):
            os.unlink(_PENDING, dir_fd=folder)
        raise


def _unreadable(name: str, error: OSError) -> str:
    # A link, or no folder, where the folder should be: Linux says ENOTDIR for both, macOS ELOOP for a link.
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return f"{name} {_LINK}"
    return f"{name} can't be read ({error.strerror or type(error).__name__}). Change its rights."


def _refuse_to_write(name: str, error: OSError) -> NoReturn:
    if error.errno in NO_SPACE:
        raise StorageFull(
            "The disk is full, so the project's file was not changed. Free some space."
        ) from error
    if error.errno in _READ_ONLY:
        raise WorkspaceReadOnly(
            f"{name} can't be written, so nothing was changed. Make the project's folder writable, or ask "
            "somebody who can change it."
        ) from error
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        raise WorkspaceFileInvalid(_unreadable(name, error)) from error
    raise StorageError(
        f"{name} can't be written ({error.strerror or type(error).__name__}). Nothing was changed."
    ) from error
