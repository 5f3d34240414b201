"""Connects to a server's Unix socket on this machine, and says whether anybody else could stand there. No protocol.

Other programs have such sockets too, and some obey whoever comes (a container engine, a notebook server). So a relay
says nothing that a client or a connection has chosen before the other side has shown that it speaks the protocol.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from ..errors import UpstreamTimeout, UpstreamUnreachable

_NOBODY_THERE = (
    "Nobody listens at this path. Check the path, and whether the server or its proxy runs on this machine."
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
    """Whether only those can have put this socket there to whom the folders belong: not everybody, as in `/tmp`."""
    try:
        folder, *above = Path(os.path.realpath(path)).parents
        return not _anyone_writes(folder) and not any(
            _anyone_writes(one) and not one.stat().st_mode & stat.S_ISVTX for one in above
        )
    except (OSError, ValueError):
        return False


def _anyone_writes(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)
