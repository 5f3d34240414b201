"""Which headers pass between a client and the pinned upstream. Values of credentials are not known here.

What says how a message is framed is written anew; what would log in by itself, or say for which address a request is,
does not pass.
"""

from __future__ import annotations

import re

from .heads import Headers, RequestHead, ResponseHead
from .pin import Pin
from .request import Request

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

# Frameworks take them for the address that was asked for, which the pin could not hold then.
_OTHER_ADDRESS = frozenset(
    {
        "forwarded",
        "x-forwarded-host",
        "x-forwarded-path",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-uri",
        "x-host",
        "x-http-host-override",
        "x-original-host",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
    }
)

_NEVER_UP = _HOP_BY_HOP | _OURS | frozenset(CLIENT_LOGINS) | _OTHER_ADDRESS

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
    """The request as it may go upstream, without its credential. `upgrade`: see `wanted_upgrade`."""
    never = _NEVER_UP | _COOKIES if logs_in else _NEVER_UP
    if "connection" in head.names:
        never = never.union(head.tokens("connection"))
    headers = [("Host", pin.authority)]
    for name, value in head.headers:
        lower = name.lower()
        # CGI and its children don't tell a hyphen from an underscore.
        if lower not in never and ("_" not in lower or lower.replace("_", "-") not in never):
            headers.append((name, value))
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
    """Trailers that are no framing, login or address (RFC 9110 6.5.1)."""
    never = _NEVER_UP | _NEVER_DOWN | (_COOKIES if logs_in else frozenset())
    return [pair for pair in trailers if pair[0].decode("latin-1").lower().replace("_", "-") not in never]
