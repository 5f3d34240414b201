"""Converts a relay's refusal to its typed error. It knows no client library.

Relays send `connvault <code>: <message>` as their protocol's own error. The HTTP relay sends the code in a response
header, and the rest as a Problem (RFC 9457) in the content or in another header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConnvaultError, HandleInvalid, from_problem
from ..handle_ends import end_of

# relays.http.answers: on an answer of the relay's own, and on no other. The Problem is in a header where the content is
# in another service's words, or missing.
ERROR_HEADER, _PROBLEM_HEADER = "x-connvault-error", "x-connvault-problem"

_SAID = re.compile(r"connvault ([a-z_]+): ([^\r\n]*)")


def said_in(text: str, *, connection: str) -> ConnvaultError | None:
    """The error that a relay names in an error text; `None`: the text is not a relay's."""
    said = _SAID.search(text)
    if said is None:
        return None
    why = end_of(said[2]) if said[1] == HandleInvalid.code else None
    details = {"reason": why} if why is not None else {}
    return of_connection(from_problem({"code": said[1], "detail": said[2], "details": details}), connection)


def answered(headers: Mapping[str, Any], content: bytes, *, connection: str) -> ConnvaultError:
    """The error in an HTTP response with `ERROR_HEADER`. `headers` is case-insensitive."""
    problem: Mapping[str, Any] = {}
    try:
        found = json.loads(headers.get(_PROBLEM_HEADER) or content or "{}")
        problem = found if isinstance(found, dict) else {}
    except ValueError:
        pass
    return of_connection(from_problem({**problem, "code": str(headers[ERROR_HEADER])}), connection)


def of_connection(error: ConnvaultError, connection: str) -> ConnvaultError:
    """The same error, with the connection's name, which a fix-it card needs."""
    error.details.setdefault("connection", connection)
    return error
