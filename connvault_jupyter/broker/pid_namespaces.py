"""PID namespaces: a boot of a machine and a namespace in it; and whether one still has an owner.

A pid means nothing in another namespace: two containers use the same numbers, on the same machine and in the same
boot. So /proc can't tell whether runs there still exist. Therefore each owner of a broker holds a lock for its
namespace, in the vault's own folder, for as long as it lives: a namespace whose lock nobody has is one without an
owner that could serve its runs, so their permissions have ended.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import BrokerUnavailable, StorageError
from . import locks
from .os_processes import PidNamespace, here

FOLDER = "places"

# Checking whether a lock is free holds it for some microseconds.
_PATIENCE_S = 2.0
_PAUSE_S = 0.01


def own_namespace() -> PidNamespace:
    """This process's PID namespace. Raises: BrokerUnavailable: /proc is not mounted, or belongs to another one."""
    try:
        return here().namespace()
    except OSError as exc:
        raise BrokerUnavailable(
            "connvault can't tell who is asking: /proc is not mounted, or belongs to another PID namespace "
            "than the server. Mount the container's own /proc and restart the server."
        ) from exc


class PidNamespaces:
    """`data_dir` is the vault's folder; it need not exist yet."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def enter(self) -> locks.Held:
        """Holds the lock of this process's namespace until it is released or the process ends.

        Raises:
            StorageError: the folder can't be used, or its file system has no locks.
            BrokerUnavailable: another program holds the lock exclusively, or the namespace is unknown.
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
        """Whether it has an owner, or that is unknown."""
        return locks.is_held(self._file(namespace))

    def somebody_anywhere(self) -> bool:
        """Whether an owner has this vault open, in whichever namespace."""
        try:
            return any(locks.is_held(file) for file in self._folder.iterdir())
        except FileNotFoundError:
            return False

    def _file(self, namespace: PidNamespace) -> Path:
        return self._folder / "-".join(namespace)
