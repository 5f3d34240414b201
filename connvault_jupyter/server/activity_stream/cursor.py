"""How far a destination has the activity log: a small file in the vault's folder, and the lock of who sends to it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ...broker.locks import Held, hold

VERSION = 1


@dataclass(frozen=True)
class Cursor:
    """The last event that was sent. `lost`: how many were removed from the log before they could be sent, or could not
    be read; `refused`: how many the destination did not take."""

    sequence: int = 0
    digest: str = "00" * 32
    vault_id: str | None = None
    lost: int = 0
    refused: int = 0


class CursorFile:
    """Version 1. A file of another version, or one that can't be read, counts as none: then all is sent again."""

    def __init__(self, folder: Path, destination: str) -> None:
        # A name for each destination; two settings may take turns.
        name = hashlib.sha256(destination.encode()).hexdigest()[:16]
        self._path = folder / f"activity-stream-{name}.json"
        self._lock = folder / f"activity-stream-{name}.lock"

    def hold(self) -> Held | None:
        """`None`: another server on the vault sends to it. Raises: OSError."""
        return hold(self._lock)

    def read(self) -> Cursor:
        try:
            found = json.loads(self._path.read_text())
            if found.pop("version") != VERSION:
                return Cursor()
            cursor = Cursor(**found)
            bytes.fromhex(cursor.digest)
            return cursor if min(cursor.sequence, cursor.lost, cursor.refused) >= 0 else Cursor()
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return Cursor()

    def write(self, cursor: Cursor) -> None:
        """Replaces it in one step. Raises: OSError."""
        beside = self._path.with_suffix(".part")
        # Left by a process that was killed here.
        with suppress(FileNotFoundError):
            beside.unlink()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"version": VERSION, **asdict(cursor)}, file)
        beside.replace(self._path)
