"""What the relay itself answers when a request can't be done: a Problem (RFC 9457), with nothing of a server's text."""

from __future__ import annotations

import json
from http import HTTPStatus

from ...errors import ConnvaultError, InvalidRequest
from ..worker import problem_of

ERROR_HEADER = "X-Connvault-Error"


def malformed(what: str) -> InvalidRequest:
    """A request that is refused before anything of it is sent on. `what` is ours."""
    return InvalidRequest(f"This request is not passed on: {what}.")


def problem_answer(error: ConnvaultError, *, status: int, body: bool, close: bool) -> bytes:
    """A whole answer; `body`: with one (none for HEAD, but its length)."""
    content = json.dumps({"type": "about:blank", "status": status, **problem_of(error)}).encode()
    phrase = HTTPStatus(status).phrase
    lines = [
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        f"{ERROR_HEADER}: {error.code}",
    ]
    if status == HTTPStatus.UNAUTHORIZED:
        lines.append('WWW-Authenticate: Bearer realm="connvault"')
    if close:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head + content if body else head
