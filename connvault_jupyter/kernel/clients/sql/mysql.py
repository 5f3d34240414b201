"""MySQL and MariaDB: a PyMySQL connection or a SQLAlchemy engine on a session that the broker has logged in.

This process has no password. If the broker hands over its socket, the library continues on that one; else it talks to
the handle's relay. Server and user come from the connection, and no argument changes them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from ....contracts.relay_wire import mysql_session
from ....errors import BrokerUnavailable, UpstreamTimeout
from ...client_arguments import ArgumentRefused, check_arguments, imported
from ...handle_ref import HandleRef
from ...lost_connections import mark
from ...relay_errors import said_in
from ...responses import RelayEndpoint
from .engines import Engines
from .hand_over import hand_over

if TYPE_CHECKING:
    import pymysql
    import sqlalchemy

_EXTRA = "mysql"

# How to talk, not to whom.
ALLOWED = frozenset(
    {
        "autocommit",
        "binary_prefix",
        "charset",
        "collation",
        "connect_timeout",
        "conv",
        "cursorclass",
        "database",
        "init_command",
        "local_infile",
        "max_allowed_packet",
        "program_name",
        "read_timeout",
        "sql_mode",
        "use_unicode",
        "write_timeout",
    }
)

_NO_LOCAL_FILES = (
    "'local_infile' is not accepted: a server could ask for any file that this process can read. To allow "
    "it, switch it on in the connection's form."
)

# PyMySQL's errors when nobody listens, or the other end is gone: CR_CONN_HOST_ERROR, CR_SERVER_GONE_ERROR,
# CR_SERVER_LOST.
_GONE = frozenset({2003, 2006, 2013})


class Client:
    """Openers of a MySQL handle."""

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref
        self._engines = Engines(
            handle_ref=handle_ref,
            address=self._address,
            extra=_EXTRA,
            allowed=ALLOWED,
            connect=self._pooled,
            login_of=lambda connection: self._logins.get(connection, ""),
        )
        self._logins: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._delivery = ""

    @property
    def delivery(self) -> str:
        """How the last connection was opened, `relay` or `hand_over`; empty before the first one."""
        return self._delivery

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """See `MysqlHandle.connect`."""
        check_arguments(arguments, ALLOWED)
        found: pymysql.Connection[Any] = self._log_in(arguments)[0]
        return found

    def engine(self, **arguments: Any) -> sqlalchemy.Engine:
        """See `MysqlHandle.engine`."""
        _pymysql()
        return self._engines.engine(arguments)

    @property
    def dsn(self) -> str:
        """See `MysqlHandle.dsn`."""
        opened = self._handle_ref.open()
        self._handle_ref.give_out()
        user, database = (quote(str(opened.fields.get(name) or ""), safe="") for name in ("user", "database"))
        socket = quote(opened.socket, safe="/")
        return f"mysql+pymysql://{user}@localhost/{database}?unix_socket={socket}&charset=utf8mb4"

    @property
    def url(self) -> str:
        """See `MysqlHandle.url`."""
        return self.dsn

    def _address(self) -> dict[str, Any]:
        opened = self._handle_ref.open()
        return {
            "drivername": "mysql+pymysql",
            "username": str(opened.fields.get("user") or ""),
            "host": "localhost",
            "database": str(opened.fields.get("database") or ""),
            "query": {"unix_socket": opened.socket, "charset": "utf8mb4"},
        }

    def _pooled(self, arguments: Mapping[str, Any]) -> Any:
        # SQLAlchemy's own creator sets this flag: rows updated to the same values count as matched.
        flags = {"client_flag": _pymysql().constants.CLIENT.FOUND_ROWS}
        connection, opened = self._log_in({**arguments, **flags})
        self._logins[connection] = f"{opened.revision}.{opened.rotation}"
        return connection

    def _log_in(self, arguments: Mapping[str, Any]) -> tuple[Any, RelayEndpoint]:
        opened = self._handle_ref.open()
        connection = self._connected(opened, arguments)
        if connection is None:
            # The relay has ended in the meantime. If asked again, the broker starts another one.
            opened = self._handle_ref.open()
            connection = self._connected(opened, arguments)
        if connection is None:
            raise BrokerUnavailable(
                "The relay closed the connection. Run the cell again; if too many connections are open, "
                "close some.",
                connection=self._handle_ref.connection,
            )
        connection.handle_ref = self._handle_ref
        for one in filter(None, (connection, getattr(connection, "_sock", None))):
            self._handle_ref.opens(one)
        self._delivery = "hand_over" if opened.hand_over and _taken_over(opened, connection) else "relay"
        return connection, opened

    def _connected(self, opened: RelayEndpoint, arguments: Mapping[str, Any]) -> Any:
        """A connection through the relay; `None` if nobody listens. Raises: the error of the relay or of the
        server."""
        local_infile = bool(arguments.get("local_infile"))
        if local_infile and opened.fields.get("local_infile") is not True:
            raise ArgumentRefused(_NO_LOCAL_FILES)
        library = _pymysql()
        try:
            found = _marking_type()(
                **{
                    "charset": "utf8mb4",
                    "program_name": "connvault",
                    **arguments,
                    "unix_socket": opened.socket,
                    "user": str(opened.fields.get("user") or ""),
                    "local_infile": local_infile,
                    # Traffic to the relay never leaves this machine; without this argument PyMySQL would read the
                    # system's CAs first.
                    "ssl_disabled": True,
                }
            )
        except library.MySQLError as exc:
            number, text = (*exc.args, "", "")[:2]
            refused = said_in(str(text), connection=self._handle_ref.connection)
            if refused is not None:
                raise refused from None
            if isinstance(getattr(exc, "original_exception", exc.__context__), TimeoutError):
                raise UpstreamTimeout(connection=self._handle_ref.connection) from None
            if number in _GONE:
                return None
            raise
        return found


@functools.cache
def _marking_type() -> Any:
    """PyMySQL's connection, whose errors are marked with its handle when it is lost. Everything it sends and reads
    goes through these two methods; in a version with others, nothing is marked."""
    library = _pymysql()
    lost = (library.err.OperationalError, library.err.InterfaceError)

    base: Any = library.connections.Connection

    class Connection(base):  # type: ignore[misc]
        handle_ref: HandleRef | None = None

        def _read_packet(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super()._read_packet(*args, **kwargs)
            except lost as exc:
                mark(exc, self.handle_ref)
                raise

        def _execute_command(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super()._execute_command(*args, **kwargs)
            except lost as exc:
                mark(exc, self.handle_ref)
                raise

    return Connection


def _pymysql() -> Any:
    return imported("pymysql", name="PyMySQL", extra=_EXTRA)


def _taken_over(opened: RelayEndpoint, connection: Any) -> bool:
    """Whether the broker's socket has replaced the relay's."""
    stream = getattr(connection, "_sock", None)
    if stream is None:
        # Another version of PyMySQL: the relay works as well.
        return False
    if not hand_over(opened, mysql_session(connection.salt), stream.fileno(), connection):
        return False
    # Time-outs are part of the socket's mode, and this is another socket now.
    stream.settimeout(stream.gettimeout())
    return True
