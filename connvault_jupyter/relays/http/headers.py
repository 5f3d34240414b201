"""Which headers pass between a client and the pinned upstream. Values of credentials are not known here.

What says how a message is framed is written anew; what would log in by itself, or say for which address a request is,
does not pass. An address that the server acts upon besides the target is judged as the target is (`second_addresses`).
A header that names another method passes: real services need it, and what is pinned is where, not what.
"""

from __future__ import annotations

import functools
import re

from ...errors import NotAllowed
from .heads import Headers, RequestHead, ResponseHead
from .pin import Pin
from .request import Request
from .second_addresses import check_query, has_second_address, second_address

# RFC 9110 7.6.1, and what older software calls so.
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

# Written anew: the framing as it was understood, the pinned host, and what is looked through (see `accepted`).
_OURS = frozenset({"accept-encoding", "content-length", "expect", "host"})

# How clients give their handle's token, in each SDK's own way. It is good on this machine only.
CLIENT_LOGINS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")

# What proxies, gateways and frameworks take for the address that was asked for, or send a request on by: the pin could
# not hold then. By pattern, since each has names of its own.
_OTHER_ADDRESS = re.compile(
    # What a person's own data is kept under, and the parameters of services whose names are known.
    r"(?!x-(?:amz|goog|ms|github|gitlab)-(?!original|forward|rewrit|overrid|prox)|.*-meta-)(?:"
    # Families: of X-Forwarded-Host, X-Original-URL, X-Rewrite-URL, X-Override-URL, X-Envoy-Original-Path, Proxy (which
    # CGI makes HTTP_PROXY), X-ProxyUser-Ip, X-Real-Host, X-Accel-Redirect, X-Sendfile, X-Reproxy-URL ...
    r"(?:x-)?(?:forward|original|rewrit|replaced|overrid|envoy|prox(?:y|ied)|real-|accel-|sendfile|send-file|lighttpd|"
    r"litespeed|reproxy|vhost|virtual-host|arr-|waws-|route-to|routed-|l5d-).*"
    r"|(?:.*-)?(?:upstream|backend|rewrite|redirect)(?:-.*)?"
    # What Next.js says to itself.
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

# What CGI and its children don't tell from a hyphen: an underscore, with some servers any mark.
_MARK = re.compile(r"[^a-z0-9]")

# A client sends the same few dozen names again and again; longer ones are looked at anew, and not kept.
_REMEMBERED_NAMES, _REMEMBERED_CHARS = 1024, 64

# By these a server takes a request for one of another method: whether it may be repeated, its own doesn't say then.
_OTHER_METHOD = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})

_NEVER_UP = _HOP_BY_HOP | _OURS | frozenset(CLIENT_LOGINS)

# `Alt-Svc` would lead clients past the relay; only we say what went wrong here.
_NEVER_DOWN = _HOP_BY_HOP | frozenset(
    {"content-length", "alt-svc", "strict-transport-security", "x-connvault-error", "x-connvault-masked"}
)

# A session cookie is a login that outlives the permission.
_COOKIES = frozenset({"cookie", "cookie2", "set-cookie", "set-cookie2"})

# They would make the connection another protocol's, whose requests nobody checks: HTTP/2, TLS, another HTTP.
_PROTOCOL = re.compile(r"[A-Za-z0-9._+-]{1,40}(/[A-Za-z0-9._+-]{1,20})?")
_NO_UPGRADE = ("h2", "http", "tls", "connect")


def upstream_request(head: RequestHead, pin: Pin, *, logs_in: bool, upgrade: str) -> Request:
    """The request as it may go upstream, without its credential. `upgrade`: see `wanted_upgrade`.

    Raises: NotAllowed: a header or parameter names a second address that is not the connection's.
    """
    check_query(head.target, pin)
    never = _NEVER_UP | _COOKIES if logs_in else _NEVER_UP
    if "connection" in head.names:
        never = never.union(head.tokens("connection"))
    headers = [("Host", pin.authority), *_passing(head, pin, never)]
    if upgrade and logs_in:
        # A compressed WebSocket could not be looked through.
        headers = [pair for pair in headers if pair[0].lower() != "sec-websocket-extensions"]
    headers.append(("Accept-Encoding", accepted(head, logs_in=logs_in)))
    if "expect" in head.names:
        headers.append(("Expect", "100-continue"))
    if head.framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    elif "content-length" in head.names:
        headers.append(("Content-Length", str(head.length)))
    if upgrade:
        headers += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    return Request(head.method, head.target, headers)


def _passing(head: RequestHead, pin: Pin, never: frozenset[str]) -> Headers:
    """The client's own headers that go upstream. Raises: NotAllowed."""
    found, seconds = [], []
    for name, value in head.headers:
        plain, elsewhere, second = _judged(name)
        if elsewhere or plain in never or name.lower() in never:
            continue
        if second:
            if plain in seconds:
                # Which of two would count?
                raise NotAllowed(
                    "A header that names a second address stands twice in the request.", reason="ambiguous"
                )
            seconds.append(plain)
            asked_at = "".join(head.values("host"))
            judged = second_address(
                plain, value, pin=pin, asked_at=asked_at, method=head.method, target=head.target
            )
            found.append((name, judged))
        else:
            found.append((name, value))
    return found


def names_another_method(head: RequestHead) -> bool:
    """Whether some server would take the request for one of another method than its own."""
    return any(_judged(name)[0] in _OTHER_METHOD for name in head.names)


def accepted(head: RequestHead, *, logs_in: bool) -> str:
    """What the upstream may encode its answer in: what can be taken off here, if it has to be."""
    if not logs_in:
        return ", ".join(head.values("accept-encoding")) or "identity"
    offered = {token.partition(";")[0].strip() for token in head.tokens("accept-encoding")}
    # A part of a compressed answer can't be decoded.
    return "gzip" if "gzip" in offered and "range" not in head.names else "identity"


def wanted_upgrade(head: RequestHead) -> str:
    """The protocol that a client wants to go on with, if it may; else it stays HTTP/1.1 (RFC 9110 7.8)."""
    if "upgrade" not in head.names or "upgrade" not in head.tokens("connection") or head.version != "1.1":
        return ""
    wanted = head.values("upgrade")
    if len(wanted) != 1 or not _PROTOCOL.fullmatch(wanted[0]) or wanted[0].lower().startswith(_NO_UPGRADE):
        return ""
    return wanted[0]


def client_headers(head: ResponseHead, *, logs_in: bool, decoded: bool) -> Headers:
    """The headers that a client gets, without the framing."""
    never = _NEVER_DOWN | _COOKIES if logs_in else _NEVER_DOWN
    if decoded:
        never = never | {"content-encoding"}
    if "connection" in head.names:
        never = never.union(head.tokens("connection"))
    return [pair for pair in head.headers if pair[0].lower() not in never]


def passing_trailers(trailers: list[tuple[bytes, bytes]], *, logs_in: bool) -> list[tuple[bytes, bytes]]:
    """Trailers that are no framing, login or address (RFC 9110 6.5.1): a second one came too late to be judged."""
    never = _NEVER_UP | _NEVER_DOWN | (_COOKIES if logs_in else frozenset())
    passing = []
    for name, value in trailers:
        plain, elsewhere, second = _judged(name.decode("latin-1"))
        if plain not in never and not elsewhere and not second:
            passing.append((name, value))
    return passing


def _judged(name: str) -> tuple[str, bool, bool]:
    """A header's name as the server that cares least would read it; whether it leads elsewhere; whether it has a second
    address."""
    return _remembered(name) if len(name) <= _REMEMBERED_CHARS else _judge(name)


def _judge(name: str) -> tuple[str, bool, bool]:
    plain = _MARK.sub("-", name.lower())
    return plain, _OTHER_ADDRESS.fullmatch(plain) is not None, has_second_address(plain)


_remembered = functools.lru_cache(maxsize=_REMEMBERED_NAMES)(_judge)
