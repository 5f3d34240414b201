"""Every error as a Problem (RFC 9457). The typed errors themselves are in `connvault_jupyter.errors`."""

from __future__ import annotations

from pydantic import ValidationError

from ..errors import ConnvaultError, InvalidRequest
from .contract import Contract, FieldValue

# A body with a million wrong items must not cause a response of a megabyte.
MAX_FIELD_ERRORS = 50


class FieldError(Contract):
    """One error: `path` is dotted (`fields.host`, `secrets.password`), empty for the whole body."""

    path: str
    message: str


class Problem(Contract):
    """RFC 9457. `code` is stable; `detail` says what to do next; nothing quotes the input."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldError] = []
    details: dict[str, FieldValue] = {}


def problem_of(error: ConnvaultError) -> Problem:
    """The Problem that describes `error`."""
    details = dict(error.details)
    raw = details.pop("errors", [])
    return Problem(
        title=type(error).__name__,
        status=error.status_hint,
        code=error.code,
        detail=error.message,
        errors=[FieldError.model_validate(item) for item in raw][:MAX_FIELD_ERRORS],
        details={key: value for key, value in details.items() if isinstance(value, str | int | float | bool)},
    )


def invalid_request(error: ValidationError) -> InvalidRequest:
    """Pydantic's errors, without input, url and context (each could quote a secret)."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return InvalidRequest(
        errors=[
            {
                "path": _path(item["loc"]),
                "message": _MESSAGES.get(item["type"], "does not have the expected format"),
            }
            for item in found[:MAX_FIELD_ERRORS]
        ]
    )


def _path(loc: tuple[int | str, ...]) -> str:
    # The names of unknown fields and mapping keys come from the sender, so keep them short and plain.
    return ".".join(
        part
        if isinstance(part, str) and part.isidentifier() and len(part) <= 48
        else "?"
        if isinstance(part, str)
        else str(part)
        for part in loc
    )


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "string_pattern_mismatch": "has characters that are not allowed here",
    "literal_error": "is not one of the allowed values",
    "greater_than_equal": "is too small",
    "greater_than": "is too small",
    "less_than_equal": "is too large",
    "too_long": "has too many items",
}
