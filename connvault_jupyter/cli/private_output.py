"""Writes a file that is there whole or not at all, readable by its owner only, and never in another's place."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import Conflict


def write(path: Path, pieces: Iterable[str], *, replacing: bool) -> None:
    """Writes `pieces` as UTF-8, mode 0600. `replacing`: an existing file is replaced, at the very end.

    The first piece is taken only when the file can be written: what makes it may ask a person, or be on record.

    Raises: Conflict: the file exists, and is not to be replaced.
        OSError: it can't be written.
    """
    if not replacing and os.path.lexists(path):
        raise Conflict("This file exists. Choose another name, or replace it with --force.")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # Beside it, as a file can only be moved within a file system.
    beside = path.with_name(f".connvault-{secrets.token_hex(8)}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        _move(beside, path, replacing=replacing)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _move(beside: Path, path: Path, *, replacing: bool) -> None:
    if replacing:
        beside.replace(path)
        return
    try:
        # Unlike a rename, it fails if somebody has made the file meanwhile.
        os.link(beside, path)
    except FileExistsError:
        raise Conflict("This file exists. Choose another name, or replace it with --force.") from None
    except OSError:
        # File systems without links.
        beside.rename(path)
