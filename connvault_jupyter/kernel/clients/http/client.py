"""HTTP APIs: clients whose requests the broker's relay completes with the credential. None is in this process.

The libraries are imported when their opener is used; the parts for each are `kernel.http_*`.
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
        """A new `requests.Session` for the stored address. Relative URLs ("/user/repos") are joined to it; an absolute
        URL elsewhere is refused. The relay asks the broker at each request (at most once a second), so revoking bites
        at once; `verify`, `cert` and proxies play no part: the relay verifies the service's certificate.

        Raises: HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses. ImportError: no requests.
            Using it raises these too, and UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused.
        """
        from .requests_session import ApiSession

        return ApiSession(endpoint=HttpEndpoint(handle_ref=self._handle_ref))

    def client(self, **arguments: Any) -> httpx.Client:
        """A new `httpx.Client` for the stored address, by the rules of `session()`; a redirect elsewhere is refused.

        Takes httpx's `timeout` (s), `headers`, `params`, `cookies`, `follow_redirects` and the like.

        Raises: TypeError: an argument that would say where or as whom. ImportError: no httpx. Otherwise as `session()`.
        """
        from .httpx_clients import ALLOWED, ApiClient

        check_arguments(arguments, ALLOWED)
        return ApiClient(endpoint=HttpEndpoint(handle_ref=self._handle_ref), arguments=arguments)

    def async_client(self, **arguments: Any) -> httpx.AsyncClient:
        """A new `httpx.AsyncClient`; otherwise as `client()`."""
        from .httpx_clients import ALLOWED, AsyncApiClient

        check_arguments(arguments, ALLOWED)
        return AsyncApiClient(endpoint=HttpEndpoint(handle_ref=self._handle_ref), arguments=arguments)

    @property
    def base_url(self) -> str:
        """The handle's endpoint on loopback, with the path of the stored address, for others; `token` opens it.
        Good for whom and as long as `Handle.env()`. Reading it adds loopback to this process's `NO_PROXY`: a proxy of
        the environment would get the request, token included.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        spare()
        opened, port = self._handle_ref.open_loopback()
        self._handle_ref.give_out()
        return loopback(str(opened.fields["base_url"]), port)

    @property
    def token(self) -> HandleToken:
        """What a library gives at `base_url` as API key, bearer token or password. It is the handle's, and no
        credential of the service; it may be copied and pickled, for workers that this kernel starts. Raises: as
        `base_url`."""
        opened, _ = self._handle_ref.open_loopback()
        self._handle_ref.give_out()
        return opened.token
