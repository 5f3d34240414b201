"""Where processes are numbered: a boot of a machine and a PID namespace in it. And whether anybody is still there.

A pid says nothing about a process in another place: two containers have the same numbers, on the same machine and in
the same boot. What was given to runs there can't be judged by looking at /proc. So each owner of a broker holds a lock
for its place, in the vault's own folder, for as long as it lives: a place whose lock nobody has is one where no owner
is left that could serve its runs, and what they had is over.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import BrokerUnavailable, StorageError
from . import locks
from .os_processes import PidNamespace, here

FOLDER = "places"

# Somebody who looks whether a lock is free has it for some microseconds.
_PATIENCE_S = 2.0
_PAUSE_S = 0.01


def own_namespace() -> PidNamespace:
    """Where this process's pids count. Raises: BrokerUnavailable: /proc is not there, or is of another place."""
    try:
        return here().namespace()
    except OSError as exc:
        raise BrokerUnavailable(
            "connvault can't tell who is asking: /proc is not mounted, or belongs to another PID namespace "
            "than the server. Mount the container's own /proc and restart the server."
        ) from exc


class PidNamespaces:
    """`data_dir` is the vault's folder; it need not be there yet."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def enter(self) -> locks.Held:
        """Holds the lock of this process's place until it is released or the process ends.

        Raises:
            StorageError: the folder can't be used, or is on a file system without locks.
            BrokerUnavailable: another program keeps the lock for itself, or the place can't be told.
        """
        from ..storage.private_files import private_directory, unusable

        namespace = own_namespace()
        try:
            private_directory(self._folder.parent)
            private_directory(self._folder)
            for left in self._folder.iterdir():
                if left != self._file(namespace):
                    locks.is_held(left)
            deadline = time.monotonic() + _PATIENCE_S
            while time.monotonic() < deadline:
                held = locks.hold(self._file(namespace), shared=True)
                if held is not None:
                    return held
                time.sleep(_PAUSE_S)
        except locks.NoLocks as exc:
            raise StorageError(
                f"connvault can't protect its data in {self._folder.parent}: {exc.strerror}, so several servers "
                "would not know of each other. Mount it with locks, or set a folder elsewhere: "
                "ConnvaultExtension.data_dir, JUPYTER_DATA_DIR, or HOME. Then restart the server."
            ) from exc
        except OSError as exc:
            raise unusable(self._folder.parent, exc) from exc
        raise BrokerUnavailable(
            f"Another program has locked {self._file(namespace)}. End it, then restart the server."
        )

    def somebody_at(self, namespace: PidNamespace) -> bool:
        """Whether an owner is there, or it can't be told."""
        return locks.is_held(self._file(namespace))

    def _file(self, namespace: PidNamespace) -> Path:
        return self._folder / "-".join(namespace)
