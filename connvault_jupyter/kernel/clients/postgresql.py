"""PostgreSQL: psycopg connections, a SQLAlchemy engine, and an address for everything else that speaks it.

The broker logs in; libpq reaches its relay by a Unix socket, and where that is possible goes on with the logged-in
socket itself. No secret is here. Where it leads comes from the broker alone: neither arguments nor PG* variables
change it.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from ...errors import (
    BrokerUnavailable,
    NotAllowed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from ..answers import Opened
from ..engines import Engines
from ..hand_over import Loan, Taker, forget_sessions, hand_over
from ..lease import Lease
from ..libpq import check_addresses, parameters_of_addresses, parameters_of_urls, pinned
from ..libraries import check_arguments, imported
from ..lost import mark
from ..refusals import of_connection, said_in

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy

_EXTRA = "postgresql"

# psycopg's own arguments and the libpq parameters that say how to talk, not with whom. Everything else is refused:
# a list of what leads elsewhere would be out of date with the next libpq.
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

# Given, it counts; from the environment it would be about other servers.
_FREE = ALLOWED - {"target_session_attrs"}

# A server that drops packets must not hold a cell for the system's two minutes.
_CONNECT_TIMEOUT_S = 15

# What libpq says of a relay that has let it in and ended then.
_ENDED = ("closed the connection unexpectedly", "Connection reset by peer", "Broken pipe")

# relays.postgresql.relay: the port in its socket's name, and the setting that names the login of a session.
_PORT = 5432
_LOGIN_SETTING = "connvault.login"


class Client:
    """Openers of a PostgreSQL handle. `delivery` is how the last connection went: `relay` or `hand_over`."""

    def __init__(self, *, lease: Lease) -> None:
        self._lease = lease
        self._opened: Opened | None = None
        self._engines = Engines(
            lease=lease,
            address=self._address,
            extra=_EXTRA,
            allowed=ALLOWED,
            connect=lambda arguments: self.connect(**arguments),
            login_of=_login_of,
        )
        self.delivery: str | None = None

    @property
    def dsn(self) -> str:
        """An address in libpq's form, without a password, for psql, asyncpg, pandas, ADBC, DuckDB and the like.

        Good for whom and as long as `Handle.env()`.

        Raises: NotAllowed: a variable of this process would lead elsewhere whoever uses it. HandleInvalid, VaultLocked,
            BrokerUnavailable, ...
        """
        check_addresses()
        opened = self._opened = self._lease.open()
        self._lease.give_out()
        user, database = (quote(str(opened.fields[name]), safe="") for name in ("user", "database"))
        query = {"host": opened.directory, "port": _PORT, **parameters_of_addresses()}
        return f"postgresql://{user}@/{database}?{urlencode(query, quote_via=quote, safe='')}"

    def connect(self, **arguments: Any) -> psycopg.Connection[Any]:
        """A new psycopg 3 connection. Takes psycopg's `autocommit`, `row_factory`, `cursor_factory`,
        `prepare_threshold`, `context` and libpq's `application_name`, `connect_timeout` (s; 15 unless given),
        `options` and the like.

        Raises:
            TypeError: an argument that says where or as whom.
            ImportError: psycopg is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        check_arguments(arguments, ALLOWED)
        library = _psycopg()
        opened, fresh = self._place()
        while True:
            with Taker(opened) if opened.hand_over else nullcontext() as taker:
                try:
                    found = _lending_type().connect(**_parameters(opened, arguments))
                except library.OperationalError as exc:
                    error = self._typed(exc, library, opened)
                else:
                    if taker is not None:
                        found.loan = taker.take(found.info.backend_pid, found.fileno(), found)
                    found.lease = self._lease
                    self._lease.opens(found)
                    self._note(opened, found, found.loan is not None)
                    given: psycopg.Connection[Any] = found
                    return given
            if fresh or not isinstance(error, BrokerUnavailable | NotAllowed):
                raise error
            # The place is gone: its worker or the broker has been restarted. Or the connection was edited, and its user
            # or database is another one now than is named here.
            opened, fresh = self._place(anew=True)

    async def connect_async(self, **arguments: Any) -> psycopg.AsyncConnection[Any]:
        """A new `psycopg.AsyncConnection`; takes and raises what `connect` does."""
        check_arguments(arguments, ALLOWED)
        library = _psycopg()
        opened, fresh = await asyncio.to_thread(self._place)
        while True:
            try:
                found = await _async_type().connect(**_parameters(opened, arguments))
            except library.OperationalError as exc:
                error = await asyncio.to_thread(self._typed, exc, library, opened)
            else:
                found.lease = self._lease
                self._lease.opens(found)
                loan = await asyncio.to_thread(hand_over_to, opened, found)
                self._note(opened, found, loan is not None)
                given: psycopg.AsyncConnection[Any] = found
                return given
            if fresh or not isinstance(error, BrokerUnavailable | NotAllowed):
                raise error
            opened, fresh = await asyncio.to_thread(self._place, anew=True)

    def forget_sessions(self) -> None:
        """Ends the sessions that are kept for the next client: what connects from now on gets a new login. They end by
        themselves after two seconds, and with the connection's field `keep_sessions` switched off none is kept.

        Raises: HandleInvalid, BrokerUnavailable, ...
        """
        forget_sessions(self._lease.open())

    def engine(self, **arguments: Any) -> sqlalchemy.Engine:
        """A SQLAlchemy engine. Each checkout from its pool asks the broker whether the handle is still good; a replaced
        secret or changed connection makes it log in anew.

        Without arguments it is the same engine each time. Takes what `sqlalchemy.create_engine` takes, but nothing
        that says where or how to log in; `connect_args` takes what `connect()` takes. Its `url` leads to the handle's
        socket as `dsn` does, for libraries that read it.

        Raises: TypeError, ImportError, and like using the engine what `connect()` raises.
        """
        _psycopg()
        return self._engines.engine(arguments)

    def _address(self) -> dict[str, Any]:
        opened = self._place()[0]
        return {
            "drivername": "postgresql+psycopg",
            "username": str(opened.fields["user"]),
            "database": str(opened.fields["database"]),
            "query": {"host": opened.directory, "port": str(_PORT), **parameters_of_urls()},
        }

    def _place(self, *, anew: bool = False) -> tuple[Opened, bool]:
        """Where the handle listens, and whether that was asked for just now."""
        self._lease.refuse_if_released()
        opened = None if anew else self._opened
        if opened is not None:
            return opened, False
        opened = self._opened = self._lease.open()
        return opened, True

    def _note(self, opened: Opened, connection: Any, handed_over: bool) -> None:
        self.delivery = "hand_over" if handed_over else "relay"
        if _login_of(connection).partition(".")[0] != str(opened.revision):
            # Edited meanwhile: another user or database is to be named next time.
            self._opened = None

    def _typed(self, error: Exception, library: Any, opened: Opened) -> Exception:
        """The error that the relay has named; BrokerUnavailable if there was no relay; else the driver's own.

        Raises: ConnvaultError: what the broker says of the handle itself.
        """
        text = str(error)
        found = said_in(text, connection=self._lease.connection)
        if found is not None:
            if not isinstance(found, UpstreamError | BrokerUnavailable):
                # It knows more than fits into a message: why a handle is no longer valid, say.
                self._lease.check()
            return found
        if isinstance(error, library.errors.ConnectionTimeout) or "timeout expired" in text:
            found = UpstreamTimeout()
        elif "FATAL" in text or "session is" in text or "server is" in text:
            # The server's own word after the login; or it is not of the kind that `target_session_attrs` asks for.
            found = UpstreamRefused()
        elif any(words in text for words in _ENDED) or not _somebody_listens(opened):
            found = BrokerUnavailable()
        else:
            # It has failed before it connected, or over what it was told. None of its words is a server's.
            return error
        return of_connection(found, self._lease.connection)


def _somebody_listens(opened: Opened) -> bool:
    """Libraries say it in any language."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        try:
            stream.connect(f"{opened.directory}/.s.PGSQL.{_PORT}")
        except OSError:
            return False
    return True


def hand_over_to(opened: Opened, connection: Any) -> Loan | None:
    """Lets a fresh connection of psycopg's go on with the upstream socket; `None`: that was not possible."""
    if not opened.hand_over:
        return None
    return hand_over(opened, connection.info.backend_pid, connection.fileno(), connection)


@functools.cache
def _lending_type() -> Any:
    """psycopg's connection that gives a socket on loan back when it is closed with nothing under way. What it raises
    when it is lost is marked as its lease's."""
    import psycopg

    # Each query waits: `super()`, and what packs arguments, would be seen beside one of 14 us.
    wait = psycopg.Connection.wait

    class Connection(psycopg.Connection[Any]):
        loan: Loan | None = None
        lease: Lease | None = None

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return wait(self, gen, *args, **kwargs) if args or kwargs else wait(self, gen)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.lease)
                raise

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().cursor(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.lease)
                raise

        def close(self) -> None:
            loan, self.loan = self.loan, None
            if loan is not None and not self.closed and _at_rest(self.pgconn):
                loan.give_back(self.fileno())
            super().close()
            if loan is not None:
                loan.end()

    return Connection


@functools.cache
def _async_type() -> Any:
    """psycopg's other connection; its errors are marked too."""
    import psycopg

    class AsyncConnection(psycopg.AsyncConnection[Any]):
        lease: Lease | None = None

        async def wait(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().wait(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.lease)
                raise

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().cursor(*args, **kwargs)
            except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
                mark(exc, self.lease)
                raise

    return AsyncConnection


def _at_rest(pgconn: Any) -> bool:
    from psycopg.pq import PipelineStatus, TransactionStatus

    return bool(
        pgconn.transaction_status == TransactionStatus.IDLE and pgconn.pipeline_status == PipelineStatus.OFF
    )


def _login_of(connection: Any) -> str:
    found = connection.info.parameter_status(_LOGIN_SETTING)
    return found if isinstance(found, str) else ""


def _psycopg() -> Any:
    return imported("psycopg", name="psycopg", extra=_EXTRA)


def _parameters(opened: Opened, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": "connvault",
        **pinned(_FREE),
        **arguments,
        "host": opened.directory,
        "port": str(_PORT),
        "user": str(opened.fields["user"]),
        "dbname": str(opened.fields["database"]),
        "sslmode": "disable",
    }
