"""Events pushed to browser tabs: ids only; the page fetches the rest."""

from __future__ import annotations

from typing import Literal

from .contract import Contract, Id

EventKind = Literal[
    "access_request:asked",
    "access_request:resolved",
    "connections:changed",
    "grants:changed",
    "audit:changed",
    "vault:changed",
]


class Event(Contract):
    """`id` is a question's, a connection's or a grant's; `None` if the whole list changed."""

    event: EventKind
    id: Id | None = None
