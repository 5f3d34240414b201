"""Which headers pass between a client and the upstream, by name. It does not know the values of credentials.

Framing headers are rewritten; headers that name another address don't pass. One that names another method does: real
services need it, and a connection restricts the address, not the method.
"""

from __future__ import annotations

import functools
import re

from ...contracts.relay_wire import OUR_HEADERS
from .authorization import NOWHERE, Places
from .client_auth import HandleToken
from .heads import Headers, RequestHead, ResponseHead
from .target_headers import has_second_address

# RFC 9110 7.6.1, and names used by older software.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# Rewritten: the framing as it was understood, the connection's host, and the accepted codings (see `accepted`).
_OURS = frozenset({"accept-encoding", "content-length", "expect", "host"})

# Headers from which proxies, gateways and frameworks take the requested address or the next hop, which would bypass
# the origin check. By pattern, since each uses its own names.
_OTHER_ADDRESS = re.compile(
    # Names for users' own data, and known parameters of services.
    r"(?!x-(?:amz|goog|ms|github|gitlab)-(?!original|forward|rewrit|overrid|prox)|.*-meta-)(?:"
    # Families: of X-Forwarded-Host, X-Original-URL, X-Rewrite-URL, X-Override-URL, X-Envoy-Original-Path, Proxy (which
    # CGI makes HTTP_PROXY), X-ProxyUser-Ip, X-Real-Host, X-Accel-Redirect, X-Sendfile, X-Reproxy-URL ...
    r"(?:x-)?(?:forward|original|rewrit|replaced|overrid|envoy|prox(?:y|ied)|real-|accel-|sendfile|send-file|lighttpd|"
    r"litespeed|reproxy|vhost|virtual-host|arr-|waws-|route-to|routed-|l5d-).*"
    r"|(?:.*-)?(?:upstream|backend|rewrite|redirect)(?:-.*)?"
    # Internal to Next.js.
    r"|x-(?:invoke|matched|now-route|middleware)-.*"
    # Swift: other containers of the account.
    r"|x-(?:versions|history)-location|x-container-sync-.*"
    # Of X-Host, X-Http-Host-Override, Base-Url, Request-Uri, Disguised-Host, Helicone-Target-Url, X-JFrog-Override-...
    r"|(?:.*-)?(?:url|uri|host|hostname)(?:-override)?"
    r"|(?:.*-)?(?:path|prefix|port|proto|protocol|scheme|server|address|route|dst)-override"
    # Of CGI's and WSGI's variables, and what else says where an application is mounted and how it was reached.
    r"|(?:x-)?(?:http-)?(?:(?:script|server)-name|path-(?:info|translated)|(?:script|path|server|document|context|base|"
    r"root|mount|app|application|ingress|gateway|request|redirect|target|uri|url|http|route|front-end)-"
    r"(?:path|prefix|root|port|addr|address|proto|protocol|scheme|https))"
    r"|(?:x-)?(?:path|prefix|scheme|proto|protocol|https|port|route|target|request-target)"
    r")"
)

# Characters that CGI and its successors don't distinguish from a hyphen: an underscore, with some servers any mark.
_MARK = re.compile(r"[^a-z0-9]")

# A client sends the same few dozen names again and again; long ones are not cached.
_REMEMBERED_NAMES, _REMEMBERED_CHARS = 1024, 64

# With these, a server treats a request as one of another method, so its own does not say whether it may be repeated.
_OTHER_METHOD = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})

# Only the service sets cookies, and RFC 2965 is obsolete (RFC 6265).
NEVER_UP = _HOP_BY_HOP | _OURS | frozenset({"cookie2", "set-cookie", "set-cookie2"})

# `Alt-Svc` would lead clients past the relay.
_NEVER_DOWN = _HOP_BY_HOP | frozenset({"content-length", "alt-svc", "strict-transport-security"})

# As trailers they would come too late to be checked (RFC 9110 6.5.1).
_NEVER_IN_TRAILERS = frozenset({"authorization", "cookie"})

# They would switch the connection to another protocol, whose requests nobody checks: HTTP/2, TLS, another HTTP.
_PROTOCOL = re.compile(r"[A-Za-z0-9._+-]{1,40}(/[A-Za-z0-9._+-]{1,20})?")
_NO_UPGRADE = ("h2", "http", "tls", "connect")


def names_another_method(head: RequestHead) -> bool:
    """Whether some server would treat the request as one of another method."""
    return any(judged(name)[0] in _OTHER_METHOD for name in head.names)


def accepted(head: RequestHead, *, logs_in: bool) -> str:
    """The codings for the upstream's answer: those that can be decoded here, if necessary."""
    if not logs_in:
        return ", ".join(head.values("accept-encoding")) or "identity"
    offered = {token.partition(";")[0].strip() for token in head.tokens("accept-encoding")}
    # A part of a compressed answer can't be decoded.
    return "gzip" if "gzip" in offered and "range" not in head.names else "identity"


def wanted_upgrade(head: RequestHead) -> str:
    """The protocol to which a client asks to switch, if allowed; else it stays HTTP/1.1 (RFC 9110 7.8)."""
    if "upgrade" not in head.names or "upgrade" not in head.tokens("connection") or head.version != "1.1":
        return ""
    wanted = head.values("upgrade")
    if len(wanted) != 1 or not _PROTOCOL.fullmatch(wanted[0]) or wanted[0].lower().startswith(_NO_UPGRADE):
        return ""
    return wanted[0]


def client_headers(head: ResponseHead, *, decoded: bool) -> Headers:
    """The headers that a client gets, without the framing."""
    never = _NEVER_DOWN | {"content-encoding"} if decoded else _NEVER_DOWN
    if "connection" in head.names:
        never = never.union(head.tokens("connection"))
    return [
        pair
        for pair in head.headers
        if (name := pair[0].lower()) not in never and not name.startswith(OUR_HEADERS)
    ]


def passing_trailers(
    trailers: list[tuple[bytes, bytes]], *, places: Places = NOWHERE, token: HandleToken | None = None
) -> list[tuple[bytes, bytes]]:
    """Trailers other than framing, login or address (RFC 9110 6.5.1): a second address would come too late to be
    checked.

    `places` and `token`: of a request.
    """
    never = NEVER_UP | _NEVER_DOWN | _NEVER_IN_TRAILERS | places.headers
    passing = []
    for name, value in trailers:
        plain, elsewhere, second = judged(name.decode("latin-1"))
        ours = token is not None and token.stands_in(value.decode("latin-1"))
        if plain not in never and not plain.startswith(OUR_HEADERS) and not (elsewhere or second or ours):
            passing.append((name, value))
    return passing


def judged(name: str) -> tuple[str, bool, bool]:
    """A header's name as the most careless server would read it; whether it leads elsewhere; whether it contains a
    second address."""
    return _remembered(name) if len(name) <= _REMEMBERED_CHARS else _judge(name)


def _judge(name: str) -> tuple[str, bool, bool]:
    plain = _MARK.sub("-", name.lower())
    return plain, _OTHER_ADDRESS.fullmatch(plain) is not None, has_second_address(plain)


_remembered = functools.lru_cache(maxsize=_REMEMBERED_NAMES)(_judge)
