"""Requests an access token from a token endpoint: one POST, one answer. Nothing is kept here.

The endpoint is a separate destination: it is subject to the same rules as any upstream (`upstream`), redirects are
never followed, and proxies and environment variables are ignored. Only the token, its lifetime and the error code (RFC
6749 5.2) of its answer are used; its own text is dropped.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from ...errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from ..limits import Limits, left_s
from ..upstream import connect, encrypt

# A JWT with hundreds of groups has 20 KiB; no server accepts a header longer than this.
_MAX_TOKEN_CHARS = 32 * 1024
_MAX_ANSWER_BYTES = 2 * _MAX_TOKEN_CHARS

# RFC 6749 5.1 only recommends `expires_in`; without it the token is fetched again this often.
_UNSAID_LIFETIME_S = 300.0
_MAX_LIFETIME_S = 24 * 3600.0

_METHODS = ("client_secret_basic", "client_secret_post")

_OURS: Mapping[type[UpstreamError], str] = {
    UpstreamRefused: "The token endpoint did not answer with HTTP. Check its address.",
    UpstreamUnreachable: "The token endpoint can't be reached. Check its address and the network.",
    UpstreamTimeout: "The token endpoint did not answer in time. Check its address.",
    UpstreamTlsFailed: "The encrypted connection to the token endpoint failed. Check its CA certificate.",
}


@dataclass(frozen=True)
class AccessToken:
    """A bearer token (RFC 6750), and for how many seconds from now it is valid."""

    value: str = field(repr=False)
    lifetime_s: float


def fetch(fields: Mapping[str, Any], client_secret: str, *, limits: Limits) -> AccessToken:
    """Fetches one by the client credentials grant (RFC 6749 4.4), within `limits.login_s` in total.

    `fields`: `token_url`, `client_id`, `client_auth` (`client_secret_basic`, the default, or `client_secret_post`),
    `scope`, `audience`, `allow_http` and `ca_certificate`.

    Raises:
        UpstreamAuthFailed: it refused the client.
        UpstreamRefused: it refuses for another reason, redirects, or is not a token endpoint.
        UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout; UpstreamError: it is busy or failing.
    """
    address = _address(fields)
    headers, body = _asked(fields, client_secret)
    deadline = time.monotonic() + limits.login_s
    kind: type[UpstreamError] = UpstreamTimeout
    try:
        status, answer = _exchange(address, headers, body, fields, deadline, limits)
    except (UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout) as exc:
        kind = type(exc)
    except (OSError, http.client.HTTPException, ValueError):
        kind = UpstreamRefused
    else:
        if time.monotonic() < deadline:
            return _token(status, answer)
    if time.monotonic() >= deadline:
        # The connection was ended by the deadline, which http.client takes for the end of an answer.
        kind = UpstreamTimeout
    # Raised here, because the cause quotes what was sent.
    raise kind(_OURS[kind])


def _address(fields: Mapping[str, Any]) -> SplitResult:
    try:
        address = urlsplit(str(fields.get("token_url") or ""))
        _ = address.port
    except ValueError:
        raise UpstreamRefused("The address of the token endpoint can't be used. Check it.") from None
    allowed = ("https", "http") if fields.get("allow_http") is True else ("https",)
    if address.scheme not in allowed or not address.hostname or "@" in address.netloc or address.fragment:
        raise UpstreamRefused("The address of the token endpoint can't be used. Enter one with https://.")
    return address


def _asked(fields: Mapping[str, Any], client_secret: str) -> tuple[dict[str, str], str]:
    """Headers and body of the request, by Authlib."""
    from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
    from authlib.oauth2.rfc6749.parameters import prepare_token_request  # type: ignore[import-untyped]

    method = fields.get("client_auth") or _METHODS[0]
    if method not in _METHODS:
        raise UpstreamRefused("This way of logging in at a token endpoint is unknown.")
    client = (str(fields.get("client_id") or ""), client_secret)
    if method == "client_secret_basic":
        # RFC 6749 2.3.1: must be encoded before joining, which Authlib leaves to its caller.
        client = (quote(client[0], safe=""), quote(client[1], safe=""))
    body = prepare_token_request(
        "client_credentials", scope=fields.get("scope") or None, audience=fields.get("audience") or None
    )
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    _, headers, body = ClientAuth(*client, method).prepare("POST", "", headers, body)
    return headers, body


def _exchange(
    address: SplitResult,
    headers: Mapping[str, str],
    body: str,
    fields: Mapping[str, Any],
    deadline: float,
    limits: Limits,
) -> tuple[int, bytes]:
    host = address.hostname or ""
    port = address.port or (443 if address.scheme == "https" else 80)
    with (
        connect(host, port, timeout_s=min(limits.connect_s, limits.login_s)) as plain,
        _ended_at(deadline, plain),
        _secured(plain, address, fields, deadline) as stream,
    ):
        # Not HTTPSConnection, which would connect by itself, under its own rules.
        client = http.client.HTTPConnection(host, port)
        client.auto_open = 0
        client.sock = stream
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        client.request("POST", target, body.encode("ascii"), {"Host": address.netloc, **headers})
        with client.getresponse() as response:
            return response.status, response.read(_MAX_ANSWER_BYTES + 1)


def _secured(
    stream: socket.socket, address: SplitResult, fields: Mapping[str, Any], deadline: float
) -> socket.socket:
    if address.scheme == "http":
        return stream
    return encrypt(
        stream,
        {
            "host": address.hostname,
            "sslmode": "verify-full",
            "ca_certificate": fields.get("ca_certificate"),
        },
        timeout_s=left_s(deadline),
    )


@contextmanager
def _ended_at(deadline: float, stream: socket.socket) -> Iterator[None]:
    """Ends the connection at that time, even if it sends bytes slowly: a socket's time-out is per read."""
    # A duplicate, as TLS takes over the stream's descriptor.
    copy = socket.socket(fileno=os.dup(stream.fileno()))

    def end() -> None:
        with contextlib.suppress(OSError):
            copy.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        copy.close()


def _token(status: int, answer: bytes) -> AccessToken:
    found = _parsed(answer)
    if status != 200:
        raise _refusal(status, found.get("error"))
    token, kind = found.get("access_token"), found.get("token_type", "bearer")
    if not isinstance(token, str) or not _sendable(token):
        raise UpstreamRefused("The token endpoint did not return a token. Check its address.")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise UpstreamRefused("The token endpoint returned a type of token that connvault can't use.")
    return AccessToken(token, _lifetime_s(found.get("expires_in")))


def _sendable(token: str) -> bool:
    """A line break in it would start another header."""
    return 0 < len(token) <= _MAX_TOKEN_CHARS and token.isascii() and token.isprintable()


def _parsed(answer: bytes) -> Mapping[str, Any]:
    if len(answer) > _MAX_ANSWER_BYTES:
        return {}
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _lifetime_s(said: object) -> float:
    """Seconds; some servers send them as text."""
    try:
        found = float(said) if isinstance(said, int | float | str) else _UNSAID_LIFETIME_S
    except (ValueError, OverflowError):
        return _UNSAID_LIFETIME_S
    # Also if it is not a number at all.
    return min(found, _MAX_LIFETIME_S) if found > 0 else _UNSAID_LIFETIME_S


def _refusal(status: int, error: object) -> UpstreamError:
    """RFC 6749 5.2, and errors of proxies before such an endpoint."""
    if 300 <= status < 400:
        return UpstreamRefused(
            "The token endpoint answers with a redirect, which connvault never follows. Enter the address "
            "that it redirects to."
        )
    if status in (408, 429) or status >= 500 or error == "temporarily_unavailable":
        return UpstreamError("The token endpoint is busy or failing. Try again later.")
    if error == "invalid_client" or (status == 401 and error is None):
        return UpstreamAuthFailed(
            "The token endpoint refused the client. Check the client ID and replace the client secret."
        )
    if error is None:
        return UpstreamRefused("The token endpoint did not return a token. Check its address.")
    return UpstreamRefused(
        "The token endpoint refused a token for this client. Check scope and audience, and what the client "
        "is allowed to do."
    )
