"""From an HTTP request to the body of an operation: JSON, path, query and If-Match become one contract.

It knows neither tornado nor the broker. Invalid requests are refused with a typed error that never quotes the input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..contracts.operation import Http, Operation
from ..errors import InvalidRequest, RevisionRequired

if TYPE_CHECKING:
    from ..contracts.contract import Contract

# The same as for a frame: more could not be forwarded.
MAX_BODY_BYTES = 1 << 20

_WHOLE_NUMBER = re.compile(r"^-?[0-9]{1,15}$")
_IF_MATCH = re.compile(r'^(?:"([0-9]{1,15})"|([0-9]{1,15}))$')

# The server's own arguments: its token, and one that keeps a browser's requests from counting as a person's activity.
_NOT_OURS = frozenset({"token", "_xsrf", "no_track_activity"})

_NOT_JSON = "The body is not a JSON object. Send one as described in openapi.json."
_TOO_MANY = "A query argument may be given only once."


def body_of(
    operation: Operation,
    http: Http,
    *,
    path: Mapping[str, str],
    query: Mapping[str, Sequence[str]],
    if_match: str | None,
    content: bytes,
) -> dict[str, Any]:
    """The body to forward: exactly what was sent, validated, without defaults. Sealed bodies are validated by the
    broker, which alone can read them.

    Raises:
        InvalidRequest: it does not match the contract, or a field was given twice.
        RevisionRequired: the operation needs If-Match and there is none.
    """
    asked = arguments_of(query)
    if http.method == "GET":
        sent = typed(operation.request, asked)
        if content.strip():
            raise InvalidRequest("A GET has no body.")
    else:
        if asked:
            raise InvalidRequest("This operation takes no query arguments.")
        sent = parsed(content)
    elsewhere: dict[str, Any] = dict(path)
    if http.if_match:
        elsewhere["revision"] = _revision(if_match)
    twice = sorted(elsewhere.keys() & sent.keys())
    if twice:
        raise InvalidRequest(errors=[{"path": name, "message": "does not belong here"} for name in twice])
    body = {**sent, **elsewhere}
    # Not while the server starts: see contracts/operation.py.
    from pydantic import ValidationError

    from ..contracts.problem import invalid_request

    try:
        if operation.sealable and sent.keys() == {"sealed"}:
            from ..contracts.sealed import Sealed

            Sealed.model_validate(sent)
        else:
            operation.request.model_validate(body)
    except ValidationError as exc:
        raise invalid_request(exc) from None
    return body


def parsed(content: bytes) -> dict[str, Any]:
    """The JSON object in `content`; an empty body is an empty object. Raises: InvalidRequest."""
    if not content.strip():
        return {}
    try:
        found = _DECODER.decode(content.decode())
    except (ValueError, RecursionError):
        # The cause quotes the body.
        raise InvalidRequest(_NOT_JSON) from None
    if not isinstance(found, dict):
        raise InvalidRequest(_NOT_JSON)
    return found


def arguments_of(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The query without the server's own arguments. Raises: InvalidRequest."""
    found: dict[str, str] = {}
    for name, values in query.items():
        # JupyterLab adds a number without a value to prevent caching.
        if name in _NOT_OURS or (name.isdecimal() and not any(values)):
            continue
        if len(values) != 1:
            raise InvalidRequest(_TOO_MANY)
        found[name] = values[0]
    return found


def typed(request: type[Contract], arguments: Mapping[str, str]) -> dict[str, Any]:
    """Query arguments are text; they are converted if the contract requires a whole number."""
    return {
        name: int(value) if name in _whole_numbers(request) and _WHOLE_NUMBER.match(value) else value
        for name, value in arguments.items()
    }


@cache
def _whole_numbers(request: type[Contract]) -> frozenset[str]:
    properties: dict[str, Any] = request.model_json_schema().get("properties", {})
    return frozenset(
        name
        for name, schema in properties.items()
        if any(option.get("type") == "integer" for option in (schema, *schema.get("anyOf", ())))
    )


def _revision(header: str | None) -> int:
    if header is None:
        raise RevisionRequired
    match = _IF_MATCH.match(header.strip())
    if match is None:
        raise InvalidRequest("If-Match must be the revision, a whole number.")
    return int(match[1] or match[2])


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # It would be undefined which of two values counts (RFC 8259 4).
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _refuse_constant(_: str) -> None:
    raise ValueError


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
