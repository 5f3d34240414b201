"""Connects to a server's Unix socket on this machine, and says whether anybody else could stand there. No protocol.

Other programs have such sockets too, and some obey whoever comes (a container engine, a notebook server). So a relay
says nothing that a client or a connection has chosen before the other side has shown that it speaks the protocol.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import UpstreamTimeout, UpstreamUnreachable

# As the kernel follows (path_resolution(7)).
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
        # Too long for an address, too, and a server with a full backlog.
        stream.close()
        raise UpstreamUnreachable(_NOBODY_THERE) from None
    return stream


def is_kept(path: str) -> bool:
    """Whether only those can have put this socket there to whom the folders belong: not everybody, as in `/tmp`.

    `path` is what was connected to: what the other end calls itself (getpeername) is the other end's own word.
    """
    trusted = {0, os.geteuid()}
    try:
        for place, folder in _way_to(path):
            found = folder.stat()
            if not found.st_mode & stat.S_IWOTH:
                continue
            if not found.st_mode & stat.S_ISVTX or place.lstat().st_uid not in trusted:
                return False
        # The last one is the socket: what stands in everybody's folder could have been put there by anybody.
        return not found.st_mode & stat.S_IWOTH
    except (OSError, ValueError):
        return False


def _way_to(path: str) -> Iterator[tuple[Path, Path]]:
    """Each folder and link on the way, and the socket itself, with the folder that it is in. Raises: OSError."""
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
