"""The broker's copies of its clients' sockets, by handle: with them it ends connections that a busy or stopped worker
can't.

There is one for each client that has received a login. Copies of clients that have left are only closed when there are
more of them, as workers do not report clients that leave.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Collection

from .upstream import shut

# Below this number, nobody checks which clients have left.
_FEW = 16


class ClientSockets:
    """Not thread-safe."""

    def __init__(self) -> None:
        # By inode: the same client requests its login again and again.
        self._kept: dict[int, tuple[str, socket.socket]] = {}
        self._look_at = _FEW

    def keep(self, handle: str, client: socket.socket) -> bool:
        """Keeps a copy of it, unless there is one. Raises: OSError: no descriptor is left."""
        inode = _inode(client)
        if inode in self._kept:
            return False
        if len(self._kept) >= self._look_at:
            self._close_what_ended()
            self._look_at = max(_FEW, 2 * len(self._kept))
        self._kept[inode] = (handle, client.dup())
        return True

    def drop(self, client: socket.socket) -> None:
        """Closes the copy, which does not end the connection."""
        _, copy = self._kept.pop(_inode(client), (None, None))
        if copy is not None:
            copy.close()

    def owners(self) -> Collection[str]:
        """The handles that have a client."""
        self._close_what_ended()
        return {handle for handle, _ in self._kept.values()}

    def end(self, handle: str) -> None:
        """Ends the connections of a handle, even if others have copies."""
        for _, stream in [one for one in self._kept.values() if one[0] == handle]:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def end_all(self) -> None:
        kept, self._kept = self._kept, {}
        for _, stream in kept.values():
            shut(stream)

    def _close_what_ended(self) -> None:
        for inode, (_, stream) in list(self._kept.items()):
            if ended(stream):
                del self._kept[inode]
                stream.close()


def _inode(stream: socket.socket) -> int:
    return os.fstat(stream.fileno()).st_ino


def ended(stream: socket.socket) -> bool:
    """Whether the connection has ended in both directions, for any reason."""
    poll = select.poll()
    poll.register(stream, 0)
    return bool(poll.poll(0))
