"""The base of all errors, and the one place where a code is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class ConnvaultError(Exception):
    """Base of every error that this package raises on purpose.

    `details` carries names and numbers that help (a suggestion, seconds to wait); never a secret and
    never text from outside that was not cleaned.
    """

    code: ClassVar[str] = "internal_error"
    status_hint: ClassVar[int] = 500
    default_message: ClassVar[str] = "Something went wrong inside connvault. See the server log."

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        self.message = message or self.default_message
        self.details: dict[str, Any] = details
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.details))


def _rebuild(kind: type[ConnvaultError], message: str, details: dict[str, Any]) -> ConnvaultError:
    return kind(message, **details)


def _walk(kind: type[ConnvaultError]) -> Iterator[type[ConnvaultError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _walk(child)


def every_error() -> dict[str, type[ConnvaultError]]:
    """All errors by their stable code."""
    return {kind.code: kind for kind in _walk(ConnvaultError)}


def from_problem(problem: Mapping[str, Any]) -> ConnvaultError:
    """The typed error that a Problem (RFC 9457) describes; an unknown code becomes a `ConnvaultError`.

    The unknown code is kept in `details["code"]`, so that an older kernel can still show it.
    """
    code = problem.get("code")
    kind = every_error().get(code if isinstance(code, str) else "", ConnvaultError)
    detail = problem.get("detail")
    details = problem.get("details")
    found = kind(
        detail if isinstance(detail, str) and detail else None,
        **{str(key): value for key, value in details.items()} if isinstance(details, Mapping) else {},
    )
    if kind is ConnvaultError and isinstance(code, str):
        found.details.setdefault("code", code)
    return found
