"""Why a handle is no longer valid: a code for programs and a message for people. Standard library only.

`unknown` also covers another requester's handle that has ended: whoever holds its ref learns nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

HandleEnd = Literal[
    "revoked",
    "expired",
    "changed",
    "deleted",
    "document_gone",
    "kernel_gone",
    "evicted",
    "released",
    "foreign",
    "unknown",
]

# The first sentence says what happened, the second one what to do.
WORDS: Mapping[HandleEnd, str] = {
    "revoked": "The permission for this handle was revoked. Call connection() to ask again.",
    "expired": "The permission for this handle has expired. Call connection() to ask again.",
    "changed": "The connection was changed after this handle was created. Call connection() to ask again.",
    "deleted": "The connection of this handle was deleted. Create it again in the Connections panel.",
    "document_gone": (
        "The notebook that had this permission was moved, replaced or deleted. Call connection() to ask "
        "again."
    ),
    "kernel_gone": "The kernel or process that created this handle has ended. Call connection() in this one.",
    "evicted": (
        "This handle was ended to make room for a newer one: of very many, it had been unused the longest. "
        "Call connection() again, and keep the handle instead of asking in a loop."
    ),
    "released": "This handle was released. Call connection() for a new one.",
    "foreign": "This handle belongs to another kernel or process. Call connection() in this one.",
    "unknown": (
        "This handle is unknown: it belongs to another process, or ended long ago. Call connection() in "
        "this one."
    ),
}


def end_of(message: str) -> HandleEnd | None:
    """The reason to which this message belongs: for protocols that carry only a message."""
    return next((why for why, words in WORDS.items() if words == message), None)
