"""SQLAlchemy engines over a handle. Which database it is, and how to log in, is the client's.

A pooled checkout does not call the creator again, so each one asks the broker: without that a revoked permission would
go on working.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...client_arguments import ArgumentRefused, check_arguments, imported, why
from ...handle_ref import HandleRef

if TYPE_CHECKING:
    import sqlalchemy

# They say where or how to log in.
_NOT_GIVEN = ("creator", "module", "url")


class Engines:
    """The engines of one client.

    `address` is the parts of a `sqlalchemy.URL` that leads to the handle's own place, for other libraries that read it;
    `connect` logs in with these arguments; `login_of` is the `<revision>.<rotation>` that a connection was logged in
    with, or empty. `allowed` are the arguments that may be given for `connect`.
    """

    def __init__(
        self,
        *,
        handle_ref: HandleRef,
        address: Callable[[], Mapping[str, Any]],
        extra: str,
        allowed: frozenset[str],
        connect: Callable[[Mapping[str, Any]], Any],
        login_of: Callable[[Any], str],
    ) -> None:
        self._handle_ref = handle_ref
        self._address = address
        self._extra = extra
        self._allowed = allowed
        self._connect = connect
        self._login_of = login_of
        self._shared: tuple[int, sqlalchemy.Engine] | None = None

    def engine(self, arguments: dict[str, Any]) -> sqlalchemy.Engine:
        """Without arguments the same one each time.

        Raises: TypeError: a refused argument; ImportError; what `address` raises.
        """
        if arguments:
            return self._new(arguments)
        # A forked child must not use its parent's pooled connections.
        if self._shared is None or self._shared[0] != os.getpid():
            self._shared = (os.getpid(), self._new({}))
        return self._shared[1]

    def _new(self, arguments: dict[str, Any]) -> sqlalchemy.Engine:
        for name in _NOT_GIVEN:
            if name in arguments:
                raise ArgumentRefused(f"engine() does not accept {name!r}: {why(name)}")
        given = dict(arguments.pop("connect_args", {}))
        check_arguments(given, self._allowed)
        library = imported("sqlalchemy", name="SQLAlchemy", extra=self._extra)
        outdated = library.exc.InvalidatePoolError

        def still_good(connection: Any, _record: object, _proxy: object) -> None:
            state = self._handle_ref.check()
            if self._login_of(connection) != f"{state.revision}.{state.rotation}":
                raise outdated("the connection was changed; logging in again")

        engine: sqlalchemy.Engine = library.create_engine(
            library.URL.create(**self._address()), creator=lambda: self._connect(given), **arguments
        )
        library.event.listen(engine, "checkout", still_good)
        return engine
