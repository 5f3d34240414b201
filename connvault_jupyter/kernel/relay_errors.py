"""Converts a relay's refusal to its typed error. It knows no client library.

Relays send `connvault <code>: <message>` as their protocol's own error. The HTTP relay sends the code in a response
header, and the rest as a Problem (RFC 9457) in the content or in another header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..contracts.relay_wire import ERROR_HEADER, PROBLEM_HEADER, refusal_in
from ..errors import ConnvaultError, HandleInvalid, from_problem
from ..handle_end_reasons import end_of


def said_in(text: str, *, connection: str) -> ConnvaultError | None:
    """The error that a relay names in an error text; `None`: the text is not a relay's."""
    said = refusal_in(text)
    if said is None:
        return None
    code, message = said
    why = end_of(message) if code == HandleInvalid.code else None
    details = {"reason": why} if why is not None else {}
    return of_connection(from_problem({"code": code, "detail": message, "details": details}), connection)


def answered(headers: Mapping[str, Any], content: bytes, *, connection: str) -> ConnvaultError:
    """The error in an HTTP response with `ERROR_HEADER`. `headers` is case-insensitive."""
    problem: Mapping[str, Any] = {}
    try:
        found = json.loads(headers.get(PROBLEM_HEADER) or content or "{}")
        problem = found if isinstance(found, dict) else {}
    except ValueError:
        pass
    return of_connection(from_problem({**problem, "code": str(headers[ERROR_HEADER])}), connection)


def of_connection(error: ConnvaultError, connection: str) -> ConnvaultError:
    """The same error, with the connection's name, which a fix-it card needs."""
    error.details.setdefault("connection", connection)
    return error
