"""Connects to a server's Unix socket on this machine, and checks whether somebody else could have put it there. No
protocol.

Other programs have such sockets too, and some obey any client (a container engine, a notebook server). So a relay
sends nothing chosen by a client or a connection before the other side has shown that it speaks the protocol.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import UpstreamTimeout, UpstreamUnreachable

# The kernel's own limit (path_resolution(7)).
_MOST_LINKS = 40

_NOBODY_THERE = (
    "Nothing listens at this path. Check the path, and whether the server or its proxy runs on this machine."
)


def connect_path(path: str, *, timeout_s: float) -> socket.socket:
    """A blocking connection. Raises: UpstreamUnreachable, UpstreamTimeout."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout_s)
        stream.connect(path)
        stream.settimeout(None)
    except TimeoutError:
        stream.close()
        raise UpstreamTimeout from None
    except (OSError, ValueError):
        # Also for a path that is too long, and for a full backlog.
        stream.close()
        raise UpstreamUnreachable(_NOBODY_THERE) from None
    return stream


def is_kept(path: str) -> bool:
    """Whether only the owners of its folders can have put this socket there, and not everybody, as in `/tmp`.

    `path` is the path used to connect: the other end itself chooses what getpeername returns.
    """
    trusted = {0, os.geteuid()}
    try:
        for place, folder in _way_to(path):
            found = folder.stat()
            if not found.st_mode & stat.S_IWOTH:
                continue
            if not found.st_mode & stat.S_ISVTX or place.lstat().st_uid not in trusted:
                return False
        # The last one is the socket: anybody could have put it into a folder that is open to all.
        return not found.st_mode & stat.S_IWOTH
    except (OSError, ValueError):
        return False


def _way_to(path: str) -> Iterator[tuple[Path, Path]]:
    """Each folder and link on the path, and the socket itself, with its folder. Raises: OSError."""
    folder, left, links = Path("/"), [*reversed(Path(path).parts[1:])], 0
    while left:
        name = left.pop()
        place = folder / name
        yield place, folder
        if place.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise OSError("too many symbolic links")
            target = Path(place.readlink())
            left += [one for one in reversed(target.parts) if one != "/"]
            folder = Path("/") if target.is_absolute() else folder
        else:
            folder = folder.parent if name == ".." else place
