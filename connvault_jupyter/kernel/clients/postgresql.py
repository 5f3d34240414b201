"""PostgreSQL: a psycopg connection or a SQLAlchemy engine, logged in anew at each physical connect.

The password goes to psycopg as one keyword and into nothing else: no URL, no environment, no file, no error. What
decides where it goes (host, port, TLS) comes from the broker alone; neither arguments nor PG* variables change it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from ..answers import Delivered
from ..authority_file import authority_file, system_authorities
from ..lease import Lease

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy

_INSTALL = 'pip install "connvault-jupyter[postgresql]"'

# psycopg's own arguments and the libpq parameters that say how to talk, not with whom. Everything else is refused:
# a list of what is dangerous would be out of date with the next libpq.
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

# Given explicitly, empty or fixed, so that no PG* variable and no service file fills them in (libpq 34.15: the
# environment counts only for what is not given).
_PINNED: Mapping[str, str] = {
    "hostaddr": "",
    "passfile": os.devnull,
    "requirepeer": "",
    "sslcert": "",
    "sslkey": "",
    "sslcrl": "",
    "sslcrldir": "",
    "gssencmode": "disable",
    "channel_binding": "prefer",
}
# libpq 16 knows the system's own CAs by this word.
_SYSTEM_AUTHORITIES_SINCE = 160000

# A server that drops packets must not hold a cell for the system's two minutes.
_CONNECT_TIMEOUT_S = 15


class Client:
    """Openers of a PostgreSQL handle."""

    def __init__(self, *, lease: Lease) -> None:
        self._lease = lease
        self._shared: tuple[int, sqlalchemy.Engine] | None = None

    def connect(self, **arguments: Any) -> psycopg.Connection[Any]:
        """A new psycopg 3 connection. Takes psycopg's `autocommit`, `row_factory`, `cursor_factory`,
        `prepare_threshold`, `context` and libpq's `application_name`, `connect_timeout` (s; 15 unless given),
        `options` and the like.

        Raises:
            TypeError: an argument that would change where the password goes.
            ImportError: psycopg is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        _check_arguments(arguments)
        return self._log_in(arguments)[0]

    def engine(self, **arguments: Any) -> sqlalchemy.Engine:
        """A SQLAlchemy engine. Each checkout from its pool asks the broker whether the handle is still good; a replaced
        secret or changed connection makes it log in anew.

        Without arguments it is the same engine each time. Takes what `sqlalchemy.create_engine` takes, but nothing
        that says where or how to log in; `connect_args` takes what `connect()` takes.

        Raises: TypeError, ImportError. Using the engine raises what `connect()` raises.
        """
        if arguments:
            return self._new_engine(arguments)
        # A forked child must not use its parent's pooled connections.
        if self._shared is None or self._shared[0] != os.getpid():
            self._shared = (os.getpid(), self._new_engine({}))
        return self._shared[1]

    def _new_engine(self, arguments: dict[str, Any]) -> sqlalchemy.Engine:
        for name in ("creator", "module", "url"):
            if name in arguments:
                raise TypeError(f"engine() takes no {name!r}: the login comes from the connection")
        connect_arguments = dict(arguments.pop("connect_args", {}))
        _check_arguments(connect_arguments)
        _psycopg()
        try:
            import sqlalchemy
            from sqlalchemy import event
            from sqlalchemy.exc import InvalidatePoolError
        except ImportError as exc:
            raise ImportError(f"SQLAlchemy is not installed in this kernel: {_INSTALL}") from exc
        logins: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()

        def create() -> psycopg.Connection[Any]:
            connection, login = self._log_in(connect_arguments)
            logins[connection] = (login.revision, login.rotation)
            return connection

        def still_good(connection: Any, _record: object, _proxy: object) -> None:
            state = self._lease.check()
            if logins.get(connection) != (state.revision, state.rotation):
                raise InvalidatePoolError("the connection was changed; logging in anew")

        engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=create, **arguments)
        # A pooled checkout does not call the creator again: without this a revoked grant would go on working.
        event.listen(engine, "checkout", still_good)
        return engine

    def _log_in(self, arguments: Mapping[str, Any]) -> tuple[psycopg.Connection[Any], Delivered]:
        login = self._lease.deliver()
        outcome = _attempt(login, arguments)
        if isinstance(outcome, UpstreamAuthFailed):
            # The secret may have been replaced between the delivery and the login.
            fresh = self._lease.deliver()
            if fresh.rotation != login.rotation:
                login, outcome = fresh, _attempt(fresh, arguments)
        if isinstance(outcome, BaseException):
            if isinstance(outcome, UpstreamError):
                outcome.details["connection"] = self._lease.connection
            raise outcome
        return outcome, login


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as exc:
        raise ImportError(f"psycopg is not installed in this kernel: {_INSTALL}") from exc
    return psycopg


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    for name in arguments:
        if name not in ALLOWED:
            raise TypeError(
                f"{name!r} can't be given: where and as whom to log in comes from the connection. "
                f"Allowed are {', '.join(sorted(ALLOWED))}."
            )


def _attempt(login: Delivered, arguments: Mapping[str, Any]) -> psycopg.Connection[Any] | BaseException:
    """A connection, or why there is none. Nothing is raised from here: psycopg's frames have the password in their
    variables, and a traceback with them (or a `__context__`) would show it."""
    library = _psycopg()
    try:
        found: psycopg.Connection[Any] = library.connect(
            **_parameters(login, arguments, library.pq.version())
        )
    except library.Error as exc:
        return _typed(exc, library)
    except KeyboardInterrupt:
        return KeyboardInterrupt()
    return found


def _parameters(login: Delivered, arguments: Mapping[str, Any], libpq: int) -> dict[str, Any]:
    fields = login.fields
    mode = fields.get("sslmode") or "verify-full"
    authorities = fields.get("ca_certificate")
    if authorities:
        root = authority_file(str(authorities))
    elif mode == "verify-full":
        root = system_authorities() or ("system" if libpq >= _SYSTEM_AUTHORITIES_SINCE else "")
    else:
        root = ""
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": "connvault",
        **arguments,
        **_PINNED,
        "host": fields["host"],
        "port": str(fields.get("port") or 5432),
        "dbname": fields["database"],
        "user": fields["user"],
        "password": login.secrets.get("password", ""),
        "sslmode": mode,
        "sslrootcert": root,
    }


def _typed(error: Exception, library: Any) -> UpstreamError:
    """The stable error; the server's own words are dropped, they name users and hosts."""
    text = str(error)
    if isinstance(error, library.errors.ConnectionTimeout) or "timeout expired" in text:
        return UpstreamTimeout()
    if "authentication failed" in text or "no password supplied" in text:
        return UpstreamAuthFailed()
    if "FATAL" in text or "pg_hba.conf" in text:
        return UpstreamRefused()
    if "SSL" in text or "certificate" in text:
        return UpstreamTlsFailed()
    return UpstreamUnreachable()
