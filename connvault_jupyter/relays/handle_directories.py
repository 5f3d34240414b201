"""The folders in which handles' sockets lie, one a handle. Who listens there is not known here."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..contracts.frames import MAX_SOCKET_PATH_BYTES
from ..contracts.relay_wire import HAND_OVER_SOCKET, OPTIONS_SUFFIX, SOCKETS


class HandleDirectories:
    """`wanted` is made for them, if it is not too deep for sockets. Not safe to use from several threads at a time."""

    def __init__(self, wanted: Path) -> None:
        self._wanted = wanted
        self._base: Path | None = None

    def fresh(self, handle: str) -> Path:
        """The handle's own folder (0700), empty. Raises: OSError."""
        if self._base is None:
            self._base = self._made(handle)
        directory = self._base / handle
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        return directory

    def remove(self) -> None:
        """All of them."""
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)

    def _made(self, handle: str) -> Path:
        """The folder for all handles' own."""
        longest = max(map(len, (*SOCKETS.values(), HAND_OVER_SOCKET)))
        if len(os.fsencode(self._wanted)) + len(handle) + longest + 2 > MAX_SOCKET_PATH_BYTES:
            return Path(tempfile.mkdtemp(prefix="cv-", dir="/tmp"))  # 0700, and short everywhere
        # What a broker that was killed has left there is nobody's any more, but for what keeps a kernel's programs from
        # going elsewhere.
        for left in self._wanted.iterdir() if self._wanted.is_dir() else ():
            if left.suffix != OPTIONS_SUFFIX:
                shutil.rmtree(left, ignore_errors=True)
        self._wanted.mkdir(mode=0o700, exist_ok=True)
        return self._wanted
