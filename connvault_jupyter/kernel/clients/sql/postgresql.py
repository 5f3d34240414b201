"""PostgreSQL: psycopg connections, a SQLAlchemy engine, and an address for other libraries.

The broker logs in; libpq reaches its relay by a Unix socket, and if possible continues on the logged-in socket itself.
This process has no secret. Only the broker decides where it leads: neither arguments nor PG* variables change it.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from ....contracts.relay_wire import LOGIN_SETTING, POSTGRESQL_PORT, SOCKETS
from ....errors import (
    BrokerUnavailable,
    NotAllowed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from ...client_arguments import check_arguments, imported
from ...handle_ref import HandleRef
from ...lost_connections import mark
from ...relay_errors import of_connection, said_in
from ...responses import RelayEndpoint
from .engines import Engines
from .hand_over import HandOverClient, TakenSocket, forget_sessions, hand_over
from .libpq import (
    check_addresses,
    parameters_of_addresses,
    parameters_of_urls,
    pinned,
)

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

_EXTRA = "postgresql"

# psycopg's own arguments and the libpq parameters that say how to talk, not to whom. Everything else is refused: a
# list of dangerous ones would be out of date with the next libpq.
_PSYCOPG_ARGUMENTS = frozenset(
    {"autocommit", "row_factory", "cursor_factory", "prepare_threshold", "context"}
)
_LIBPQ_PARAMETERS = frozenset(
    {
        "application_name",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "options",
        "target_session_attrs",
        "tcp_user_timeout",
    }
)
ALLOWED = _PSYCOPG_ARGUMENTS | _LIBPQ_PARAMETERS

# As an argument it is accepted; from the environment it would concern other servers.
_FREE = ALLOWED - {"target_session_attrs"}

# A server that drops packets must not block a cell for the system's two minutes.
_CONNECT_TIMEOUT_S = 15

# libpq's errors if a relay has accepted it and then ended.
_ENDED = ("closed the connection unexpectedly", "Connection reset by peer", "Broken pipe")


class Client:
    """Openers of a PostgreSQL handle. `delivery`: how the last connection was opened, `relay` or `hand_over`."""

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref
        self._opened: RelayEndpoint | None = None
        self._engines = Engines(
            handle_ref=handle_ref,
            address=self._address,
            extra=_EXTRA,
            allowed=ALLOWED,
            connect=lambda arguments: self.connect(**arguments),
            login_of=_login_of,
        )
        self.delivery: str | None = None

    @property
    def dsn(self) -> str:
        """See `PostgresqlHandle.dsn`."""
        check_addresses()
        opened = self._opened = self._handle_ref.open()
        self._handle_ref.give_out()
        user, database = (quote(str(opened.fields[name]), safe="") for name in ("user", "database"))
        query = {"host": opened.directory, "port": POSTGRESQL_PORT, **parameters_of_addresses()}
        return f"postgresql://{user}@/{database}?{urlencode(query, quote_via=quote, safe='')}"

    @property
    def url(self) -> str:
        """See `PostgresqlHandle.url`."""
        return self.dsn

    def connect(self, **arguments: Any) -> psycopg.Connection[Any]:
        """See `PostgresqlHandle.connect`."""
        check_arguments(arguments, ALLOWED)
        library = _psycopg()
        opened, fresh = self._endpoint()
        while True:
            with HandOverClient(opened) if opened.hand_over else nullcontext() as hand_over:
                try:
                    found = _connection_type().connect(**_parameters(opened, arguments))
                except library.OperationalError as exc:
                    error = self._typed(exc, library, opened)
                else:
                    if hand_over is not None:
                        found.taken = hand_over.take(found.info.backend_pid, found.fileno(), found)
                    found.handle_ref = self._handle_ref
                    self._handle_ref.opens(found)
                    self._note(opened, found, found.taken is not None)
                    given: psycopg.Connection[Any] = found
                    return given
            if fresh or not isinstance(error, BrokerUnavailable | NotAllowed):
                raise error
            # The endpoint is gone: its worker or the broker has been restarted. Or the connection was edited, and now
            # has another user or database than named here.
            opened, fresh = self._endpoint(anew=True)

    async def async_connect(self, **arguments: Any) -> psycopg.AsyncConnection[Any]:
        """See `PostgresqlHandle.async_connect`."""
        check_arguments(arguments, ALLOWED)
        library = _psycopg()
        opened, fresh = await asyncio.to_thread(self._endpoint)
        while True:
            try:
                found = await _async_type().connect(**_parameters(opened, arguments))
            except library.OperationalError as exc:
                error = await asyncio.to_thread(self._typed, exc, library, opened)
            else:
                found.handle_ref = self._handle_ref
                self._handle_ref.opens(found)
                taken = await asyncio.to_thread(hand_over_to, opened, found)
                self._note(opened, found, taken is not None)
                given: psycopg.AsyncConnection[Any] = found
                return given
            if fresh or not isinstance(error, BrokerUnavailable | NotAllowed):
                raise error
            opened, fresh = await asyncio.to_thread(self._endpoint, anew=True)

    def forget_sessions(self) -> None:
        """See `PostgresqlHandle.forget_sessions`."""
        forget_sessions(self._handle_ref.open())

    def engine(self, **arguments: Any) -> sqlalchemy.Engine:
        """See `PostgresqlHandle.engine`."""
        _psycopg()
        return self._engines.engine(arguments)

    def async_engine(self, **arguments: Any) -> AsyncEngine:
        """See `PostgresqlHandle.async_engine`."""
        _psycopg()
        return self._engines.async_engine(arguments, connect=self.async_connect)

    def _address(self) -> dict[str, Any]:
        opened = self._endpoint()[0]
        return {
            "drivername": "postgresql+psycopg",
            "username": str(opened.fields["user"]),
            "database": str(opened.fields["database"]),
            "query": {"host": opened.directory, "port": str(POSTGRESQL_PORT), **parameters_of_urls()},
        }

    def _endpoint(self, *, anew: bool = False) -> tuple[RelayEndpoint, bool]:
        """Where the handle listens, and whether the broker was asked just now."""
        self._handle_ref.refuse_if_released()
        opened = None if anew else self._opened
        if opened is not None:
            return opened, False
        opened = self._opened = self._handle_ref.open()
        return opened, True

    def _note(self, opened: RelayEndpoint, connection: Any, handed_over: bool) -> None:
        self.delivery = "hand_over" if handed_over else "relay"
        if _login_of(connection).partition(".")[0] != str(opened.revision):
            # The connection was edited: name the new user or database next time.
            self._opened = None

    def _typed(self, error: Exception, library: Any, opened: RelayEndpoint) -> Exception:
        """The relay's error; BrokerUnavailable if there was no relay; else the driver's own.

        Raises: ConnvaultError: the broker's error about the handle itself.
        """
        text = str(error)
        found = said_in(text, connection=self._handle_ref.connection)
        if found is not None:
            if not isinstance(found, UpstreamError | BrokerUnavailable):
                # The broker knows more than fits into a message, such as why a handle is no longer valid.
                self._handle_ref.check()
            return found
        if isinstance(error, library.errors.ConnectionTimeout) or "timeout expired" in text:
            found = UpstreamTimeout()
        elif "FATAL" in text or "session is" in text or "server is" in text:
            # The server's own error after the login; or it is not of the kind required by `target_session_attrs`.
            found = UpstreamRefused()
        elif any(words in text for words in _ENDED) or not _somebody_listens(opened):
            found = BrokerUnavailable()
        else:
            # It failed before connecting, or because of its arguments. None of the text comes from a server.
            return error
        return of_connection(found, self._handle_ref.connection)


def _somebody_listens(opened: RelayEndpoint) -> bool:
    """The driver's message may be in any language."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        try:
            stream.connect(f"{opened.directory}/{SOCKETS['postgresql']}")
        except OSError:
            return False
    return True


def hand_over_to(opened: RelayEndpoint, connection: Any) -> TakenSocket | None:
    """Lets a new psycopg connection continue on the upstream socket; `None`: that was not possible."""
    if not opened.hand_over:
        return None
    return hand_over(opened, connection.info.backend_pid, connection.fileno(), connection)


@functools.cache
def _connection_type() -> Any:
    """psycopg's connection, which gives back a handed-over socket when it is closed while idle. Its errors are marked
    with its handle when it is lost."""
    import psycopg

    # Each query waits: `super()`, and what packs arguments, would be seen beside one of 14 us.
    wait = psycopg.Connection.wait

    class Connection(psycopg.Connection[Any]):
        taken: TakenSocket | None = None
        handle_ref: HandleRef | None = None

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return wait(self, gen, *args, **kwargs) if args or kwargs else wait(self, gen)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.handle_ref)
                raise

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().cursor(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.handle_ref)
                raise

        def close(self) -> None:
            taken, self.taken = self.taken, None
            if taken is not None and not self.closed and _at_rest(self.pgconn):
                taken.give_back(self.fileno())
            super().close()
            if taken is not None:
                taken.end()

    return Connection


@functools.cache
def _async_type() -> Any:
    """psycopg's asynchronous connection; its errors are marked too."""
    import psycopg

    class AsyncConnection(psycopg.AsyncConnection[Any]):
        handle_ref: HandleRef | None = None

        async def wait(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().wait(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.handle_ref)
                raise

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().cursor(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.handle_ref)
                raise

    return AsyncConnection


def _at_rest(pgconn: Any) -> bool:
    from psycopg.pq import PipelineStatus, TransactionStatus

    return bool(
        pgconn.transaction_status == TransactionStatus.IDLE and pgconn.pipeline_status == PipelineStatus.OFF
    )


def _login_of(connection: Any) -> str:
    found = connection.info.parameter_status(LOGIN_SETTING)
    return found if isinstance(found, str) else ""


def _psycopg() -> Any:
    return imported("psycopg", name="psycopg", extra=_EXTRA)


def _parameters(opened: RelayEndpoint, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": "connvault",
        **pinned(_FREE),
        **arguments,
        "host": opened.directory,
        "port": str(POSTGRESQL_PORT),
        "user": str(opened.fields["user"]),
        "dbname": str(opened.fields["database"]),
        "sslmode": "disable",
    }
