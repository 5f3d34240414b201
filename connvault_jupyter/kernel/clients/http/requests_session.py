"""A requests session for one base URL. Its requests go to the handle's relay, which adds the credential.

Responses and errors show the real addresses; this process has no credential. Requests that lead elsewhere (a redirect
to a file store) go there directly, without anything that could log in.
"""

from __future__ import annotations

import re
import socket
from typing import Any, NoReturn

from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util import Timeout

from ....errors import NotAllowed
from ...relay_errors import ERROR_HEADER
from .addresses import covers, joined, origin
from .endpoint import HttpEndpoint

try:
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter
except ImportError as exc:
    raise ImportError(
        'requests is not installed in this kernel: pip install "connvault-jupyter[http]"'
    ) from exc

_LOGIN_HEADER = re.compile(r"auth|token|key|secret|cookie|credential", re.IGNORECASE)

# requests' own default.
_POOL_CONNECTIONS = 10


class ApiSession(requests.Session):
    """Bound to one address. For other addresses, proxies and CA bundles of the environment are used, but not
    `.netrc`."""

    def __init__(self, *, endpoint: HttpEndpoint) -> None:
        """Raises: requests.exceptions.InvalidURL: the stored address is not valid."""
        super().__init__()
        self.base_url = _as_sent(endpoint.base_url)
        self._endpoint = endpoint
        self._relay = _RelayAdapter(endpoint=endpoint)
        # Any callable keeps requests from using .netrc and credentials in URLs.
        self.auth = _no_auth

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Like `requests.Session.request`. Also raises: NotAllowed (another address), and the relay's refusals."""
        return super().request(method, self._joined(url), *args, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        try:
            return super().send(request, **kwargs)
        except requests.RequestException as exc:
            # A redirect may have led elsewhere and failed there.
            asked = exc.request or request
            if covers(self.base_url, asked.url or ""):
                self._endpoint.mark(exc)
            raise

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """On a redirect to another origin, or out of the stored address, removes headers that look like a login or
        contain the handle's token.

        requests itself only strips `Authorization`, and would use `.netrc` for the new host."""
        url, headers = prepared_request.url or "", prepared_request.headers
        if origin(url) == origin(response.request.url or "") and covers(self.base_url, url):
            return
        token = self._endpoint.opened.token.encode()
        for name, value in list(headers.items()):
            # Some callers pass bytes.
            text: Any = value
            if _LOGIN_HEADER.search(name) or token in (text if isinstance(text, bytes) else text.encode()):
                del headers[name]

    def get_adapter(self, url: str) -> BaseAdapter:
        mounted = super().get_adapter(url)
        if not covers(self.base_url, url):
            return mounted
        # A caller may have mounted an adapter with retries: they apply here too.
        retries = getattr(mounted, "max_retries", None)
        return self._relay if retries is None else self._relay.retrying(retries)

    def close(self) -> None:
        self._relay.close()
        super().close()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a session can't be copied or pickled: it works in this kernel only")

    def _joined(self, url: Any) -> str:
        text = joined(self.base_url, url.decode() if isinstance(url, bytes) else str(url))
        if not covers(self.base_url, text):
            raise NotAllowed(
                f"This session is for {self.base_url} only. Use requests itself for other addresses.",
                connection=self._endpoint.connection,
            )
        return text


class _RelayAdapter(HTTPAdapter):
    """Sends everything to the relay's Unix socket. Proxies and certificates don't matter: it connects nowhere else."""

    def __init__(self, *, endpoint: HttpEndpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._pools: dict[tuple[str, int | None], HTTPConnectionPool] = {}

    def retrying(self, retries: Any) -> _RelayAdapter:
        self.max_retries = retries
        return self

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self._endpoint.refuse_if_released()
        response = super().send(request, *args, **kwargs)
        if ERROR_HEADER in response.headers:
            raise self._endpoint.error(response.headers, response.content)
        return response

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ARG002 -- as requests passes it
        proxies: Any = None,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
    ) -> HTTPConnectionPool:
        _, host, port = origin(request.url or "")
        pool = self._pools.get((host, port))
        if pool is None:
            pool = _RelayPool(host, port, endpoint=self._endpoint, maxsize=_POOL_CONNECTIONS, block=False)
            pool = self._pools.setdefault((host, port), pool)
        return pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        return str(request.path_url)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The relay verifies the service's certificate; there is none here."""

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        super().close()


class _RelayConnection(HTTPConnection):
    """A connection to the relay's socket, whatever the host's name."""

    endpoint: HttpEndpoint

    def _new_conn(self) -> socket.socket:
        timeout = Timeout.resolve_default_timeout(self.timeout)
        try:
            return self.endpoint.connect(timeout)
        except OSError as exc:
            raise NewConnectionError(
                self, f"the relay can't be reached: {exc.strerror or 'no answer'}"
            ) from exc


class _RelayPool(HTTPConnectionPool):
    ConnectionCls = _RelayConnection

    def __init__(self, host: str, port: int | None, *, endpoint: HttpEndpoint, **kwargs: Any) -> None:
        super().__init__(host, port, **kwargs)
        self._endpoint = endpoint

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        connection.endpoint = self._endpoint
        return connection


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _as_sent(base_url: str) -> str:
    """As requests sends it (IDNA, percent-encoding), so that the two can be compared."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(base_url, None)
    return str(prepared.url).rstrip("/")
