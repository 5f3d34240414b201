"""A logged-in upstream socket that its client may take over: offered under a number, asked for once, given back or not.

Two threads meet here. The one that serves the client copies until the other one, which was asked for the socket, has
stopped it and passed the socket on; it then waits for the socket's return. The client's own end of the relay, which it
gives up for the socket, is what wakes it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from ..contracts.relay_wire import GIVEN_BACK, PASSED_ON
from .copying import Stop

# A client asks when its library has logged in: what is under way then is over in a moment.
_REST_S = 5.0


class HandOver:
    """`hand` tells the broker of a descriptor that is passed on, and returns what tells it of its return.

    `at_rest`: whether nothing is under way before the copying begins.
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
        # Held while the socket is passed on.
        self._passing = threading.Lock()
        self._asked = False
        self._lifeline: socket.socket | None = None
        self._returned: Callable[[bool], None] | None = None

    @property
    def offered(self) -> bool:
        """Whether it may still be asked for. A session that goes on with another client has another hand-over then."""
        return not self._asked

    def take(self, asking: socket.socket) -> bool:
        """Passes the socket on to the client at the other end of `asking`; whether that was possible.

        It gets two descriptors: the socket, and a lifeline to keep as long as it uses the socket.

        Raises: OSError: the client or the broker has gone; HandleInvalid: it was cut.
        """
        with self._passing:
            if self._asked or not self.stop(_REST_S):
                return False
            self._asked = True
            self._upstream.setblocking(True)
            # First the broker: whatever becomes of this process, it can cut what was passed on.
            self._returned = self._hand(self._upstream.fileno())
            self._lifeline, lifeline = socket.socketpair()
            with lifeline:
                socket.send_fds(asking, [PASSED_ON], [self._upstream.fileno(), lifeline.fileno()])
            return True

    def wait(self, timeout_s: float) -> bool:
        """Waits until the client lets go of the socket, the socket's end or a cut; whether the client gave it back.

        By its word: what state the socket is in is for the protocol to find out.
        """
        with self._passing:
            lifeline = self._lifeline
        given_back = False
        if lifeline is not None:
            poll = select.poll()
            poll.register(lifeline, select.POLLIN)
            # The server's end, or a cut. What it sends is the client's to read: no POLLIN.
            poll.register(self._upstream, getattr(select, "POLLRDHUP", 0))
            poll.poll(timeout_s * 1000)
            lifeline.setblocking(False)
            with contextlib.suppress(OSError):
                given_back = lifeline.recv(1) == GIVEN_BACK
        self._over(given_back=given_back)
        return given_back

    def close(self) -> None:
        """Nobody may ask any more, and nobody waits."""
        # Whoever is just asking holds the lock.
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
            # Its duplicate is needed no more; or kept for the next client, if the session was given back.
            returned(given_back)
