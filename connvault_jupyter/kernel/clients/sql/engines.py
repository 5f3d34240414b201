"""SQLAlchemy engines over a handle. The database and the login are up to the client.

A pooled checkout does not call the creator again, so each one asks the broker: otherwise a revoked permission would
continue to work.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...client_arguments import ArgumentRefused, check_arguments, imported, why
from ...handle_ref import HandleRef
from ...responses import HandleState

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

# Arguments that set where or how to log in.
_NOT_GIVEN = ("async_creator", "creator", "module", "url")


class Engines:
    """The engines of one client.

    `address`: the parts of a `sqlalchemy.URL` that leads to the handle's endpoint, for other libraries that read it;
    `connect` logs in with these arguments; `login_of` is the `<revision>.<rotation>` with which a connection was
    logged in, or empty. `allowed`: the arguments accepted for `connect`.
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
        """Without arguments it is the same one each time.

        Raises: TypeError: a refused argument; ImportError; what `address` raises.
        """
        if arguments:
            return self._new(arguments)
        # A forked child must not use the pooled connections of its parent.
        if self._shared is None or self._shared[0] != os.getpid():
            self._shared = (os.getpid(), self._new({}))
        return self._shared[1]

    def async_engine(
        self, arguments: dict[str, Any], *, connect: Callable[..., Awaitable[Any]]
    ) -> AsyncEngine:
        """A new one each time, because its pool belongs to the event loop in which it is first used. `connect` logs
        in, as for `Engines`.

        Raises: as `engine`.
        """
        given = self._connect_args("async_engine", arguments)
        library = imported("sqlalchemy", name="SQLAlchemy", extra=self._extra)
        asynchronous = imported("sqlalchemy.ext.asyncio", name="SQLAlchemy", extra=self._extra)
        await_only = library.util.await_only

        def still_good(connection: Any, _record: object, _proxy: object) -> None:
            # The broker is asked on a blocking socket, in a thread, so that other tasks don't wait for it.
            state = await_only(asyncio.to_thread(self._handle_ref.check))
            self._refuse_outdated(library, connection.driver_connection, state)

        engine: AsyncEngine = asynchronous.create_async_engine(
            library.URL.create(**self._address()), async_creator=lambda: connect(**given), **arguments
        )
        library.event.listen(engine.sync_engine, "checkout", still_good)
        return engine

    def _new(self, arguments: dict[str, Any]) -> sqlalchemy.Engine:
        given = self._connect_args("engine", arguments)
        library = imported("sqlalchemy", name="SQLAlchemy", extra=self._extra)

        def still_good(connection: Any, _record: object, _proxy: object) -> None:
            self._refuse_outdated(library, connection, self._handle_ref.check())

        engine: sqlalchemy.Engine = library.create_engine(
            library.URL.create(**self._address()), creator=lambda: self._connect(given), **arguments
        )
        library.event.listen(engine, "checkout", still_good)
        return engine

    def _connect_args(self, opener: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Removes `connect_args` from the arguments of an engine. Raises: ArgumentRefused: for either."""
        for name in _NOT_GIVEN:
            if name in arguments:
                raise ArgumentRefused(f"{opener}() does not accept {name!r}: {why(name)}")
        given = dict(arguments.pop("connect_args", {}))
        check_arguments(given, self._allowed)
        return given

    def _refuse_outdated(self, library: Any, connection: Any, state: HandleState) -> None:
        """Raises: sqlalchemy.exc.InvalidatePoolError: it was logged in with something else; the pool logs in again."""
        if self._login_of(connection) != f"{state.revision}.{state.rotation}":
            raise library.exc.InvalidatePoolError("the connection was changed; logging in again")
