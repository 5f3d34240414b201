"""A logged-in upstream socket that its client may take over: offered under a number, taken once, then given back or
not.

Two threads meet here. One serves the client and copies, until the other one, which was asked for the socket, has
stopped it and handed over the socket; the first one then waits for the socket's return. It is woken by the end of the
client's connection to the relay, which the client gives up for the socket.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from ..contracts.relay_wire import GIVEN_BACK, PASSED_ON
from .copying import Stop

# A client asks when its library has logged in, so the session is idle within a moment.
_REST_S = 5.0


class HandOver:
    """`hand` tells the broker about a descriptor that is handed over, and returns the function to call on its return.

    `at_rest`: whether the session is idle before the copying starts.
    """

    def __init__(
        self,
        *,
        session: int,
        upstream: socket.socket,
        hand: Callable[[int], Callable[[bool], None]],
        at_rest: bool,
    ) -> None:
        self.session = session
        self.stop = Stop(at_rest=at_rest)
        self._upstream = upstream
        self._hand = hand
        # Held while the socket is handed over.
        self._passing = threading.Lock()
        self._asked = False
        self._lifeline: socket.socket | None = None
        self._returned: Callable[[bool], None] | None = None

    @property
    def offered(self) -> bool:
        """Whether it may still be taken. A session that continues with another client has another hand-over."""
        return not self._asked

    def take(self, asking: socket.socket) -> bool:
        """Hands over the socket to the client at the other end of `asking`; returns whether that was possible.

        It gets two descriptors: the socket, and a lifeline to keep as long as it uses the socket.

        Raises: OSError: the client or the broker is gone; HandleInvalid: it was cut.
        """
        with self._passing:
            if self._asked or not self.stop(_REST_S):
                return False
            self._asked = True
            self._upstream.setblocking(True)
            # The broker first, so that it can cut the socket whatever happens to this process.
            self._returned = self._hand(self._upstream.fileno())
            self._lifeline, lifeline = socket.socketpair()
            with lifeline:
                socket.send_fds(asking, [PASSED_ON], [self._upstream.fileno(), lifeline.fileno()])
            return True

    def wait(self, timeout_s: float) -> bool:
        """Waits until the client releases the socket, the socket ends, or a cut; returns whether the client gave it
        back.

        As the client says: the protocol must check the state of the socket.
        """
        with self._passing:
            lifeline = self._lifeline
        given_back = False
        if lifeline is not None:
            poll = select.poll()
            poll.register(lifeline, select.POLLIN)
            # The server's end, or a cut. No POLLIN: the client reads what the server sends.
            poll.register(self._upstream, getattr(select, "POLLRDHUP", 0))
            poll.poll(timeout_s * 1000)
            lifeline.setblocking(False)
            with contextlib.suppress(OSError):
                given_back = lifeline.recv(1) == GIVEN_BACK
        self._over(given_back=given_back)
        return given_back

    def close(self) -> None:
        """Nobody may take it any more, and nobody waits."""
        # Somebody who is just taking it holds the lock.
        self.stop.over()
        self._over(given_back=False)

    def _over(self, *, given_back: bool) -> None:
        with self._passing:
            self._asked = True
            lifeline, self._lifeline = self._lifeline, None
            returned, self._returned = self._returned, None
        if lifeline is not None:
            lifeline.close()
        if returned is not None:
            # The broker's duplicate is no longer needed, or is kept for the next client if the session was given back.
            returned(given_back)
