"""One client's hold on an upstream connection: a cut of the client ends it; kept from request to request.

What is sent over it, and whether it may be used again, is the session's business.
"""

from __future__ import annotations

from ...errors import HandleInvalid
from ..downstream import Downstream
from ..upstream import shut
from .pool import Pool, UpstreamConnection


class Hold:
    """At most one connection at a time."""

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream
        self._held: tuple[Pool, UpstreamConnection] | None = None

    def connection(self, pool: Pool) -> UpstreamConnection:
        """The one that the last request went over, if it is good; else one of the pool's.

        Raises: HandleInvalid: the client was cut. As `Pool.open`.
        """
        held, self._held = self._held, None
        if held is not None:
            if held[0] is pool and held[1].alive():
                self._held = held
                return held[1]
            self._drop(held[1])
        connection = pool.take()
        try:
            self._downstream.adopt(connection.stream)
        except HandleInvalid:
            shut(connection.stream)
            raise
        self._held = pool, connection
        return connection

    def let_go(self) -> None:
        """Ends it: it is of no use to a further request."""
        held, self._held = self._held, None
        if held is not None:
            self._drop(held[1])

    def give_back(self) -> None:
        """The client is served: what is still good goes to the pool."""
        held, self._held = self._held, None
        if held is not None:
            pool, connection = held
            if self._downstream.disown(connection.stream):
                pool.give(connection)
            else:
                shut(connection.stream)

    def _drop(self, connection: UpstreamConnection) -> None:
        self._downstream.disown(connection.stream)
        shut(connection.stream)
