"""Where the requester socket lies and that nobody else put it there. No listening happens here.

The directory is 0700 and the socket 0600: the file system lets no other user in, so the first check of a peer (equal
uid) is the second net. The path is no secret.
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

_SOCKET_NAME = "s"
# The folder beside it in which relays make one for each handle.
HANDLES = "h"
_DIRECTORY = re.compile(r"^connvault-(\d+)$")


def choose(runtime_dir: Path, pid: int) -> Path:
    """A path for the socket of the server `pid`, in a directory that exists and is ours alone.

    Below `runtime_dir`, or below the system's temporary directory where that is too deep for a Unix socket.

    Raises:
        BrokerUnavailable: a directory of that name belongs to somebody else or is a symbolic link.
    """
    directory = runtime_dir / f"connvault-{pid}"
    path = directory / _SOCKET_NAME
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        path = Path(tempfile.mkdtemp(prefix="connvault-")) / _SOCKET_NAME
        if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            # TMPDIR may be deep too (macOS's own is 49 bytes, a sandbox's can be anything).
            path.parent.rmdir()
            path = Path(tempfile.mkdtemp(prefix="connvault-", dir="/tmp")) / _SOCKET_NAME
        return path
    _clean_stale(runtime_dir)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
    _own_directory(directory)
    return path


def bind(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, 0600. An own socket that a dead broker left there is replaced.

    Raises:
        BrokerUnavailable: the path is too long, or the directory or the socket is a symbolic link, somebody else's,
            or open to others.
    """
    check_socket_path(str(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own_directory(path.parent)
    try:
        found = path.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise BrokerUnavailable(
                "Something that is not the broker's lies at the socket's path. Remove it."
            )
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mask counts for the whole process, so bind before there are other threads that create files.
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as exc:
        listener.close()
        raise BrokerUnavailable("The broker's socket can't be created. Check JUPYTER_RUNTIME_DIR.") from exc
    finally:
        os.umask(mask)
    listener.listen(128)
    return listener


def remove(path: Path) -> None:
    """Takes socket and directory away; what is not there or not ours is left alone."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    # The sockets of handles, where the broker that made them was killed.
    with contextlib.suppress(OSError):
        shutil.rmtree(path.parent / HANDLES)
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def _own_directory(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise BrokerUnavailable(
            "The directory of the broker's socket is a link or belongs to somebody else. Remove it."
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        # A umask or a copy may have changed it; it is ours, so it can be made right.
        directory.chmod(0o700)


def _clean_stale(runtime_dir: Path) -> None:
    """Directories of servers that are gone (killed: nobody could clean up)."""
    with contextlib.suppress(OSError):
        for entry in runtime_dir.iterdir():
            match = _DIRECTORY.match(entry.name)
            if match and not entry.is_symlink() and not _exists(int(match[1])):
                remove(entry / _SOCKET_NAME)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
