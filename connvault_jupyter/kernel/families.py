"""What each kind of connection opens: a subclass of `Handle` for each family, with the openers' signatures and
documentation.

This is what people, editors and type checkers read. The implementation is in `kernel.clients`, and libraries are
imported when their opener is used. The kind's definition decides which openers a connection has: others of the family
raise `AttributeError` and are not in `dir()`.
"""

# What a client gives has the type that is declared here (tests/kernel/test_families.py).
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from . import responses
from .handle import Handle, deprecated

if TYPE_CHECKING:
    import httpx
    import paramiko
    import psycopg
    import pymysql
    import redis
    import redis.asyncio
    import requests
    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .masked import HandleToken


class SqlHandle(Handle):
    """A database: PostgreSQL, MySQL, MariaDB. `connect()` returns the driver's own connection."""

    __slots__ = ()

    def engine(self, **arguments: Any) -> sqlalchemy.Engine:
        """A SQLAlchemy engine. Each checkout from its pool asks the broker whether the handle is still valid; after a
        replaced secret or a changed connection it logs in again.

        Without arguments it is the same engine each time. Accepts the arguments of `sqlalchemy.create_engine`, except
        those that set where or how to log in; `connect_args` accepts those of `connect()`. Its `url` leads to the
        handle's socket like `dsn`, for libraries that read it.

        Raises: TypeError, ImportError, and like using the engine what `connect()` raises.
        """
        return self._opener("engine")(**arguments)

    def connect(self, **arguments: Any) -> Any:
        """A new connection of the driver."""
        return self._opener("connect")(**arguments)

    @property
    def url(self) -> str:
        """An address of the handle's socket, without a password, for other libraries. The same as `dsn`; see there for
        its format and errors."""
        return self._opener("url")

    @property
    def dsn(self) -> str:
        """An address of the handle's socket, without a password. Valid for the same processes, and as long, as
        `Handle.env()`."""
        return self._opener("dsn")


class PostgresqlHandle(SqlHandle):
    """PostgreSQL, by psycopg 3."""

    __slots__ = ()

    def connect(self, **arguments: Any) -> psycopg.Connection[Any]:
        """A new psycopg 3 connection. Accepts psycopg's `autocommit`, `row_factory`, `cursor_factory`,
        `prepare_threshold`, `context` and libpq's `application_name`, `connect_timeout` (s; default 15), `options` and
        similar ones.

        Raises:
            TypeError: an argument would set the server or the user. ImportError: psycopg is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("connect")(**arguments)

    async def async_connect(self, **arguments: Any) -> psycopg.AsyncConnection[Any]:
        """A new `psycopg.AsyncConnection`; same arguments and errors as `connect()`."""
        return await self._opener("async_connect")(**arguments)

    @deprecated("Renamed: async_connect().")
    async def connect_async(self, **arguments: Any) -> psycopg.AsyncConnection[Any]:
        """The former name of `async_connect()`. It will be removed in the next version."""
        warnings.warn(
            "connect_async() is now async_connect(); the old name will be removed in the next version.",
            DeprecationWarning,
            stacklevel=2,
        )
        return await self.async_connect(**arguments)

    def async_engine(self, **arguments: Any) -> AsyncEngine:
        """A new SQLAlchemy `AsyncEngine` on psycopg's asynchronous connections. Close it with `await
        engine.dispose()`; its pool belongs to the event loop in which it is first used.

        Otherwise like `engine()`: accepts the arguments of `sqlalchemy.ext.asyncio.create_async_engine`, except those
        that set where or how to log in, and each checkout asks the broker.

        Raises: TypeError, ImportError, and like using the engine what `connect()` raises.
        """
        return self._opener("async_engine")(**arguments)

    @property
    def dsn(self) -> str:
        """An address in libpq's format, without a password, for psql, asyncpg, pandas, ADBC, DuckDB and others.

        Valid for the same processes, and as long, as `Handle.env()`.

        Raises: NotAllowed: an environment variable of this process would lead whoever uses it elsewhere.
        HandleInvalid, VaultLocked,
            BrokerUnavailable, ...
        """
        return self._opener("dsn")

    def forget_sessions(self) -> None:
        """Ends the sessions kept for the next client, so that the next connection logs in again. They also end after
        two seconds, and none are kept if the connection's field `keep_sessions` is off.

        Raises: HandleInvalid, BrokerUnavailable, ...
        """
        self._opener("forget_sessions")()


class MysqlHandle(SqlHandle):
    """MySQL and MariaDB, by PyMySQL."""

    __slots__ = ()

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """A new PyMySQL connection. Accepts PyMySQL's `autocommit`, `charset`, `cursorclass`, `database`,
        `init_command`, `read_timeout` (s) and similar ones; `local_infile=True` (LOAD DATA LOCAL) if the connection
        allows it.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: PyMySQL is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("connect")(**arguments)

    @property
    def dsn(self) -> str:
        """A SQLAlchemy URL without a password, which leads to the handle's socket. Valid for the same processes, and
        as long, as `Handle.env()`.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("dsn")


class HttpHandle(Handle):
    """An HTTP API: the broker's relay adds the credential to requests."""

    __slots__ = ()

    def session(self) -> requests.Session:
        """A new `requests.Session` for the stored address. Relative URLs ("/user/repos") are joined to it; an absolute
        URL elsewhere is refused. The relay asks the broker at each request (at most once a second), so a revoke takes
        effect at once. `verify`, `cert` and proxies have no effect: the relay verifies the service's certificate.

        Raises: HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses. ImportError: requests is not
        installed. Using the session raises these too, and UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout,
        UpstreamRefused.
        """
        return self._opener("session")()

    def client(self, **arguments: Any) -> httpx.Client:
        """A new `httpx.Client` for the stored address, with the rules of `session()`; a redirect elsewhere is refused.

        Accepts httpx's `timeout` (s), `headers`, `params`, `cookies`, `follow_redirects` and similar ones.

        Raises: TypeError: an argument would set the server or the login. ImportError: httpx is not installed.
        Otherwise as `session()`.
        """
        return self._opener("client")(**arguments)

    def async_client(self, **arguments: Any) -> httpx.AsyncClient:
        """A new `httpx.AsyncClient`; otherwise like `client()`."""
        return self._opener("async_client")(**arguments)

    @property
    def url(self) -> str:
        """The same as `base_url`."""
        return self._opener("url")

    @property
    def base_url(self) -> str:
        """The handle's endpoint on loopback, with the path of the stored address, for other libraries, which must send
        `token`. Valid for the same processes, and as long, as `Handle.env()`. Reading it adds loopback to this
        process's
        `NO_PROXY`: a proxy from the environment would get the request, including the token.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("base_url")

    @property
    def token(self) -> HandleToken:
        """The API key, bearer token or password for `base_url`. It belongs to the handle and is not the service's
        credential; it may be copied and pickled for workers that this kernel starts. Raises: as `base_url`."""
        return self._opener("token")


class ObjectStoreHandle(Handle):
    """S3-compatible storage: the broker signs requests."""

    __slots__ = ()

    def client(self, service: str = "s3", **config: Any) -> Any:
        """A new boto3 client. `config`: arguments of `botocore.config.Config`, such as `retries` or `read_timeout`
        (s).

        boto3 makes its methods at run time. For type checkers, annotate it with a class of boto3's stubs, such as
        `mypy_boto3_s3.S3Client`.

        Its presigned URLs lead to the loopback endpoint: valid for the same processes, and as long, as
        `Handle.env()`, whatever `ExpiresIn` says.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: boto3 is not installed.
            HandleInvalid, VaultLocked, ...: the broker refuses. Using the client raises these too, and
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused; other errors
            of the service are botocore's `ClientError`.
        """
        return self._opener("client")(service, **config)

    def resource(self, **config: Any) -> Any:
        """A boto3 resource for S3; same arguments, errors and types as `client()`."""
        return self._opener("resource")(**config)

    def filesystem(self, **arguments: Any) -> Any:
        """An `s3fs.S3FileSystem`, to list, open and copy, for pandas, pyarrow and others that use fsspec.

        Without arguments it is the same one each time. Accepts s3fs's arguments about reading and caching
        (`default_block_size`, `use_listings_cache`, ...).

        Raises: TypeError, ImportError, and what `client()` raises.
        """
        return self._opener("filesystem")(**arguments)

    @property
    def storage_options(self) -> dict[str, Any]:
        """For pandas, which passes it to s3fs: `pandas.read_csv("s3://bucket/key",
        storage_options=handle.storage_options)`. Dask and joblib may pickle it for workers that this kernel starts."""
        return self._opener("storage_options")

    @property
    def bucket(self) -> str:
        """The connection's bucket, or an empty string."""
        return self._opener("bucket")

    @property
    def url(self) -> str:
        """The same as `base_url`."""
        return self._opener("url")

    @property
    def base_url(self) -> str:
        """The handle's endpoint on loopback, for other libraries (path-style). Valid as long as the handle.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("base_url")

    @property
    def token(self) -> HandleToken:
        """The access key ID and also the secret access key for `base_url`. It belongs to the handle and is not a key
        of the service."""
        return self._opener("token")


class RedisHandle(Handle):
    """Redis and Valkey, by redis-py."""

    __slots__ = ()

    def client(self, **arguments: Any) -> redis.Redis:
        """A `redis.Redis` with its own pool; without arguments it is the same one each time.

        Accepts redis-py's `decode_responses`, `protocol`, `socket_timeout` (s), `health_check_interval` (s), `retry`
        and similar ones. The database comes from the connection. The broker is asked at each new connection, and once
        a second during use; after a replaced secret or a changed connection it logs in again.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: redis is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            Using the client raises these too, and UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed,
            UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("client")(**arguments)

    def async_client(self, **arguments: Any) -> redis.asyncio.Redis:
        """A new `redis.asyncio.Redis`; close it with `await client.aclose()`. Otherwise like `client()`."""
        return self._opener("async_client")(**arguments)

    @property
    def url(self) -> str:
        """`unix://` and the path of the handle's socket, for other libraries. It contains no password and needs none.
        Valid for the same processes, and as long, as `Handle.env()`.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("url")


class SshHandle(Handle):
    """SSH: an agent's socket for any program, and a paramiko client that logs in with it."""

    __slots__ = ()

    @property
    def agent_socket(self) -> str:
        """The path of an SSH agent that signs logins for this connection, for SSH_AUTH_SOCK and asyncssh's
        `agent_path`.

        It signs only logins as the connection's user, for this process and its children; not for a forwarded agent
        (`ssh -A`). If the connection has the host's key, the program must tell the agent to which host it is
        connected, as ssh and git with OpenSSH 8.9 or newer do. The clients in paramiko, asyncssh, libssh2 and Go
        can't, and are refused (`last_refusal`) unless the connection allows them. The path stays the same as long as
        the handle is valid. Open sessions outlive the handle, because that traffic bypasses the broker.

        Raises: HandleInvalid, VaultLocked, BrokerUnavailable, ...
        """
        return self._opener("agent_socket")

    @property
    def last_refusal(self) -> str | None:
        """Why the agent last refused to sign or to show its key, for people; `None` if it never did. Programs such as
        ssh and git get no reason. Raises: as `agent_socket`."""
        return self._opener("last_refusal")

    def connect(self, *, timeout_s: float = 15.0) -> paramiko.SSHClient:
        """A logged-in `paramiko.SSHClient`. It is closed when the permission is revoked, the vault is locked or the
        broker ends.

        The host must have the connection's host key, or, without one, a key from known_hosts. `timeout_s` applies
        separately to connecting, the server's greeting, and the login.

        Raises:
            ImportError: paramiko is not installed.
            HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed (the host key), UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("connect")(timeout_s=timeout_s)


class InClearHandle(Handle):
    """A kind without a relay, whose library logs in inside this process."""

    __slots__ = ()

    def arguments(self) -> dict[str, Any]:
        """The connection's fields and secrets by name, for one login, in the clear.

            snowflake.connector.connect(**handle.arguments())

        The library gets the secret, which stays in this process's memory as long as the library keeps it. The dict's
        repr is masked; what the library prints or logs is not. Call this for each login instead of keeping the dict,
        so that a revoke takes effect and a replaced secret is used.

        Raises: HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("arguments")()


# A delivery's client (`handle._CLIENTS`) -> the family whose openers it has.
_FAMILIES: dict[str, type[Handle]] = {
    "arguments": InClearHandle,
    "http": HttpHandle,
    "mysql": MysqlHandle,
    "postgresql": PostgresqlHandle,
    "redis": RedisHandle,
    "s3": ObjectStoreHandle,
    "ssh": SshHandle,
}


def family_of(granted: responses.Granted) -> type[Handle]:
    """The type of handle for what was granted: the family of the first delivery with openers; else `Handle`."""
    found = (_FAMILIES.get(delivery.client) for delivery in granted.deliveries)
    return next((family for family in found if family is not None), Handle)
