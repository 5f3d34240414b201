"""The location of the requester socket, and checks that nobody else put it there. It does not accept connections.

The directory is 0700 and the socket 0600: the file system keeps other users out, and the check of a peer's uid backs
that up. The path is not secret.

The directory's name is random, as several containers with the same pids may share a runtime directory. Its owner has a
lock in it, and the broker has one beside its socket: whatever is not locked was abandoned.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from ..contracts.frames import MAX_SOCKET_PATH_BYTES, check_socket_path
from ..errors import BrokerUnavailable
from . import locks

_SOCKET_NAME = "s"
# The folder beside it, in which relays create one for each handle.
HANDLES = "h"
_PREFIX = "connvault-"
# As `tempfile` names them. Directories of earlier versions have no lock in them and are left alone.
_DIRECTORY = re.compile(r"connvault-[a-z0-9_]{8}")
_OWNERS_LOCK = "owner.lock"
_LAST_RESORT = "/tmp"  # noqa: S108 -- a directory of a random name, 0700, is made in it


class SocketDir:
    """A directory for one owner's socket. It stays until `remove`, even if its brokers die."""

    def __init__(self, path: Path, held: locks.Held) -> None:
        self.path = path
        """The path of the socket."""
        self._held = held

    def remove(self) -> None:
        """Removes it with its contents."""
        _take_away(self.path.parent)
        self._held.release()


def choose(runtime_dir: Path) -> SocketDir:
    """Creates a private directory below `runtime_dir`, or below the system's temporary directory if `runtime_dir`
    can't be used or is too deep for a Unix socket. Directories of ended owners there are removed.

    Raises:
        BrokerUnavailable: none can be created.
    """
    # TMPDIR may be deep too (macOS's own is 49 bytes, a sandbox's can be anything).
    temporary = _temporary()
    for folder in (runtime_dir, temporary, Path(_LAST_RESORT)):
        longest = folder / (_PREFIX + "x" * 8) / _SOCKET_NAME
        if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
            continue
        with contextlib.suppress(OSError):
            if folder == runtime_dir:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _clean_left_behind(folder)
            return _made(folder)
    raise BrokerUnavailable(
        f"There is no folder for the broker's socket: neither {runtime_dir} nor {temporary} is writable. "
        "Set JUPYTER_RUNTIME_DIR (or XDG_RUNTIME_DIR) and TMPDIR to other folders, then restart the server."
    )


class Bound:
    """A listening socket, and the lock that keeps others from replacing it. Ends with `close` or with the process."""

    def __init__(self, listener: socket.socket, path: Path, held: locks.Held) -> None:
        self.listener = listener
        self._path = path
        self._held = held

    def close(self) -> None:
        """Removes the socket and what is beside it; the directory belongs to its owner."""
        self.listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
        # The sockets of handles.
        shutil.rmtree(self._path.parent / HANDLES, ignore_errors=True)
        self._held.release()


def bind(path: Path) -> Bound:
    """A listening Unix socket at `path`, 0600. A socket of ours that a dead broker left there is replaced.

    Raises:
        BrokerUnavailable: a living broker has the path, it is too long, or the directory or the socket is a symbolic
            link, somebody else's, or open to others.
    """
    check_socket_path(str(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own_directory(path.parent)
        held = locks.hold(path.with_name(f"{path.name}.lock"))
    except OSError as exc:
        raise _unusable(path.parent, exc) from exc
    if held is None:
        raise BrokerUnavailable("Another broker already uses this socket. Each server needs its own.")
    try:
        return Bound(_listening(path), path, held)
    except BaseException:
        held.release()
        raise


def _listening(path: Path) -> socket.socket:
    try:
        found = path.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise BrokerUnavailable("Something else is at the path of the broker's socket. Remove it.")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Not by a umask, which affects all threads. Nobody else can reach it earlier, as the directory is private.
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
    except OSError as exc:
        listener.close()
        raise _unusable(path.parent, exc) from exc
    return listener


def _unusable(folder: Path, error: OSError) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The broker's socket can't be created in {folder} ({error.strerror}). Set JUPYTER_RUNTIME_DIR (or "
        "XDG_RUNTIME_DIR) to another folder, then restart the server."
    )


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(_LAST_RESORT)


def _made(folder: Path) -> SocketDir:
    """Raises: OSError."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        # Until its lock is held it looks abandoned, and may already have been removed.
        with contextlib.suppress(FileNotFoundError):
            held = locks.hold(directory / _OWNERS_LOCK)
            if held is not None:
                return SocketDir(directory / _SOCKET_NAME, held)


def _clean_left_behind(folder: Path) -> None:
    for entry in folder.iterdir():
        if (
            _DIRECTORY.fullmatch(entry.name)
            and _is_own(entry)
            and not locks.is_held(entry / f"{_SOCKET_NAME}.lock")
            and locks.is_left(entry / _OWNERS_LOCK)
        ):
            _take_away(entry)


def _take_away(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _is_own(directory: Path) -> bool:
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _own_directory(directory: Path) -> None:
    if not _is_own(directory):
        raise BrokerUnavailable(
            "The folder of the broker's socket is a symbolic link or belongs to another user. Remove it."
        )
    if stat.S_IMODE(directory.lstat().st_mode) != 0o700:
        # A umask or a copy may have changed its mode; it is ours, so correct it.
        directory.chmod(0o700)
