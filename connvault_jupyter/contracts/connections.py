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
    "workspace_new",
    "workspace_changed",
    "workspace_gone",
    "workspace_unreadable",
]
Scope = Literal["user", "workspace"]
Fields = Annotated[dict[FieldName, FieldValue], Field(max_length=64)]

# Enough for a PEM key with its chain, too small for a file dropped by mistake.
MAX_SECRET_CHARS = 65_536


class WorkspaceRef(Contract):
    """A block of a workspace file. `root`: absolute path of the project's folder, which has `.connvault`; `id`: the
    block's own."""

    root: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    id: Id


class SecretDraft(Contract):
    """An incoming secret: the only model that holds one. It is never read back and never in a response."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=MAX_SECRET_CHARS)]


class SecretState(Contract):
    """That a secret is stored, and since when.

    `masked`: whether it is masked in the service's responses; `False` if it is sent to the service but too short or
    too easy to guess for that. Also `True` if it is never sent, and while the vault is locked.
    """

    ref: Id
    set_at: Timestamp
    masked: bool = True


class Connection(Contract):
    """One configured instance of a provider, as it is stored.

    `edited`: its document was changed outside the broker; `unconfirmed`: no key has confirmed it yet. Neither is
    stored. Neither are `workspace_changed`, `workspace_gone` and `workspace_unreadable`: the project's file no longer
    says what this person accepted, or says nothing.

    `workspace`: the block of which this is the accepted copy; set for the scope `workspace` only.
    `reveal_allowed`: code may ask a person for its secrets as plain text, if the server allows that at all. Always
    true for a kind that offers nothing else.
    """

    id: Id
    provider_id: ProviderId
    name: ConnectionName
    display_name: Annotated[str, StringConstraints(max_length=100)] = ""
    scope: Scope = "user"
    workspace: WorkspaceRef | None = None
    fields: Fields = {}
    # Documents stored before this field existed do not have it: what they allowed stays allowed.
    reveal_allowed: bool = True
    revision: Annotated[int, Field(ge=1)] = 1
    status: Status
    status_reason: StatusReason | None = None
    created_at: Timestamp
    updated_at: Timestamp

    @property
    def place(self) -> str:
        """Where its name is unique: the root of its workspace, or empty for the person's own."""
        return "" if self.workspace is None else self.workspace.root


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
    """What the operator sees: the connection, which secrets are set, and how notebooks use it."""

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
    """A new connection. Without `secrets` it is a draft.

    `workspace`: for the scope `workspace`, the project's folder: a path below the server's root (empty: the root). The
    connection is written into its `.connvault/connections.json`, without secrets, and is accepted at once.

    `reveal_allowed` `None`: no if connvault logs in (`brokered`), else yes: if the secret passes through the code's
    own memory anyway, or plain text is all there is, a no would protect nothing.
    """

    provider_id: ProviderId
    name: ConnectionName
    display_name: Annotated[str, StringConstraints(max_length=100)] = ""
    scope: Scope = "user"
    workspace: Annotated[str, StringConstraints(max_length=4096)] | None = None
    fields: Fields = {}
    reveal_allowed: bool | None = None
    secrets: Annotated[dict[FieldName, SecretDraft], Field(max_length=16)] = {}


class ConnectionRef(Contract):
    id: Id


class UpdateConnection(Contract):
    """A change; whatever is left out stays. `fields` replaces all fields. A changed destination voids secrets and
    grants.
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
    """`revision`: the connection's revision as seen, so that no secret is set for a destination that has since
    changed. `None`: set it for any revision.
    """

    id: Id
    field: FieldName
    revision: Annotated[int, Field(ge=1)] | None = None


class DeleteSecret(Contract):
    id: Id
    field: FieldName


class ConnectionSummary(Contract):
    """What a requester sees of a connection: no fields except the destination line.

    `workspace_new`: the project has it, and nobody here has accepted it yet.
    """

    name: ConnectionName
    provider_id: ProviderId
    provider_name: str
    display_name: str
    destination: str
    status: Status
    status_reason: StatusReason | None = None
    delivery: DeliveryForm = "login"
    scope: Scope = "user"


class ConnectionSummaryList(Contract):
    connections: list[ConnectionSummary]
    vault: Literal["absent", "locked", "unlocked"]
