"""Asking, consenting, granting, using. Who asks is found out by the broker; an agent name is only a claim."""

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
    """Who asks, as found out from the socket.

    `key` is stable (server root + notebook path, or a script's path and hash), `instance` is this run (kernel id, or
    pid, with the start time). `durable` says whether `for` and `always` may be offered. `evidence` is how
    it was found out.
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
    """A requester's wish. `timeout_s` is the caller's; the smaller of it and the configured one counts.

    `held`: a handle that the caller has. It is the answer where a new one would be the same.
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
    """What a handle is made of. `decision` is `None` for a handle that can only ask to reveal."""

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
    """A handle is still good; `revision` of the connection and the secrets' `set_at` tell a client to log in anew."""

    mode: Mode
    expires_at: Timestamp | None
    revision: int
    rotation: str


class Delivered(Contract):
    """A login for a client library in the requester's process: the one outbound model with a secret.

    It exists at the requester door only; no HTTP route can answer with it.
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
        """Of parts that were checked when they came in: checking them again would be a tenth of a use."""
        return cls.model_construct(
            connection=connection,
            provider_id=provider_id,
            fields=dict(fields),
            secrets={name: SecretStr(secret) for name, secret in secrets.items()},
            revision=revision,
            rotation=rotation,
        )


class OpenHandle(Contract):
    """`tcp`: also on loopback, for tools that can't use a Unix socket."""

    ref: Ref
    tcp: bool = False


class Opened(Contract):
    """Where a brokered handle listens for this requester. No part of it is a secret of the upstream.

    `directory` (0700) holds the Unix socket `socket` and, with `hand_over`, a second one through which a logged-in
    socket is passed on. `port` is on 127.0.0.1, `None` unless asked for; there `token` must be given as password, key
    or bearer token. All of it ends with the handle. `fields` are the connection's plain ones, `recipe` included.
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
    """Whether there was anything to let go of."""

    released: int


class RevokeOwn(Contract):
    connection: ConnectionName


class Question(Contract):
    """An access request as a person sees it. `digest` covers all of what is shown; a decision must carry it.

    `claims_hidden`: there is an agent claim or a reason that can't be shown now.
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

    `shown_digest` covers all that its dialog showed of the connection (`None`: made by a version before, and void by
    itself). Of an agent claim the stored grant has `agent_hash` (a keyed hash of it as it was sent: equal claims are
    equal) and `agent_sealed`; `agent` is its masked text, and only filled when a person is shown the grant.
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
    """A grant with its use, counted apart from what the MAC covers. `agent_hidden`: it is an agent's, and the claim
    can't be shown now."""

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
