"""How a request gets its credential: one class per kind of login. Nothing is sent or parsed here, and no secret is
kept.

Kinds that need more than a header have their own modules (`oauth2`, `sigv4`), imported when needed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, unquote_plus

from ...errors import SecretInvalid, SecretMissing, UpstreamRefused
from ...services.secrets.guessability import maskable
from ..downstream import Login
from .cookie_names import cookie_name, cookie_pairs
from .request import Request, with_cookies

# RFC 9110 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Servers that turn headers into variables don't distinguish these from a hyphen.
_MARK = re.compile(r"[^a-z0-9]")

# Header names that must not carry a credential: they would change how the request is read.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True)
class Places:
    """Where a login puts its credential, and what it signs with: the client's own values there are not forwarded.

    `headers` in lower case, with hyphens; `parameter`: of the query, empty for none. Elsewhere a client may add
    credentials of its own: a gateway's key and a user's token are two logins of one request.
    """

    headers: frozenset[str] = frozenset()
    parameter: str = ""


NOWHERE = Places()
_COOKIE = frozenset({"cookie"})
AUTHORIZATION = Places(frozenset({"authorization"}))


class Authorization(Protocol):
    """One way to log in. Created for one revision and rotation of one connection, and used by several threads at once:
    what it keeps (an access token) is dropped with it when a field or a secret changes.

    `steady`: `apply` returns the same for the same request and login each time."""

    steady: ClassVar[bool]

    @property
    def places(self) -> Places:
        """Where `apply` puts the credential."""

    def apply(self, request: Request, login: Login, /) -> Request:
        """The request with its credential. The client's own values at these places have already been removed.

        Raises: SecretMissing, SecretInvalid, UpstreamError and its kinds (a token could not be had).
        """

    def credentials(self, login: Login, /) -> set[str]:
        """The secrets that were sent with this request and must be masked in the answer: never one that only signs, or
        is sent elsewhere.

        Called after `apply`."""

    def refused(self, login: Login, /) -> bool:
        """The upstream answered 401: drops what was kept. Returns whether another `apply` gives another credential."""


def authorization_of(fields: Mapping[str, Any]) -> Authorization:
    """By the field `auth`: `bearer`, `basic`, `header`, `query`, `oauth2`, `sigv4` or `none` (if it is missing).

    Raises: UpstreamRefused: any other value, or a header or parameter that is not allowed.
    """
    kind = fields.get("auth") or "none"
    if kind == "oauth2":
        from .oauth2 import ClientCredentials

        made: Authorization = ClientCredentials(fields)
        return made
    if kind == "sigv4":
        from .sigv4 import SigV4

        signing: Authorization = SigV4(fields)
        return signing
    simple: Mapping[str, Callable[[], Authorization]] = {
        "bearer": lambda: Header("Authorization", "Bearer"),
        "basic": Basic,
        "header": lambda: Header(str(fields.get("header") or ""), str(fields.get("scheme") or "")),
        "query": lambda: Query(str(fields.get("query") or "")),
        "none": Nothing,
    }
    found = simple.get(str(kind))
    if found is None:
        raise UpstreamRefused("This way of logging in is unknown. Update connvault-jupyter.")
    return found()


class Header:
    """The secret `token` in a header, after a scheme if there is one (RFC 6750 2.1: `Authorization: Bearer`)."""

    steady: ClassVar[bool] = True

    def __init__(self, name: str, scheme: str = "") -> None:
        if (
            not _TOKEN.fullmatch(name)
            or name.lower() in _FRAMING
            or (scheme and not _TOKEN.fullmatch(scheme))
        ):
            raise UpstreamRefused("This header can't carry a credential. Choose another one.")
        self._name = name
        self._scheme = scheme
        self.places = Places(frozenset({_MARK.sub("-", name.lower())}))

    def apply(self, request: Request, login: Login) -> Request:
        token = visible(secret_of(login, "token"))
        if self.places.headers == _COOKIE and "=" in token and not self._scheme:
            # One cookie among others: those of the client, and of the handle's sessions.
            given = {cookie_name(pair): pair.partition("=")[2] for pair in cookie_pairs(token)}
            return with_cookies(request, given)
        return request.with_header(self._name, f"{self._scheme} {token}" if self._scheme else token)

    def credentials(self, login: Login) -> set[str]:
        token = secret_of(login, "token")
        # A service may return each cookie separately.
        pairs = cookie_pairs(token) if self.places.headers == _COOKIE else ()
        return {token, *(pair.partition("=")[2] for pair in pairs)}

    def refused(self, _login: Login) -> bool:
        return False


class Basic:
    """The field `username` and the secret `password`, in UTF-8 (RFC 7617)."""

    steady: ClassVar[bool] = True
    places = AUTHORIZATION

    def apply(self, request: Request, login: Login) -> Request:
        return request.with_header("Authorization", f"Basic {_pair(login)}")

    def credentials(self, login: Login) -> set[str]:
        password = secret_of(login, "password")
        # If the password can be guessed, so can the pair.
        return {password, _pair(login)} if maskable(password) else {password}

    def refused(self, _login: Login) -> bool:
        return False


class Query:
    """The secret `token` as a query parameter, instead of the client's own of this name."""

    steady: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        if not name or not name.isascii() or not name.isprintable():
            raise UpstreamRefused("This parameter can't carry a credential. Choose another one.")
        self._name = name
        self.places = Places(parameter=name)

    def apply(self, request: Request, login: Login) -> Request:
        path, _, query = request.target.partition("?")
        kept = [part for part in query.split("&") if part and parameter_name(part) != self._name]
        kept.append(f"{quote(self._name, safe='')}={quote(secret_of(login, 'token'), safe='')}")
        return Request(request.method, f"{path}?{'&'.join(kept)}", request.headers)

    def credentials(self, login: Login) -> set[str]:
        return {secret_of(login, "token")}

    def refused(self, _login: Login) -> bool:
        return False


class Nothing:
    """A service without a login."""

    steady: ClassVar[bool] = True
    places = NOWHERE

    def apply(self, request: Request, _login: Login) -> Request:
        return request

    def credentials(self, _login: Login) -> set[str]:
        return set()

    def refused(self, _login: Login) -> bool:
        return False


def secret_of(login: Login, name: str) -> str:
    """Raises: SecretMissing; SecretInvalid: an empty one."""
    found = login.secrets.get(name)
    if found is None:
        raise SecretMissing
    if not found:
        raise SecretInvalid("The secret is empty. Enter it again.")
    return found


def parameter_name(part: str) -> str:
    """The name in one part of a query."""
    return unquote_plus(part.partition("=")[0])


def visible(secret: str) -> str:
    """A secret that can be put in a header. Raises: SecretInvalid: a line break in it would start another header."""
    if not (secret.isascii() and secret.isprintable()):
        raise SecretInvalid(
            "The secret contains characters that can't be sent, such as a line break. Enter it again."
        )
    return secret


def _pair(login: Login) -> str:
    pair = f"{login.fields.get('username') or ''}:{secret_of(login, 'password')}"
    return base64.b64encode(pair.encode()).decode("ascii")
