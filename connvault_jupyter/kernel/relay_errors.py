"""What a relay says when it refuses, as the typed error that it stands for. No client library is known here.

Relays say `connvault <code>: <message>` in the words of their protocol's own error. HTTP's says the code in a header of
its answer, and the rest as a Problem (RFC 9457) in its content or in another header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..contracts.relay_wire import ERROR_HEADER, PROBLEM_HEADER, refusal_in
from ..errors import ConnvaultError, HandleInvalid, from_problem
from ..handle_ends import end_of


def said_in(text: str, *, connection: str) -> ConnvaultError | None:
    """The error that a relay names in an error text; `None`: these are not a relay's words."""
    said = refusal_in(text)
    if said is None:
        return None
    code, message = said
    why = end_of(message) if code == HandleInvalid.code else None
    details = {"reason": why} if why is not None else {}
    return of_connection(from_problem({"code": code, "detail": message, "details": details}), connection)


def answered(headers: Mapping[str, Any], content: bytes, *, connection: str) -> ConnvaultError:
    """What an HTTP answer with `ERROR_HEADER` says. `headers` know their names in any case."""
    problem: Mapping[str, Any] = {}
    try:
        found = json.loads(headers.get(PROBLEM_HEADER) or content or "{}")
        problem = found if isinstance(found, dict) else {}
    except ValueError:
        pass
    return of_connection(from_problem({**problem, "code": str(headers[ERROR_HEADER])}), connection)


def of_connection(error: ConnvaultError, connection: str) -> ConnvaultError:
    """The same error, with the name that a fix-it needs."""
    error.details.setdefault("connection", connection)
    return error
