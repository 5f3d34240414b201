"""httpx clients for one base URL, whose requests go to the handle's relay. No credential is in this process.

Other addresses are refused, also in redirects: httpx calls its transport for both.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

from ....errors import NotAllowed
from ...relay_errors import ERROR_HEADER
from .addresses import covers
from .endpoint import HttpEndpoint

try:
    import httpx
except ImportError as exc:
    raise ImportError('httpx is not installed in this kernel: pip install "connvault-jupyter[http]"') from exc

# How to send requests, not where, by which route or as whom.
ALLOWED = frozenset(
    {
        "cookies",
        "default_encoding",
        "event_hooks",
        "follow_redirects",
        "headers",
        "max_redirects",
        "params",
        "timeout",
    }
)


class ApiClient(httpx.Client):
    """Relative addresses are joined to the stored one, absolute ones elsewhere refused."""

    def __init__(self, *, endpoint: HttpEndpoint, arguments: dict[str, Any]) -> None:
        api = str(httpx.URL(endpoint.base_url)).rstrip("/")
        super().__init__(**arguments, base_url=api, transport=_Transport(endpoint, api), trust_env=False)
        self._endpoint = endpoint

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        try:
            return super().send(*args, **kwargs)
        except httpx.TransportError as exc:
            self._endpoint.mark(exc)
            raise

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a client can't be copied or pickled: it works in this kernel only")


class AsyncApiClient(httpx.AsyncClient):
    """Like `ApiClient`."""

    def __init__(self, *, endpoint: HttpEndpoint, arguments: dict[str, Any]) -> None:
        api = str(httpx.URL(endpoint.base_url)).rstrip("/")
        super().__init__(**arguments, base_url=api, transport=_AsyncTransport(endpoint, api), trust_env=False)
        self._endpoint = endpoint

    async def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        try:
            return await super().send(*args, **kwargs)
        except httpx.TransportError as exc:
            self._endpoint.mark(exc)
            raise

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a client can't be copied or pickled: it works in this kernel only")


class _Transport(httpx.BaseTransport):
    def __init__(self, endpoint: HttpEndpoint, api: str) -> None:
        self._endpoint = endpoint
        self._api = api
        self._path = endpoint.opened.socket
        self._inner = httpx.HTTPTransport(uds=self._path)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = _to_relay(request, self._api, self._endpoint)
        if not os.path.exists(self._path):
            # httpcore does not close a socket that it could not connect.
            self._move(self._endpoint.renew())
        try:
            response = self._inner.handle_request(sent)
        except httpx.ConnectError:
            # Nothing was sent, because the endpoint is gone. Reopen it, once.
            self._move(self._endpoint.renew())
            response = self._inner.handle_request(sent)
        self._endpoint.opens(response)
        if ERROR_HEADER in response.headers:
            raise self._endpoint.error(response.headers, response.read())
        return response

    def close(self) -> None:
        self._inner.close()

    def _move(self, path: str) -> None:
        if path != self._path:
            self._inner.close()
            self._path, self._inner = path, httpx.HTTPTransport(uds=path)


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, endpoint: HttpEndpoint, api: str) -> None:
        self._endpoint = endpoint
        self._api = api
        self._path = endpoint.opened.socket
        self._inner = httpx.AsyncHTTPTransport(uds=self._path)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = _to_relay(request, self._api, self._endpoint)
        if not os.path.exists(self._path):  # noqa: ASYNC240 -- a look at a local directory
            await self._renew()
        try:
            response = await self._inner.handle_async_request(sent)
        except httpx.ConnectError:
            await self._renew()
            response = await self._inner.handle_async_request(sent)
        self._endpoint.opens(response)
        if ERROR_HEADER in response.headers:
            raise self._endpoint.error(response.headers, await response.aread())
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _renew(self) -> None:
        from anyio import to_thread

        # The broker is asked on a blocking socket, in a thread: it answers within milliseconds, but other tasks must
        # not wait.
        path = await to_thread.run_sync(self._endpoint.renew)
        if path != self._path:
            await self._inner.aclose()
            self._path, self._inner = path, httpx.AsyncHTTPTransport(uds=path)


def _to_relay(request: httpx.Request, api: str, endpoint: HttpEndpoint) -> httpx.Request:
    """The request for the Unix socket, without TLS, which is up to the relay. Raises: NotAllowed, HandleInvalid."""
    endpoint.refuse_if_released()
    if not covers(api, str(request.url)):
        raise NotAllowed(
            f"This client is for {api} only. Use httpx itself for other addresses.",
            connection=endpoint.connection,
        )
    return httpx.Request(
        request.method,
        request.url.copy_with(scheme="http"),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )
