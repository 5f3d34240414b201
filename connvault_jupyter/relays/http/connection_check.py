"""One request without a client: the base URL, with the credential. Only the status counts, and the start of a
refusal's body."""

from __future__ import annotations

import contextlib
import socket
import time

from ...errors import UpstreamTimeout, UpstreamUnreachable
from ..downstream import Login
from ..limits import Limits, left_s
from ..upstream import shut
from .client_connection import Target
from .heads import END, MAX_HEAD_BYTES, BadHead, response_head
from .request import Request, serialised

# Object stores give the reason for a refusal in the first hundred bytes.
_FIRST_WORDS_BYTES = 2048
_FIRST_WORDS_S = 2.0


def answer_of(target: Target, login: Login, *, limits: Limits) -> tuple[int, bytes]:
    """The status of `GET` on the base URL and, for 403, the start of its body. Redirects are not followed; the
    connection is closed.

    Raises: BadHead: it is not HTTP. UpstreamError and its kinds; what the authorization raises.
    """
    origin = target.pool.origin
    request = Request(
        "GET",
        origin.path or "/",
        [
            ("Host", origin.authority),
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
                if head.status == 403:
                    return head.status, _first_words(connection.stream, buffer[end + len(END) :], ends_at)
                if head.status >= 200:
                    return head.status, b""
                buffer = buffer[end + len(END) :]
                continue
            connection.stream.settimeout(left_s(ends_at))
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


def _first_words(stream: socket.socket, begun: bytes, ends_at: float) -> bytes:
    """As much as arrives; if nothing does, the status is enough."""
    with contextlib.suppress(OSError):
        while len(begun) < _FIRST_WORDS_BYTES:
            stream.settimeout(min(left_s(ends_at), _FIRST_WORDS_S))
            data = stream.recv(_FIRST_WORDS_BYTES)
            if not data:
                break
            begun += data
    return begun
