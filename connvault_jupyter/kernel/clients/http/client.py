"""HTTP APIs: clients to whose requests the broker's relay adds the credential. This process has none.

The libraries are imported when their opener is used; each has its own module beside this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...client_arguments import check_arguments
from ...handle_ref import HandleRef
from ...masked import HandleToken
from ...proxies import spare
from .addresses import loopback
from .endpoint import HttpEndpoint

if TYPE_CHECKING:
    import httpx

    from .requests_session import ApiSession


class Client:
    """Openers of an HTTP handle."""

    delivery = "relay"

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref

    def session(self) -> ApiSession:
        """See `HttpHandle.session`."""
        from .requests_session import ApiSession

        return ApiSession(endpoint=HttpEndpoint(handle_ref=self._handle_ref))

    def client(self, **arguments: Any) -> httpx.Client:
        """See `HttpHandle.client`."""
        from .httpx_clients import ALLOWED, ApiClient

        check_arguments(arguments, ALLOWED)
        return ApiClient(endpoint=HttpEndpoint(handle_ref=self._handle_ref), arguments=arguments)

    def async_client(self, **arguments: Any) -> httpx.AsyncClient:
        """See `HttpHandle.async_client`."""
        from .httpx_clients import ALLOWED, AsyncApiClient

        check_arguments(arguments, ALLOWED)
        return AsyncApiClient(endpoint=HttpEndpoint(handle_ref=self._handle_ref), arguments=arguments)

    @property
    def base_url(self) -> str:
        """See `HttpHandle.base_url`. Adds loopback to this process's `NO_PROXY`: a proxy from the environment would
        get the request, including the token."""
        spare()
        opened, port = self._handle_ref.open_loopback()
        self._handle_ref.give_out()
        return loopback(str(opened.fields["base_url"]), port)

    @property
    def url(self) -> str:
        """See `HttpHandle.url`."""
        return self.base_url

    @property
    def token(self) -> HandleToken:
        """See `HttpHandle.token`."""
        opened, _ = self._handle_ref.open_loopback()
        self._handle_ref.give_out()
        return opened.token
