"""HTTP APIs: a requests session that adds the credential on the wire, for the stored address only.

The credential is put into a copy of each request at the last moment and is in nothing that is kept: not in the
session, the request that a response remembers, a redirect, or an error.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from ...errors import HandleInvalid, NotAllowed, SecretInvalid, SecretMissing
from ..answers import Delivered
from ..lease import Lease
from ..masked import MaskedStr

try:
    import requests
    from requests.adapters import BaseAdapter
except ImportError as exc:
    raise ImportError(
        'requests is not installed in this kernel: pip install "connvault-jupyter[http]"'
    ) from exc

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOGIN_HEADER = re.compile(r"auth|token|key|secret|cookie|credential", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Client:
    """Openers of an HTTP handle."""

    def __init__(self, *, lease: Lease) -> None:
        self._lease = lease

    @property
    def base_url(self) -> str:
        """The stored address, without a slash at the end. Asks the broker."""
        return _base_of(self._lease.deliver())

    def session(self) -> ApiSession:
        """A `requests.Session` for the stored address. Relative URLs ("/user/repos") are joined to it; an absolute URL
        elsewhere is refused. Each request asks the broker, so revoking bites at the next one.

        Raises: HandleInvalid, SecretMissing, VaultLocked, ...: the broker refuses.
        """
        return ApiSession(lease=self._lease, base_url=self.base_url)


class ApiSession(requests.Session):
    """A session that is bound to one address. Proxies and CA bundles of the environment count, `.netrc` does not."""

    def __init__(self, *, lease: Lease, base_url: str) -> None:
        super().__init__()
        self.base_url = base_url
        self._lease = lease
        # Any callable keeps requests from reading .netrc and credentials in URLs.
        self.auth = _no_auth

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Like `requests.Session.request`. Raises also: NotAllowed (another address), and what the broker refuses."""
        return super().request(method, self._joined(url), *args, **kwargs)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """On a redirect to another origin no header that looks like a login goes along, the caller's own included.

        requests itself strips `Authorization` only, and would read `.netrc` for the new host."""
        if _origin(prepared_request.url or "") != _origin(response.request.url or ""):
            for name in [name for name in prepared_request.headers if _LOGIN_HEADER.search(name)]:
                del prepared_request.headers[name]

    def get_adapter(self, url: str) -> BaseAdapter:
        # Here and not by mount(): a caller may mount an adapter with retries, and still gets the credential.
        return _CredentialAdapter(inner=super().get_adapter(url), lease=self._lease, base_url=self.base_url)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a session can't be copied or pickled: it is good in this kernel only")

    def _joined(self, url: Any) -> str:
        text = (url.decode() if isinstance(url, bytes) else str(url)).lstrip()
        if not _ABSOLUTE.match(text):
            text = (
                f"{self.base_url}/{text.lstrip('/')}"
                if text and not text.startswith("?")
                else self.base_url + text
            )
        if not _covers(self.base_url, text):
            raise NotAllowed(
                f"This session is for {self.base_url} only. Use requests itself for other addresses.",
                connection=self._lease.connection,
            )
        return text


class _CredentialAdapter(BaseAdapter):
    """Sends a copy that has the credential, if the request goes to the stored address."""

    def __init__(self, *, inner: BaseAdapter, lease: Lease, base_url: str) -> None:
        super().__init__()
        self._inner = inner
        self._lease = lease
        self._base_url = base_url

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        outcome = self._outcome(
            request,
            {"stream": stream, "timeout": timeout, "verify": verify, "cert": cert, "proxies": proxies},
        )
        if isinstance(outcome, BaseException):
            raise outcome
        outcome.request = request
        return outcome

    def close(self) -> None:
        self._inner.close()

    def _outcome(
        self, request: requests.PreparedRequest, arguments: Mapping[str, Any]
    ) -> requests.Response | BaseException:
        """The response, or the error without its frames: those of http.client have the header's bytes."""
        wire = request
        if _covers(self._base_url, request.url or ""):
            # requests takes 0, "" and None for False too.
            if not arguments["verify"] and _origin(self._base_url)[0] == "https":
                raise NotAllowed(
                    "With verify=False the credential could go to anyone. Give the path of a CA bundle instead.",
                    connection=self._lease.connection,
                )
            login = self._lease.deliver()
            if _base_of(login) != self._base_url:
                raise HandleInvalid(reason="changed", connection=self._lease.connection)
            header = _authorization(login)
            if header is not None:
                wire = request.copy()
                wire.headers["Authorization"] = header
        try:
            return self._inner.send(wire, **arguments)
        except requests.RequestException as exc:
            return type(exc)(str(exc), request=request, response=exc.response)
        except (OSError, ValueError):
            # http.client quotes a header that it refuses.
            return requests.RequestException("the request could not be sent", request=request)
        except KeyboardInterrupt:
            return KeyboardInterrupt()


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _base_of(login: Delivered) -> str:
    """In the form in which requests sends it (IDNA, percent-encoding), so that the two can be compared."""
    prepared = requests.PreparedRequest()
    prepared.prepare_url(str(login.fields["base_url"]), None)
    return str(prepared.url).rstrip("/")


def _authorization(login: Delivered) -> MaskedStr | None:
    """RFC 6750 2.1 (bearer) or RFC 7617 (basic, UTF-8). Raises: SecretMissing, SecretInvalid."""
    kind = login.fields.get("auth")
    if kind == "none":
        return None
    if kind == "bearer":
        token = _secret(login, "token")
        if not (token.isascii() and token.isprintable()):
            raise SecretInvalid(
                "The token has characters that no header can carry. Replace it in the Connections panel.",
                connection=login.connection,
            )
        return MaskedStr(f"Bearer {token}")
    pair = MaskedStr(f"{login.fields.get('username') or ''}:{_secret(login, 'password')}")
    return MaskedStr("Basic " + base64.b64encode(pair.encode()).decode("ascii"))


def _secret(login: Delivered, field: str) -> MaskedStr:
    secret = login.secrets.get(field)
    if secret is None:
        raise SecretMissing(connection=login.connection)
    return secret


def _origin(url: str) -> tuple[str, str, int | None]:
    """RFC 6454 4: scheme, host, port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # No address at all: equal to no stored one.
        return "", "", -1
    scheme = parts.scheme.lower()
    return (
        scheme,
        (parts.hostname or "").rstrip("."),
        port if port is not None else _DEFAULT_PORTS.get(scheme),
    )


def _covers(base_url: str, url: str) -> bool:
    """Whether `url` has the origin of `base_url` and lies below its path, whatever dots it is dressed with."""
    if _origin(base_url) != _origin(url):
        return False
    base_path = urlsplit(base_url).path.rstrip("/")
    path = urlsplit(url).path
    if any(part in (".", "..") for part in re.split(r"[/\\]", _decoded(path))):
        return not base_path
    return path == base_path or path.startswith(base_path + "/")


def _decoded(path: str) -> str:
    """Decoded until it stays the same: servers in front of servers decode more than once."""
    for _ in range(8):
        further = unquote(path)
        if further == path:
            break
        path = further
    return path
