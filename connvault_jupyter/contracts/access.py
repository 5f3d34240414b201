"""Requests, consent, grants and handles. The broker identifies the requester; an agent name is only a claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from .connections import Fields
from .contract import (
    Claim,
    ClaimMark,
    ConnectionName,
    Contract,
    FieldName,
    FieldValue,
    Hidden,
    Id,
    ProviderId,
    SealedClaim,
    Timestamp,
)
from .providers import Delivery, DeliveryForm, Mode, RelayProtocol, VariableName

RequesterKind = Literal["notebook", "console", "script", "detached", "server"]
DecisionKind = Literal["deny", "deny_always", "once", "session", "for", "always"]
Duration = Literal["once", "session", "for", "always"]

Path = Annotated[str, StringConstraints(max_length=4096)]
# 256 bits in URL-safe base64.
Ref = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Requester(Contract):
    """Who asks, as identified from the socket.

    `key` is stable (server root + notebook path, or a script's path and hash), `instance` is this run (kernel id, or
    pid, with the start time). `durable`: whether `for` and `always` may be offered. `evidence`: how it was identified.
    """

    kind: RequesterKind
    key: Path
    instance: Annotated[str, StringConstraints(max_length=200)]
    label: Path
    path: Path = ""
    kernel: Annotated[str, StringConstraints(max_length=200)] = ""
    pid: int
    durable: bool = False
    evidence: Annotated[str, StringConstraints(max_length=400)] = ""


class AccessRequest(Contract):
    """A requester's access request. The smaller of `timeout_s` and the configured time-out counts.

    `held`: a handle that the caller already has. It is returned if a new one would be equal.
    """

    connection: ConnectionName
    reason: Claim | None = None
    agent: Annotated[str, StringConstraints(max_length=60)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    held: Ref | None = None


class HandleUse(Contract):
    ref: Ref


class RevealRequest(Contract):
    """Asks a person, each time, for plain text."""

    ref: Ref
    reason: Claim | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] | None = None


class AccessResponse(Contract):
    """The parts of a handle. `decision` is `None` for a handle that can only ask to reveal."""

    ref: Ref
    connection: ConnectionName
    provider_id: ProviderId
    provider_name: str
    destination: str
    mode: Mode
    decision: DecisionKind | None
    expires_at: Timestamp | None
    deliveries: list[Delivery]
    reveal_allowed: bool
    delivery: DeliveryForm = "login"


class HandleState(Contract):
    """A handle is still valid. If the connection's `revision` or the secrets' `set_at` has changed, a client logs in
    again."""

    mode: Mode
    expires_at: Timestamp | None
    revision: int
    rotation: str


class Delivered(Contract):
    """A login for a client library in the requester's process: the one outbound model with a secret.

    Only the requester channel returns it; no HTTP route can.
    """

    connection: ConnectionName
    provider_id: ProviderId
    fields: Fields
    secrets: dict[FieldName, SecretStr]
    revision: int
    rotation: str

    @classmethod
    def of(
        cls,
        *,
        connection: str,
        provider_id: str,
        fields: Mapping[str, FieldValue],
        secrets: Mapping[str, str],
        revision: int,
        rotation: str,
    ) -> Delivered:
        """Built from parts that were validated earlier: validating them again would be a tenth of the cost of a
        use."""
        return cls.model_construct(
            connection=connection,
            provider_id=provider_id,
            fields=dict(fields),
            secrets={name: SecretStr(secret) for name, secret in secrets.items()},
            revision=revision,
            rotation=rotation,
        )


class OpenHandle(Contract):
    """`tcp`: also listen on loopback, for tools that can't use a Unix socket."""

    ref: Ref
    tcp: bool = False


class Opened(Contract):
    """Where a brokered handle listens for this requester. It contains no secret of the service.

    `directory` (0700) holds the Unix socket `socket` and, with `hand_over`, a second one through which a logged-in
    socket is handed over. `port` is on 127.0.0.1, `None` unless requested; clients there must send `token` as
    password, key or bearer token. All of it ends with the handle. `fields` are the connection's plain fields, with
    `recipe`.
    """

    connection: ConnectionName
    provider_id: ProviderId
    protocol: RelayProtocol
    directory: Path
    socket: Path
    hand_over: bool
    port: Annotated[int, Field(ge=1, le=65535)] | None
    token: Annotated[str, StringConstraints(max_length=200)]
    fields: Fields
    variables: dict[VariableName, str]
    revision: int
    rotation: str


class Released(Contract):
    """Whether there was anything to release."""

    released: int


class RevokeOwn(Contract):
    connection: ConnectionName


class Question(Contract):
    """An access request as a person sees it. `digest` covers everything shown; a decision must carry it.

    `claims_hidden`: why an agent claim or a reason can't be shown now.
    """

    id: Id
    connection_id: Id
    connection: ConnectionName
    display_name: str
    provider_id: ProviderId
    provider_name: str
    destination: str
    requester: Requester
    agent: str | None
    mode: Mode
    reasons: list[str]
    durations: list[Duration]
    preselected: Duration | None
    once_limit_s: int
    for_s: int
    asked_at: Timestamp
    expires_at: Timestamp
    remaining_ms: int
    digest: Digest
    claims_hidden: Hidden | None = None


class QuestionList(Contract):
    access_requests: list[Question]


class Decide(Contract):
    """A person's decision. `seconds` belongs to `for`; `None` takes the configured length."""

    id: Id
    decision: DecisionKind
    seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = None
    digest: Digest


class Decided(Contract):
    id: Id
    decision: DecisionKind


class Grant(Contract):
    """The stored, bounded permission. `instance` is `None` for `for`, `always` and `deny_always`.

    `shown_digest` covers everything that its dialog showed of the connection (`None`: made by an earlier version, and
    void). For an agent claim the stored grant has `agent_hash` (a keyed hash of what was sent, so that equal claims
    compare equal) and `agent_sealed`; `agent` is its masked text, only set when a person is shown the grant.
    """

    id: Id
    connection_id: Id
    requester_kind: RequesterKind
    requester_key: Path
    requester_label: Path
    instance: str | None
    agent: str | None
    mode: Mode
    decision: DecisionKind
    destination_digest: Digest
    created_at: Timestamp
    expires_at: Timestamp | None
    decided_by: Annotated[str, StringConstraints(max_length=200)]
    shown_digest: Digest | None = None
    agent_hash: ClaimMark | None = None
    agent_sealed: SealedClaim | None = None


class GrantView(Contract):
    """A grant with its uses, which the MAC does not cover. `agent_hidden`: why its agent claim can't be shown now."""

    grant: Grant
    connection: ConnectionName
    uses: int
    last_used_at: Timestamp | None
    counts: bool
    reason_not: Literal["", "forged", "expired", "destination_changed", "ended", "changed"] = ""
    agent_hidden: Hidden | None = None


class GrantList(Contract):
    grants: list[GrantView]


class GrantFilter(Contract):
    connection_id: Id | None = None


class GrantRef(Contract):
    id: Id
