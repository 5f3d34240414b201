"""Takes over a socket that the broker has logged in: the client library goes on with it as if it were its own.

The relay is out of the way then: a round trip costs what it costs without connvault. The broker keeps a duplicate, by
which it can end the connection at any moment.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import weakref

from .answers import Opened

# relays.worker.HAND_OVER_SOCKET.
_NAME = "hand-over"
_PATIENCE_S = 5


def hand_over(opened: Opened, session: int, descriptor: int, owner: object) -> bool:
    """Puts the upstream socket of `session` in the place of `descriptor`; whether that was possible.

    `session` is the number that the relay gave this client (contracts by protocol: see the relay's module). Nothing
    may be under way on `descriptor`. `owner` is the library's connection: when it is gone, the broker is told.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PATIENCE_S)
            asking.connect(os.path.join(opened.directory, _NAME))
            asking.sendall(struct.pack(">Q", session))
            said, descriptors, _, _ = socket.recv_fds(asking, 1, 2)
    except OSError:
        return False
    if not said or len(descriptors) != 2:
        for one in descriptors:
            os.close(one)
        return False
    upstream, leash = descriptors
    os.set_inheritable(leash, False)
    # As the library has its own socket: one that waits where it was told not to would hang.
    os.set_blocking(upstream, os.get_blocking(descriptor))
    os.dup2(upstream, descriptor, inheritable=False)
    os.close(upstream)
    weakref.finalize(owner, _let_go, os.getpid(), leash)
    return True


def _let_go(owner_pid: int, leash: int) -> None:
    # A forked child has a copy of its own, which ends with the child.
    if os.getpid() == owner_pid:
        with contextlib.suppress(OSError):
            os.close(leash)
