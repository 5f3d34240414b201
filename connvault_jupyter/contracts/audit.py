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
    "vault:rotated",
    "vault:moved",
    "slot:added",
    "slot:removed",
    "slot:refused",
    "slot:changed_outside",
    "connection:created",
    "connection:changed",
    "connection:edited",
    "connection:changed_in_project",
    "connection:confirmed",
    "connection:deleted",
    "connection:tested",
    "connection:proposed",
    "connection:exported",
    "connection:imported",
    "secret:set",
    "secret:removed",
    "secret:unreadable",
    "secret:exported",
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


MAX_FIELD_CHARS = 48

# Shown only to the operator: the requester that caused such an event learns nothing from it.
ALARMS: frozenset[AuditType] = frozenset({"access:masked"})


class AuditEvent(Contract):
    """One event. `outcome` is the result, `code` the stable error code if it failed.

    Claims are stored as `agent_sealed` and `reason_sealed`. `agent` and `reason_claim` are their masked texts, set
    when a person is shown the event (and in events of earlier versions); `claims_hidden`: why they can't be shown.
    `count`: how often it happened within 30 s; such an event without a requester covers several processes outside
    kernels.
    `field`: the field concerned; for `access:masked`, the protocol of the handle; for `vault:moved`, the store to which
    the connections were moved; for `connection:changed_in_project`, the names of what differs, what leads elsewhere
    first, and how many more there are (`host, user, +3`).
    `slot_id`: the key slot that was used, added, removed, or found to be foreign.
    """

    sequence: Annotated[int, Field(ge=1)]
    at: Timestamp
    type: AuditType
    outcome: Literal["ok", "refused", "failed"] = "ok"
    code: Annotated[str, StringConstraints(max_length=60)] | None = None
    connection_id: Id | None = None
    connection: ConnectionName | None = None
    field: Annotated[str, StringConstraints(max_length=MAX_FIELD_CHARS)] | None = None
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
    slot_id: Id | None = None


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


# 0: before the first event.
ReachedSequence = Annotated[int, Field(ge=0, le=2**63 - 1)]

# SHA-256 and HMAC-SHA256 as text.
Hex256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

# ISO 8601 with an offset. Text, as it also comes in a query and, in a statement, is covered by a MAC.
Instant = Annotated[
    str,
    StringConstraints(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$", max_length=40
    ),
]


class StreamState(Contract):
    """How the stream of the activity log to somewhere else is, as the server's process last said.

    `sent`: the last event that was sent when this was said; `failing_since`: the destination takes nothing since then.
    `lost`: events that were removed from the log before they could be sent; `refused`: those that the destination did
    not take.
    """

    destination: Annotated[str, StringConstraints(max_length=2048)]
    sent: ReachedSequence
    failing_since: Instant | None = None
    lost: Annotated[int, Field(ge=0)] = 0
    refused: Annotated[int, Field(ge=0)] = 0


class AuditVerification(Contract):
    """Whether the chain is consistent. Changes by code of the same user are detected, not prevented, so it is not
    called verified. `stream`: the state of the stream to somewhere else; `None`: there is none, or another server has
    it."""

    consistent: bool
    events: int
    first_sequence: int
    keyed: bool
    broken_at: int | None = None
    stream: StreamState | None = None


ExportFormat = Literal["jsonl", "csv"]


class ExportAudit(Contract):
    """A part of the activity log, as text, in several answers. `services/audit/exported.py` has the file's format.

    `first` and `last` are sequences, `since` and `until` times (both included): the part reaches from the first to the
    last event of that time, whatever the clock did between. `connection_id` leaves out the events of others. To
    continue, send `after` and `last` as the previous answer gave them.
    """

    format: ExportFormat = "jsonl"
    first: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    last: ReachedSequence | None = None
    since: Instant | None = None
    until: Instant | None = None
    connection_id: Id | None = None
    after: ReachedSequence | None = None


class ExportedAudit(Contract):
    """`text`: whole lines, to be appended to those before. `next_after`: continue with it; `None`: that was the end."""

    text: str
    last: int
    next_after: int | None


class AuditHead(Contract):
    """The end of the activity log at a time, to be kept elsewhere. `mac` is by the keys of `generation`; without it
    (the vault was locked) the statement is only text. `vault_id` `None`: there is no vault yet."""

    vault_id: Id | None
    sequence: ReachedSequence
    digest: Hex256
    at: Instant
    generation: Annotated[int, Field(ge=1, le=2**31)] | None = None
    mac: Hex256 | None = None


class SeenClaims(Contract):
    """The sealed claims of an event, and what an exported line shows of them."""

    connection_id: Id | None = None
    agent_sealed: SealedClaim | None = None
    reason_sealed: SealedClaim | None = None
    agent: Annotated[str, StringConstraints(max_length=200)] | None = None
    reason: Annotated[str, StringConstraints(max_length=200)] | None = None


class SeenEvent(Contract):
    """An event as somebody has it elsewhere: where it is in the chain, and the MAC that came with it."""

    sequence: Annotated[int, Field(ge=1, le=2**63 - 1)]
    digest: Hex256
    generation: Annotated[int, Field(ge=1, le=2**31)] | None = None
    mac: Hex256 | None = None
    claims: SeenClaims | None = None


class Statement(Contract):
    """What a vault stated under its keys: the text that the MAC covers, and the MAC."""

    kind: Literal["export", "head"]
    text: Annotated[str, StringConstraints(max_length=4096)]
    generation: Annotated[int, Field(ge=1, le=2**31)]
    mac: Hex256


class CompareAudit(Contract):
    """Events and statements kept elsewhere, to be compared with the keys and the log. Ascending sequences."""

    events: Annotated[list[SeenEvent], Field(max_length=2000)] = []
    statements: Annotated[list[Statement], Field(max_length=4)] = []


class ComparedAudit(Contract):
    """`generation`: of the present keys; `None`: the vault is locked, so that no MAC was checked.

    By sequence: `forged` have a MAC that the vault's keys did not make, or not at that point; `ends` are the last
    events of earlier generations; `claims` show another text than the sealed one; `differing` are others in the log;
    `missing` are not in it, though they should be. The log holds the events after `pruned` up to `last`; of those
    before, nothing is known. `statements`: whether each one's MAC is right; `None` while locked.
    """

    vault_id: Id | None
    generation: int | None
    last: int
    pruned: int
    forged: list[int] = []
    ends: list[int] = []
    claims: list[int] = []
    differing: list[int] = []
    missing: list[int] = []
    statements: list[bool | None] = []


class UseDay(Contract):
    """Uses on one UTC day (`2026-11-24`)."""

    day: str
    uses: int


class UseDays(Contract):
    """The last 14 UTC days, oldest first, including days without use."""

    days: list[UseDay]
