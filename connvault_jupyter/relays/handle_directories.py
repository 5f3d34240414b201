"""The folders for handles' sockets, one per handle. It does not know who listens there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..contracts.frames import MAX_SOCKET_PATH_BYTES
from ..contracts.relay_wire import HAND_OVER_SOCKET, OPTIONS_SUFFIX, SOCKETS


class HandleDirectories:
    """`wanted` is created for them, unless it is too deep for sockets. Not thread-safe."""

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
        """Removes all of them."""
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)

    def _made(self, handle: str) -> Path:
        """The folder that contains all of them."""
        longest = max(map(len, (*SOCKETS.values(), HAND_OVER_SOCKET)))
        if len(os.fsencode(self._wanted)) + len(handle) + longest + 2 > MAX_SOCKET_PATH_BYTES:
            return Path(tempfile.mkdtemp(prefix="cv-", dir="/tmp"))  # 0700, and short everywhere
        # Remains of a killed broker are no longer used, except the files that keep a kernel's programs from going
        # elsewhere.
        for left in self._wanted.iterdir() if self._wanted.is_dir() else ():
            if left.suffix != OPTIONS_SUFFIX:
                shutil.rmtree(left, ignore_errors=True)
        self._wanted.mkdir(mode=0o700, exist_ok=True)
        return self._wanted
