"""Where a handle's HTTP relay listens; it is reopened when it is gone. It knows no client library."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from typing import Any

from ....errors import BrokerUnavailable, ConnvaultError, HandleInvalid
from ...handle_ref import HandleRef
from ...lost_connections import mark
from ...relay_errors import answered
from ...responses import RelayEndpoint


class HttpEndpoint:
    """The Unix socket of a handle. If it is gone, it is reopened, once for each connection.

    `opened`: the endpoint at construction. Thread-safe.
    """

    def __init__(self, *, handle_ref: HandleRef) -> None:
        """Raises: HandleInvalid, VaultLocked, BrokerUnavailable, ...: the broker refuses."""
        self._handle_ref = handle_ref
        self._lock = threading.Lock()
        self._opened = handle_ref.open()
        self._base_url = self._opened.fields.get("base_url")

    @property
    def opened(self) -> RelayEndpoint:
        return self._opened

    @property
    def base_url(self) -> str:
        """As stored, without a trailing slash."""
        return str(self._base_url).rstrip("/")

    @property
    def connection(self) -> str:
        return self._handle_ref.connection

    def connect(self, timeout_s: float | None) -> socket.socket:
        """A new connection to the relay.

        Raises: HandleInvalid, VaultLocked, ...: it was gone, and the broker refuses to reopen it. OSError.
        """
        try:
            stream = _connected(self._opened.socket, timeout_s)
        except (FileNotFoundError, ConnectionRefusedError):
            self.renew()
            try:
                stream = _connected(self._opened.socket, timeout_s)
            except (FileNotFoundError, ConnectionRefusedError):
                raise BrokerUnavailable(connection=self.connection) from None
        self.opens(stream)
        return stream

    def opens(self, opened: Any) -> None:
        """See `HandleRef.opens`."""
        self._handle_ref.opens(opened)

    def mark(self, error: Exception) -> None:
        """See `lost.mark`."""
        mark(error, self._handle_ref)

    def refuse_if_released(self) -> None:
        """For a client that already has a connection. Raises: HandleInvalid."""
        self._handle_ref.refuse_if_released()

    def renew(self) -> str:
        """Reopens the endpoint; returns the path of its socket. Raises: HandleInvalid: also if the address has
        changed."""
        with self._lock:
            opened = self._handle_ref.open()
            if opened.fields.get("base_url") != self._base_url:
                raise HandleInvalid(reason="changed", connection=self.connection)
            self._opened = opened
            return opened.socket

    def error(self, headers: Mapping[str, Any], content: bytes) -> ConnvaultError:
        """The error in a response of the relay itself; see `relay_errors.answered`."""
        return answered(headers, content, connection=self.connection)


def _connected(path: str, timeout_s: float | None) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout_s)
        stream.connect(path)
    except BaseException:
        stream.close()
        raise
    return stream
