"""What may not be done, or may not be done any more: by a person's word, or by a rule."""

from __future__ import annotations

from typing import Any

from ..handle_end_reasons import WORDS
from .error import ConnvaultError


class NotAllowed(ConnvaultError):
    code = "not_allowed"
    status_hint = 403
    default_message = "This is not allowed."


class AccessDenied(NotAllowed):
    """`details["reason"]`: `denied` (a person), `never` (a stored no) or `cooldown` (asked too soon after a no)."""

    code = "access_denied"
    default_message = (
        "Access was denied. If that was a mistake, wait a little, then run the cell again and allow it."
    )


class ConsentTimeout(NotAllowed):
    code = "consent_timeout"
    status_hint = 408
    default_message = (
        "Nobody answered in time. Wait a little, then run the cell again and answer the request in the "
        "browser."
    )


class ConsentInterrupted(NotAllowed):
    code = "consent_interrupted"
    status_hint = 409
    default_message = "The request was interrupted. Run the cell again."


class ConsentWithdrawn(NotAllowed):
    code = "consent_withdrawn"
    status_hint = 409
    default_message = "The request was cancelled before it was answered."


class NoApprover(NotAllowed):
    code = "no_approver"
    status_hint = 503
    default_message = "No browser tab is open to show the request. Open JupyterLab and run the cell again."


class TooManyQuestions(NotAllowed):
    code = "too_many_questions"
    status_hint = 429
    default_message = "Too many requests are already waiting. Answer them in the browser first."


class TooManyProposals(NotAllowed):
    code = "too_many_proposals"
    status_hint = 429
    default_message = (
        "Too many suggestions for new connections were made in the last ten minutes. Wait a few minutes, "
        "then run the cell again."
    )


class TooManyHandles(NotAllowed):
    """All are in use, so none can make room without ending somebody's session."""

    code = "too_many_handles"
    status_hint = 429
    default_message = (
        "256 handles of this connection are in use here. Release some, or close the clients that they "
        "opened, then run the cell again."
    )


class HandleInvalid(NotAllowed):
    """`details["reason"]` is one of `handle_end_reasons.HandleEnd`, whose words are used without a `message`."""

    code = "handle_invalid"
    default_message = "This handle is no longer valid. Call connection() again."

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        super().__init__(message or WORDS.get(details.get("reason", "")), **details)


class RevealForbidden(NotAllowed):
    code = "reveal_forbidden"
    default_message = (
        "Code may not reveal this secret as plain text. To allow it, edit the connection in the Connections "
        "panel, unless the server's configuration forbids it."
    )


class DecisionNotOffered(NotAllowed):
    code = "decision_not_offered"
    default_message = "This duration is not available for this notebook or process."
