"""Takes over a socket that the broker has logged in: the client library continues with it as its own.

The relay is then no longer involved: a round trip takes as long as without connvault. The broker keeps a duplicate,
with which it can end the connection at any time.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import weakref

from ...responses import RelayEndpoint

# relays.worker.HAND_OVER_SOCKET.
_NAME = "hand-over"
_PATIENCE_S = 5

# relays.worker.FORGET.
_FORGET = 0

# relays.hand_over.GIVEN_BACK.
_GIVEN_BACK = b"<"


class TakenSocket:
    """A socket that was taken over. When `owner` is garbage-collected, the broker is told."""

    def __init__(self, *, lifeline: int, owner: object) -> None:
        self._lifeline = lifeline
        self._finalizer = weakref.finalize(owner, _let_go, os.getpid(), lifeline)

    def end(self) -> None:
        """The library has closed it: the broker ends it too, in case the server was not told."""
        self._finalizer()

    def give_back(self, descriptor: int) -> None:
        """Takes the intact socket out of `descriptor` again, so that the relay can keep it for the next client.

        It must be idle. Whatever the library sends from now on (its goodbye) is discarded.
        """
        if self._finalizer.detach() is None:
            return
        ours, nowhere = socket.socketpair()
        with ours, nowhere:
            os.dup2(nowhere.fileno(), descriptor, inheritable=False)
        with contextlib.suppress(OSError), socket.socket(fileno=self._lifeline) as lifeline:
            lifeline.send(_GIVEN_BACK)


class HandOverClient:
    """A connection to the relay on which a socket can be requested, once. Open it before the library connects, so that
    the relay can prepare. It gives up after 5 s without an answer."""

    def __init__(self, opened: RelayEndpoint) -> None:
        self._line: socket.socket | None = None
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(_PATIENCE_S)
        try:
            line.connect(os.path.join(opened.directory, _NAME))
        except OSError:
            line.close()
        else:
            self._line = line

    def __enter__(self) -> HandOverClient:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        if self._line is not None:
            self._line.close()

    def take(self, session: int, descriptor: int, owner: object) -> TakenSocket | None:
        """See `hand_over`."""
        if self._line is None:
            return None
        try:
            self._line.sendall(struct.pack(">Q", session))
            said, descriptors, _, _ = socket.recv_fds(self._line, 1, 2)
        except OSError:
            return None
        if not said or len(descriptors) != 2:
            for one in descriptors:
                os.close(one)
            return None
        upstream, lifeline = descriptors
        os.set_inheritable(lifeline, False)
        # In the blocking mode of the library's own socket: otherwise the library could hang.
        os.set_blocking(upstream, os.get_blocking(descriptor))
        os.dup2(upstream, descriptor, inheritable=False)
        os.close(upstream)
        return TakenSocket(lifeline=lifeline, owner=owner)


def hand_over(opened: RelayEndpoint, session: int, descriptor: int, owner: object) -> TakenSocket | None:
    """Replaces `descriptor` with the upstream socket of `session`; `None`: that was not possible.

    `session` is the number that the relay gave this client (by protocol: see the relay's module). `descriptor` must be
    idle. `owner` is the library's connection: when it is garbage-collected, the broker is told.
    """
    with HandOverClient(opened) as hand_over:
        return hand_over.take(session, descriptor, owner)


def forget_sessions(opened: RelayEndpoint) -> None:
    """Returns when the relay has ended the sessions that it keeps for the next client; harmless if it is gone."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_PATIENCE_S)
        line.connect(os.path.join(opened.directory, _NAME))
        line.sendall(struct.pack(">Q", _FORGET))
        # It sends nothing, and closes the connection when done.
        line.recv(1)


def _let_go(owner_pid: int, lifeline: int) -> None:
    # A forked child has its own copy, which ends with the child.
    if os.getpid() == owner_pid:
        with contextlib.suppress(OSError):
            os.close(lifeline)
