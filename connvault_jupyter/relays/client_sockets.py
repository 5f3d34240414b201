"""The broker's copies of its clients' sockets, by handle: by them it ends what a worker that is busy or stopped can't.

Of each client that has got a login. A copy of one that has left is closed when there are more of them; no worker says
goodbye for its clients.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Collection

from .upstream import shut

# Below it nobody looks who has left.
_FEW = 16


class ClientSockets:
    """Not for several threads at once."""

    def __init__(self) -> None:
        # By inode: the same client asks for its login again and again.
        self._kept: dict[int, tuple[str, socket.socket]] = {}
        self._look_at = _FEW

    def keep(self, handle: str, client: socket.socket) -> bool:
        """Keeps a copy of it, if there is none. Raises: OSError: there is no descriptor for it."""
        inode = _inode(client)
        if inode in self._kept:
            return False
        if len(self._kept) >= self._look_at:
            self._close_what_ended()
            self._look_at = max(_FEW, 2 * len(self._kept))
        self._kept[inode] = (handle, client.dup())
        return True

    def drop(self, client: socket.socket) -> None:
        """Closes the copy of it, which ends nothing."""
        _, copy = self._kept.pop(_inode(client), (None, None))
        if copy is not None:
            copy.close()

    def owners(self) -> Collection[str]:
        """The handles that have a client."""
        self._close_what_ended()
        return {handle for handle, _ in self._kept.values()}

    def end(self, handle: str) -> None:
        """Ends the connections of a handle, whoever else has a copy."""
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
    """Whether nothing can come or go on it any more, by whoever's doing."""
    poll = select.poll()
    poll.register(stream, 0)
    return bool(poll.poll(0))
