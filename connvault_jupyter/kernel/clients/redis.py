"""Redis: redis-py clients whose connections the broker's relay logs in. This process has no password.

Server and user come from the connection, and no argument changes them. This relies on what redis-py's pools and
connections promise to subclasses, and on nothing of its protocol except one PING.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...errors import ConnvaultError
from ..client_arguments import check_arguments, imported
from ..handle_ref import HandleRef
from ..lost_connections import mark
from ..relay_errors import said_in
from ..responses import RelayEndpoint

if TYPE_CHECKING:
    import redis
    import redis.asyncio

# How to talk, not to whom.
ALLOWED = frozenset(
    {
        "client_name",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "protocol",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_timeout",
    }
)

# The relay connects and logs in within this time, or reports why not.
_LOGIN_S = 50.0

# redis-py takes a connection from its pool for each command, and asking the broker costs more than a command. A revoke
# does not depend on it: the relay ends the connection.
_LOOK_EVERY_S = 1.0

_PROBE = b"PING\r\n"


class Client:
    """Openers of a Redis handle."""

    delivery = "relay"

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref
        self._shared: tuple[int, redis.Redis] | None = None

    def client(self, **arguments: Any) -> redis.Redis:
        """See `RedisHandle.client`."""
        check_arguments(arguments, ALLOWED)
        if arguments:
            return self._new(arguments)
        # A forked child must not close the connections of its parent.
        if self._shared is None or self._shared[0] != os.getpid():
            self._shared = (os.getpid(), self._new({}))
        return self._shared[1]

    def async_client(self, **arguments: Any) -> redis.asyncio.Redis:
        """See `RedisHandle.async_client`."""
        check_arguments(arguments, ALLOWED)
        _library()
        import redis.asyncio

        path = self._handle_ref.open().socket
        settings = redis.asyncio.Redis(unix_socket_path=path, **arguments).connection_pool.connection_kwargs
        pool = _async_pool(redis.asyncio, _Endpoint(self._handle_ref), dict(settings), arguments)
        found: redis.asyncio.Redis = redis.asyncio.Redis.from_pool(pool)
        return found

    @property
    def url(self) -> str:
        """See `RedisHandle.url`."""
        path = self._handle_ref.open().socket
        self._handle_ref.give_out()
        return "unix://" + quote(path)

    def _new(self, arguments: Mapping[str, Any]) -> redis.Redis:
        library = _library()
        # The pool's arguments with redis-py's defaults; nothing is connected. Other libraries read them from the pool.
        path = self._handle_ref.open().socket
        settings = library.Redis(unix_socket_path=path, **arguments).connection_pool.connection_kwargs
        pool = _pool(library, _Endpoint(self._handle_ref), dict(settings), arguments)
        found: redis.Redis = library.Redis.from_pool(pool)
        return found


class _Endpoint:
    """Where the handle listens, requested again for each connection, and the login used."""

    def __init__(self, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref
        self._looked_at = float("-inf")
        self.login: tuple[int, str] | None = None

    def open(self) -> RelayEndpoint:
        opened = self._handle_ref.open()
        self.login = (opened.revision, opened.rotation)
        self._looked_at = time.monotonic()
        return opened

    @property
    def due(self) -> bool:
        """Whether the broker was not asked for a while, or there is a reason to ask."""
        return self._handle_ref.released or time.monotonic() - self._looked_at >= _LOOK_EVERY_S

    def look(self) -> None:
        """Asks the broker whether the handle is still valid. Raises: HandleInvalid, ..."""
        state = self._handle_ref.check()
        self.login = (state.revision, state.rotation)
        self._looked_at = time.monotonic()

    def opens(self, opened: Any) -> None:
        """See `HandleRef.opens`."""
        self._handle_ref.opens(opened)

    def mark(self, error: Exception) -> None:
        """See `lost.mark`."""
        mark(error, self._handle_ref)

    def raise_for(self, line: bytes) -> None:
        """Raises: OSError: the relay is gone; or the error that it reports instead of serving."""
        if not line:
            raise ConnectionResetError("the relay closed the connection")
        refused = said_in(line.decode("utf-8", "replace"), connection=self._handle_ref.connection)
        if refused is not None:
            raise refused


def _library() -> Any:
    return imported("redis", name="redis", extra="redis")


def _connection(library: Any, endpoint: _Endpoint) -> Any:
    class Connection(library.UnixDomainSocketConnection):  # type: ignore[misc]
        """A connection that the relay logs in. `login` identifies the login used."""

        login: tuple[int, str] | None = None

        def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().send_packed_command(*args, **kwargs)
            except library.ConnectionError as exc:
                endpoint.mark(exc)
                raise

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().read_response(*args, **kwargs)
            except library.ConnectionError as exc:
                endpoint.mark(exc)
                raise

        def _connect(self) -> socket.socket:
            with contextlib.suppress(ConnectionError, FileNotFoundError):
                return self._logged_in()
            # The relay has ended in the meantime. If asked again, the broker starts another one.
            return self._logged_in()

        def _logged_in(self) -> socket.socket:
            self.path = endpoint.open().socket
            stream: socket.socket = super()._connect()
            patience_s = stream.gettimeout()
            try:
                stream.settimeout(_LOGIN_S)
                stream.sendall(_PROBE)
                line = b""
                while not line.endswith(b"\n") and (data := stream.recv(4096)):
                    line += data
                endpoint.raise_for(line)
                stream.settimeout(patience_s)
            except BaseException:
                stream.close()
                raise
            self.login = endpoint.login
            endpoint.opens(stream)
            return stream

    return Connection


def _pool(library: Any, endpoint: _Endpoint, settings: dict[str, Any], arguments: Mapping[str, Any]) -> Any:
    class Pool(library.ConnectionPool):  # type: ignore[misc]
        """A pool of such connections; each is checked when it is taken."""

        def get_connection(self, *args: Any, **kwargs: Any) -> Any:
            if endpoint.due:
                endpoint.look()
            connection = super().get_connection(*args, **kwargs)
            if connection.login != endpoint.login:
                try:
                    connection.disconnect()
                    connection.connect()
                except BaseException:
                    self.release(connection)
                    raise
            return connection

    return Pool(
        connection_class=_connection(library, endpoint),
        max_connections=arguments.get("max_connections"),
        **settings,
    )


def _async_marking(library: Any, endpoint: _Endpoint) -> Any:
    class Marking(library.UnixDomainSocketConnection):  # type: ignore[misc]
        """Marks the errors that it raises when it is lost."""

        async def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().send_packed_command(*args, **kwargs)
            except library.ConnectionError as exc:
                endpoint.mark(exc)
                raise

        async def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().read_response(*args, **kwargs)
            except library.ConnectionError as exc:
                endpoint.mark(exc)
                raise

    return Marking


def _async_connection(library: Any, endpoint: _Endpoint) -> Any:
    from redis.exceptions import ConnectionError as NoConnection

    class Connection(_async_marking(library, endpoint)):  # type: ignore[misc]
        """As the other one."""

        login: tuple[int, str] | None = None

        async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            refused: ConnvaultError
            try:
                return await super().connect_check_health(*args, **kwargs)  # type: ignore[no-any-return]
            except NoConnection as exc:
                # redis-py would replace every error with its own, and retry.
                if not isinstance(exc.__cause__, ConnvaultError):
                    raise
                refused = exc.__cause__
            raise refused

        async def _connect(self) -> None:
            with contextlib.suppress(ConnectionError, FileNotFoundError):
                return await self._log_in()
            return await self._log_in()

        async def _log_in(self) -> None:
            self.path = (await asyncio.to_thread(endpoint.open)).socket
            reader, writer = await asyncio.open_unix_connection(self.path)
            try:
                writer.write(_PROBE)
                endpoint.raise_for(await asyncio.wait_for(reader.readline(), _LOGIN_S))
            except BaseException:
                writer.close()
                raise
            self._reader, self._writer = reader, writer
            endpoint.opens(writer)
            self.login = endpoint.login

    return Connection


def _async_pool(
    library: Any, endpoint: _Endpoint, settings: dict[str, Any], arguments: Mapping[str, Any]
) -> Any:
    class Pool(library.ConnectionPool):  # type: ignore[misc]
        """As the other one."""

        async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
            if endpoint.due:
                await asyncio.to_thread(endpoint.look)
            connection = await super().get_connection(*args, **kwargs)
            if connection.login != endpoint.login:
                try:
                    await connection.disconnect()
                    await connection.connect()
                except BaseException:
                    await self.release(connection)
                    raise
            return connection

    return Pool(
        connection_class=_async_connection(library, endpoint),
        max_connections=arguments.get("max_connections"),
        **settings,
    )
