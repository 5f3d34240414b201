"""Configured connections. No model here can hold a stored secret; `SecretDraft` is inbound only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from .contract import ConnectionName, Contract, FieldName, FieldValue, Id, ProviderId, Timestamp
from .providers import DeliveryForm, Mode

Status = Literal["ready", "draft", "invalid"]
StatusReason = Literal[
    "secret_missing",
    "fields_missing",
    "destination_changed",
    "secret_unreadable",
    "provider_missing",
    "provider_changed",
    "edited",
    "unconfirmed",
]
Fields = Annotated[dict[FieldName, FieldValue], Field(max_length=64)]

# A PEM key with its chain fits; a file that was dropped by mistake doesn't.
MAX_SECRET_CHARS = 65_536


class SecretDraft(Contract):
    """A secret on its way in: the only model that holds one, never read back, never in a response."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=MAX_SECRET_CHARS)]


class SecretState(Contract):
    """That a secret is stored, and since when.

    `masked`: whether answers of the service that repeat it are masked; `False` for one that is sent to it and too short
    or too easy to guess for that. `True` also where it is never sent, and while the vault is locked.
    """

    ref: Id
    set_at: Timestamp
    masked: bool = True


class Connection(Contract):
    """One configured instance of a provider, as it is stored.

    `edited`: its document was changed outside of the broker; `unconfirmed`: no key confirmed it yet. Neither is stored.

    `reveal_allowed`: code may ask a person for its secrets as plain text, if the server allows that at all. Of a kind
    that is good for nothing else it always may.
    """

    id: Id
    provider_id: ProviderId
    name: ConnectionName
    display_name: Annotated[str, StringConstraints(max_length=100)] = ""
    scope: Literal["user", "workspace"] = "user"
    fields: Fields = {}
    # Stored documents from before it was there have none: what they allowed stays allowed.
    reveal_allowed: bool = True
    revision: Annotated[int, Field(ge=1)] = 1
    status: Status
    status_reason: StatusReason | None = None
    created_at: Timestamp
    updated_at: Timestamp


class TestOutcome(Contract):
    """The last test of a connection: `code` is a stable error code, `None` when it worked."""

    __test__ = False

    ok: bool
    at: Timestamp
    code: str | None = None
    detail: str
    elapsed_ms: int
    server: Annotated[str, StringConstraints(max_length=80)] = ""


class ConnectionView(Contract):
    """What the operator sees: the connection, that its secrets are set, and how notebooks get it."""

    connection: Connection
    destination: str
    secrets: dict[FieldName, SecretState] = {}
    modes: list[Mode] = []
    delivery: DeliveryForm = "login"
    last_used_at: Timestamp | None = None
    last_test: TestOutcome | None = None


class ConnectionList(Contract):
    connections: list[ConnectionView]


class CreateConnection(Contract):
    """A new connection. `secrets` may be left out: the connection is then a draft.

    `reveal_allowed` `None`: not where connvault logs in (`brokered`), else yes. Where the secret passes through the
    code's own memory anyway, or plain text is all there is to have, a no would keep back nothing.
    """

    provider_id: ProviderId
    name: ConnectionName
    display_name: Annotated[str, StringConstraints(max_length=100)] = ""
    scope: Literal["user", "workspace"] = "user"
    fields: Fields = {}
    reveal_allowed: bool | None = None
    secrets: Annotated[dict[FieldName, SecretDraft], Field(max_length=16)] = {}


class ConnectionRef(Contract):
    id: Id


class UpdateConnection(Contract):
    """A change; what is left out stays. `fields` replaces all fields. A changed destination voids secrets
    and grants.
    """

    id: Id
    revision: Annotated[int, Field(ge=1)]
    name: ConnectionName | None = None
    display_name: Annotated[str, StringConstraints(max_length=100)] | None = None
    fields: Fields | None = None
    reveal_allowed: bool | None = None
    secrets: Annotated[dict[FieldName, SecretDraft], Field(max_length=16)] = {}


class DeleteConnection(Contract):
    id: Id
    revision: Annotated[int, Field(ge=1)]


class SetSecret(SecretDraft):
    """`revision`: of the connection as it was seen, so that a secret is not set for a destination that was changed
    meanwhile. `None` sets it whatever it is now.
    """

    id: Id
    field: FieldName
    revision: Annotated[int, Field(ge=1)] | None = None


class DeleteSecret(Contract):
    id: Id
    field: FieldName


class ConnectionSummary(Contract):
    """What a requester sees of a connection: no field beyond the destination line."""

    name: ConnectionName
    provider_id: ProviderId
    provider_name: str
    display_name: str
    destination: str
    status: Status
    status_reason: StatusReason | None = None
    delivery: DeliveryForm = "login"


class ConnectionSummaryList(Contract):
    connections: list[ConnectionSummary]
    vault: Literal["absent", "locked", "unlocked"]
