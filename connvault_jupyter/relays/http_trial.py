"""One request without a client: the base URL, with the credential. Only its status is looked at."""

from __future__ import annotations

import time

from ..errors import UpstreamTimeout, UpstreamUnreachable
from .downstream import Login
from .http_heads import END, MAX_HEAD_BYTES, BadHead, response_head
from .http_request import Request
from .http_session import Target, serialised
from .limits import Limits
from .upstream import shut


def status_of(target: Target, login: Login, *, limits: Limits) -> int:
    """The status of `GET` on the base URL. No redirect is followed and no body read; the connection is closed.

    Raises: BadHead: that is no HTTP. UpstreamError and its kinds; what the authorization raises.
    """
    pin = target.pool.pin
    request = Request(
        "GET",
        pin.path or "/",
        [
            ("Host", pin.authority),
            ("Accept", "*/*"),
            ("User-Agent", "connvault-jupyter connection test"),
            ("Connection", "close"),
        ],
    )
    signed = serialised(target.authorization.apply(request, login))
    connection = target.pool.open()
    ends_at = time.monotonic() + limits.login_s
    try:
        connection.stream.settimeout(limits.login_s)
        connection.stream.sendall(signed)
        buffer = b""
        while True:
            end = buffer.find(END)
            if end >= 0:
                head = response_head(buffer[: end + len(END)])
                if head.status >= 200:
                    return head.status
                buffer = buffer[end + len(END) :]
                continue
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise UpstreamTimeout
            connection.stream.settimeout(left_s)
            data = connection.stream.recv(MAX_HEAD_BYTES)
            if not data or len(buffer) > MAX_HEAD_BYTES:
                raise BadHead("no head")
            buffer += data
    except TimeoutError:
        raise UpstreamTimeout from None
    except OSError:
        raise UpstreamUnreachable from None
    finally:
        shut(connection.stream)
