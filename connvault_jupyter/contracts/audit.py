"""The activity log. The only free text in it are the requester's own claims: short, cleaned and sealed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .access import DecisionKind, RequesterKind
from .contract import Claim, ConnectionName, Contract, Hidden, Id, SealedClaim, Timestamp
from .providers import Mode

AuditType = Literal[
    "vault:set_up",
    "vault:unlocked",
    "vault:unlock_refused",
    "vault:locked",
    "vault:passphrase_changed",
    "vault:upgraded",
    "connection:created",
    "connection:changed",
    "connection:edited",
    "connection:confirmed",
    "connection:deleted",
    "connection:tested",
    "connection:proposed",
    "secret:set",
    "secret:removed",
    "secret:unreadable",
    "access:asked",
    "access:granted",
    "access:denied",
    "access:expired",
    "access:withdrawn",
    "access:interrupted",
    "access:refused",
    "access:used",
    "access:checked",
    "access:revealed",
    "access:released",
    "access:masked",
    "grant:revoked",
    "grant:voided",
    "grant:carried_over",
    "audit:pruned",
]


# Shown only to the operator: the requester that caused such an event learns nothing from it.
ALARMS: frozenset[AuditType] = frozenset({"access:masked"})


class AuditEvent(Contract):
    """One event. `outcome` is the result, `code` the stable error code if it failed.

    Claims are stored as `agent_sealed` and `reason_sealed`. `agent` and `reason_claim` are their masked texts, set
    when a person is shown the event (and in events of earlier versions); `claims_hidden`: why they can't be shown.
    `count`: how often it happened within 30 s; such an event without a requester covers several processes outside
    kernels.
    `field`: the field concerned; for `access:masked`, the protocol of the handle.
    """

    sequence: Annotated[int, Field(ge=1)]
    at: Timestamp
    type: AuditType
    outcome: Literal["ok", "refused", "failed"] = "ok"
    code: Annotated[str, StringConstraints(max_length=60)] | None = None
    connection_id: Id | None = None
    connection: ConnectionName | None = None
    field: Annotated[str, StringConstraints(max_length=48)] | None = None
    requester_kind: RequesterKind | None = None
    requester_key: str | None = None
    requester_label: str | None = None
    requester_instance: str | None = None
    agent: str | None = None
    mode: Mode | None = None
    decision: DecisionKind | None = None
    decided_by: str | None = None
    grant_id: Id | None = None
    question_id: Id | None = None
    evidence: str | None = None
    reason_claim: Claim | None = None
    agent_sealed: SealedClaim | None = None
    reason_sealed: SealedClaim | None = None
    claims_hidden: Hidden | None = None
    count: Annotated[int, Field(ge=1)] | None = None


class AuditPage(Contract):
    """Newest first. `next_before` is the sequence for the next page, `None` at the end."""

    events: list[AuditEvent]
    next_before: int | None


class AuditFilter(Contract):
    before: Annotated[int, Field(ge=1)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    connection_id: Id | None = None
    type: AuditType | None = None


class OwnAuditFilter(Contract):
    connection: ConnectionName | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class AuditVerification(Contract):
    """Whether the chain is consistent. Changes by code of the same user are detected, not prevented, so it is not
    called verified."""

    consistent: bool
    events: int
    first_sequence: int
    keyed: bool
    broken_at: int | None = None


class UseDay(Contract):
    """Uses on one UTC day (`2026-11-24`)."""

    day: str
    uses: int


class UseDays(Contract):
    """The last 14 UTC days, oldest first, including days without use."""

    days: list[UseDay]
