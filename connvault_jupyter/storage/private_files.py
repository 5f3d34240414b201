"""Directories and files that belong to one person: how they are created, and when they are refused. Knows nothing
about SQLite."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from ..errors import StorageError, StorageFull
from .sqlite_errors import NO_SPACE

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
_OF_OTHERS = 0o077


def private_directory(path: Path) -> None:
    """Makes sure that the directory exists, is ours, and is closed to others.

    Parents are created with the default rights. If the directory is ours, the rights of others on it are removed.

    Raises:
        StorageError: it is a symbolic link, somebody else's, or not a directory. Whoever put it there could read its
        files.
        StorageFull: there is no space to create it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=DIRECTORY_MODE)
        except FileExistsError:
            _claim(path, stat.S_ISDIR, DIRECTORY_MODE, "directory")
    except OSError as exc:
        raise unusable(path, exc) from exc


def unusable(folder: Path, error: OSError) -> StorageError:
    """What to raise if the vault's folder can't be created or written: names the folder, and the settings that change
    it."""
    if error.errno in NO_SPACE:
        return StorageFull()
    return StorageError(
        f"connvault can't store its data in {folder} ({error.strerror or type(error).__name__}). Make that "
        "folder writable, or set another one: ConnvaultExtension.data_dir, JUPYTER_DATA_DIR, or HOME, "
        "whose .local/share/jupyter is the default. Then restart the server."
    )


def create_private(path: Path) -> None:
    """Creates an empty private file, unless something is already there.

    An existing file is not opened: closing any descriptor of a database file drops the locks that SQLite holds on it
    in this process (https://www.sqlite.org/howtocorrupt.html 2.2).

    Raises: StorageFull, StorageError.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
    except FileExistsError:
        return
    except OSError as exc:
        raise unusable(path.parent, exc) from exc


def claim_private(path: Path) -> None:
    """Makes sure that a file, if it exists, is a regular file of ours that nobody else can read.

    Raises: StorageError: it is a symbolic link, somebody else's, or not a file.
    """
    try:
        _claim(path, stat.S_ISREG, FILE_MODE, "file")
    except FileNotFoundError:
        return
    except OSError as exc:
        raise unusable(path.parent, exc) from exc


def _claim(path: Path, is_kind: Callable[[int], bool], mode: int, kind: str) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise StorageError(
            f"connvault's {kind} {path.name} is a symbolic link. Replace it with a real {kind}."
        )
    if not is_kind(found.st_mode):
        raise StorageError(
            f"connvault needs a {kind} at {path.name}, but something else is there. Move it away."
        )
    if found.st_uid != os.geteuid():
        raise StorageError(
            f"connvault's {kind} {path.name} belongs to another user. Use a data directory of your own."
        )
    if stat.S_IMODE(found.st_mode) & _OF_OTHERS:
        path.chmod(mode)
