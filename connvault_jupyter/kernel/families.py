"""What the kinds of connections open: a subclass of `Handle` for each family, with the openers' signatures and meaning.

Here is what people, editors and type checkers read. The work is done in `kernel.clients`, and no library is imported
before its opener is used. Which openers a connection really has, its definition says: another one of the family is an
`AttributeError` when it is used, and is not in `dir()`.
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
    """A database: PostgreSQL, MySQL, MariaDB. `connect()` gives the driver's own connection."""

    __slots__ = ()

    def engine(self, **arguments: Any) -> sqlalchemy.Engine:
        """A SQLAlchemy engine. Each checkout from its pool asks the broker whether the handle is still good; a replaced
        secret or changed connection makes it log in anew.

        Without arguments it is the same engine each time. Takes what `sqlalchemy.create_engine` takes, but nothing
        that says where or how to log in; `connect_args` takes what `connect()` takes. Its `url` leads to the handle's
        socket as `dsn` does, for libraries that read it.

        Raises: TypeError, ImportError, and like using the engine what `connect()` raises.
        """
        return self._opener("engine")(**arguments)

    def connect(self, **arguments: Any) -> Any:
        """A new connection of the driver's."""
        return self._opener("connect")(**arguments)

    @property
    def url(self) -> str:
        """An address of the handle's socket, without a password, for other libraries. The same as `dsn`, which says
        its form and errors."""
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
        """A new psycopg 3 connection. Takes psycopg's `autocommit`, `row_factory`, `cursor_factory`,
        `prepare_threshold`, `context` and libpq's `application_name`, `connect_timeout` (s; 15 unless given),
        `options` and the like.

        Raises:
            TypeError: an argument that says where or as whom.
            ImportError: psycopg is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("connect")(**arguments)

    async def async_connect(self, **arguments: Any) -> psycopg.AsyncConnection[Any]:
        """A new `psycopg.AsyncConnection`; takes and raises what `connect()` does."""
        return await self._opener("async_connect")(**arguments)

    @deprecated("Renamed: async_connect().")
    async def connect_async(self, **arguments: Any) -> psycopg.AsyncConnection[Any]:
        """The former name of `async_connect()`. It goes with the next version."""
        warnings.warn(
            "connect_async() is now async_connect(); the old name goes with the next version.",
            DeprecationWarning,
            stacklevel=2,
        )
        return await self.async_connect(**arguments)

    def async_engine(self, **arguments: Any) -> AsyncEngine:
        """A new SQLAlchemy `AsyncEngine` on psycopg's asynchronous connections. Close it with
        `await engine.dispose()`; its pool belongs to the event loop that it is first used in.

        Otherwise as `engine()`: takes what `sqlalchemy.ext.asyncio.create_async_engine` takes, but nothing that says
        where or how to log in, and each checkout asks the broker.

        Raises: TypeError, ImportError, and like using the engine what `connect()` raises.
        """
        return self._opener("async_engine")(**arguments)

    @property
    def dsn(self) -> str:
        """An address in libpq's form, without a password, for psql, asyncpg, pandas, ADBC, DuckDB and the like.

        Valid for the same processes, and as long, as `Handle.env()`.

        Raises: NotAllowed: a variable of this process would lead elsewhere whoever uses it. HandleInvalid, VaultLocked,
            BrokerUnavailable, ...
        """
        return self._opener("dsn")

    def forget_sessions(self) -> None:
        """Ends the sessions that are kept for the next client: what connects from now on gets a new login. They end by
        themselves after two seconds, and with the connection's field `keep_sessions` switched off none is kept.

        Raises: HandleInvalid, BrokerUnavailable, ...
        """
        self._opener("forget_sessions")()


class MysqlHandle(SqlHandle):
    """MySQL and MariaDB, by PyMySQL."""

    __slots__ = ()

    def connect(self, **arguments: Any) -> pymysql.Connection[Any]:
        """A new PyMySQL connection. Takes PyMySQL's `autocommit`, `charset`, `cursorclass`, `database`,
        `init_command`, `read_timeout` (s) and the like; `local_infile=True` (LOAD DATA LOCAL) where the connection's
        form lets it.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: PyMySQL is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("connect")(**arguments)

    @property
    def dsn(self) -> str:
        """A SQLAlchemy URL without a password. It leads to the handle's socket. Valid for the same processes, and as
        long, as `Handle.env()`.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("dsn")


class HttpHandle(Handle):
    """An HTTP API: requests that the broker's relay completes with the credential."""

    __slots__ = ()

    def session(self) -> requests.Session:
        """A new `requests.Session` for the stored address. Relative URLs ("/user/repos") are joined to it; an absolute
        URL elsewhere is refused. The relay asks the broker at each request (at most once a second), so revoking bites
        at once; `verify`, `cert` and proxies play no part: the relay verifies the service's certificate.

        Raises: HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses. ImportError: no requests.
            Using it raises these too, and UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("session")()

    def client(self, **arguments: Any) -> httpx.Client:
        """A new `httpx.Client` for the stored address, by the rules of `session()`; a redirect elsewhere is refused.

        Takes httpx's `timeout` (s), `headers`, `params`, `cookies`, `follow_redirects` and the like.

        Raises: TypeError: an argument that would say where or as whom. ImportError: no httpx. Otherwise as `session()`.
        """
        return self._opener("client")(**arguments)

    def async_client(self, **arguments: Any) -> httpx.AsyncClient:
        """A new `httpx.AsyncClient`; otherwise as `client()`."""
        return self._opener("async_client")(**arguments)

    @property
    def url(self) -> str:
        """The same as `base_url`."""
        return self._opener("url")

    @property
    def base_url(self) -> str:
        """The handle's endpoint on loopback, with the path of the stored address, for other libraries; `token` opens
        it. Valid for the same processes, and as long, as `Handle.env()`. Reading it adds loopback to this process's
        `NO_PROXY`: a proxy of the environment would get the request, token included.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("base_url")

    @property
    def token(self) -> HandleToken:
        """What a library gives at `base_url` as API key, bearer token or password. It is the handle's, and no
        credential of the service; it may be copied and pickled, for workers that this kernel starts. Raises: as
        `base_url`."""
        return self._opener("token")


class ObjectStoreHandle(Handle):
    """S3-compatible storage: requests that the broker signs."""

    __slots__ = ()

    def client(self, service: str = "s3", **config: Any) -> Any:
        """A new boto3 client. `config` are arguments of `botocore.config.Config`: `retries`, `read_timeout` (s), ...

        boto3 makes its methods at run time. For a type checker, annotate it with a class of boto3's stubs, such as
        `mypy_boto3_s3.S3Client`.

        Presigned URLs of it lead to the loopback endpoint: valid for the same processes, and as long, as
        `Handle.env()`, whatever `ExpiresIn` says.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: boto3 is not installed.
            HandleInvalid, VaultLocked, ...: the broker refuses. Using the client raises these too, and
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused; what the
            service answers otherwise is botocore's `ClientError`.
        """
        return self._opener("client")(service, **config)

    def resource(self, **config: Any) -> Any:
        """A boto3 resource for S3; arguments, errors and types as those of `client()`."""
        return self._opener("resource")(**config)

    def filesystem(self, **arguments: Any) -> Any:
        """An `s3fs.S3FileSystem`, to list, open and copy, for pandas, pyarrow and what else takes fsspec.

        Without arguments it is the same one each time. Takes those of s3fs that say how to read and cache
        (`default_block_size`, `use_listings_cache`, ...).

        Raises: TypeError, ImportError, and what `client()` raises.
        """
        return self._opener("filesystem")(**arguments)

    @property
    def storage_options(self) -> dict[str, Any]:
        """What pandas passes to s3fs: `pandas.read_csv("s3://bucket/key", storage_options=handle.storage_options)`.
        Dask and joblib may pickle it for workers that this kernel starts."""
        return self._opener("storage_options")

    @property
    def bucket(self) -> str:
        """The bucket that the connection names, or an empty string."""
        return self._opener("bucket")

    @property
    def url(self) -> str:
        """The same as `base_url`."""
        return self._opener("url")

    @property
    def base_url(self) -> str:
        """The handle's endpoint on loopback, for other libraries as endpoint (path-style). Valid while the handle is.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("base_url")

    @property
    def token(self) -> HandleToken:
        """Access key ID and secret access key for `base_url`, both. It is the handle's, and no key of the service."""
        return self._opener("token")


class RedisHandle(Handle):
    """Redis and Valkey, by redis-py."""

    __slots__ = ()

    def client(self, **arguments: Any) -> redis.Redis:
        """A `redis.Redis` with a pool of its own; without arguments it is the same one each time.

        Takes redis-py's `decode_responses`, `protocol`, `socket_timeout` (s), `health_check_interval` (s), `retry` and
        the like. The database is the connection's. Using it asks the broker at each new connection, and once a second
        while it is used; a replaced secret or changed connection makes it log in anew.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: redis is not installed.
            HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
            When used: these, and UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout,
            UpstreamRefused.
        """
        return self._opener("client")(**arguments)

    def async_client(self, **arguments: Any) -> redis.asyncio.Redis:
        """A new `redis.asyncio.Redis`; close it with `await client.aclose()`. Otherwise as `client()`."""
        return self._opener("async_client")(**arguments)

    @property
    def url(self) -> str:
        """`unix://` and the path of the handle's socket, for other libraries. No password is in it and none is needed.
        Valid for the same processes, and as long, as `Handle.env()`.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("url")


class SshHandle(Handle):
    """SSH: an agent's socket for any program, and a paramiko client that logs in with it."""

    __slots__ = ()

    @property
    def agent_socket(self) -> str:
        """The path of an SSH agent that signs logins for this connection: what SSH_AUTH_SOCK and asyncssh's
        `agent_path` want.

        It signs for this process and what it starts, as the connection's user, and nothing but logins; not for an
        agent that was forwarded (`ssh -A`). If the connection names the host's key, the program has to tell the agent
        which host it is at, as ssh and git of OpenSSH 8.9 or newer do. What paramiko, asyncssh, libssh2 and Go bring
        can't, and is refused (`last_refusal`) unless the connection lets it. It stays the same as long as the handle is
        good. A session that is open outlives it, because that traffic bypasses the broker.

        Raises: HandleInvalid, VaultLocked, BrokerUnavailable, ...
        """
        return self._opener("agent_socket")

    @property
    def last_refusal(self) -> str | None:
        """Why the agent last refused to sign or to show its key, in words; `None` if it never did. Programs such as
        ssh and git are told no reason. Raises: as `agent_socket`."""
        return self._opener("last_refusal")

    def connect(self, *, timeout_s: float = 15.0) -> paramiko.SSHClient:
        """A logged-in `paramiko.SSHClient`. It is closed when the permission is revoked, the vault is locked or the
        broker ends.

        The host must show the connection's host key, or if it has none, one from known_hosts. `timeout_s` is for each
        of: connecting, the server's greeting, the login.

        Raises:
            ImportError: paramiko is not installed.
            HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ...: the broker refuses.
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed (the host key), UpstreamTimeout, UpstreamRefused.
        """
        return self._opener("connect")(timeout_s=timeout_s)


class InClearHandle(Handle):
    """A kind that no relay knows, whose library logs in inside this process."""

    __slots__ = ()

    def arguments(self) -> dict[str, Any]:
        """The connection's fields and secrets by name, for one login, in the clear.

            snowflake.connector.connect(**handle.arguments())

        The library gets the secret, and it stays in this process's memory as long as the library keeps it. The dict's
        repr is masked; what the library prints or logs is not. Call this for each login instead of keeping the dict:
        a permission that was revoked bites then, and a replaced secret is picked up.

        Raises: HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ...: the broker refuses.
        """
        return self._opener("arguments")()


# What a delivery calls its client (`handle._CLIENTS`) -> the family whose openers it has.
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
    """The type of handle for what was granted: of the first delivery that has openers of a family; else `Handle`."""
    found = (_FAMILIES.get(delivery.client) for delivery in granted.deliveries)
    return next((family for family in found if family is not None), Handle)
