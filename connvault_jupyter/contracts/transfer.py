"""Export and import of connections. A secret travels only inside the encrypted file; a passphrase inward only.

The file itself is the text `file`; vault/export_file.py has its format, services/transfer/content.py that of what is
encrypted in it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .connections import Fields, SecretDraft
from .contract import ConnectionName, Contract, FieldName, Id, ProviderId, Timestamp
from .vault import Passphrase, SlotProof

# Ten times as many as fit into a file.
MAX_CONNECTIONS = 20_000

# It comes back in a request of at most 1 MiB, which may be sealed (a third longer, in Base64) and says besides what to
# do with each connection. About 2,000 connections with a password each.
MAX_FILE_CHARS = 600_000

# More than is accepted, so that a file that is too large is called so.
ExportFile = Annotated[str, StringConstraints(max_length=900_000)]

DisplayName = Annotated[str, StringConstraints(max_length=100)]

WithoutSecrets = Literal["not_asked", "no_reveal", "unreadable", "provider_missing", "none_set"]
"""Why an exported connection has no secrets in the file. `not_asked`: the export was to be without; `no_reveal`: the
connection forbids to reveal them, and was not named in spite of that; `unreadable`: one can't be unsealed;
`provider_missing`: its kind is not installed; `none_set`: it has none."""


class ExportConnections(Contract):
    """`ids` `None`: all. `passphrase` is the file's own. With secrets a key slot's secret is needed again, and a
    connection that forbids to reveal its secrets is exported without. A second request, within ten minutes of such an
    export, may name it in `although_no_reveal`.
    """

    passphrase: Passphrase
    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_CONNECTIONS)] | None = None
    with_secrets: bool = False
    proof: SlotProof | None = None
    although_no_reveal: Annotated[list[Id], Field(max_length=MAX_CONNECTIONS)] = []


class ExportedConnection(Contract):
    """`secrets`: the fields whose secrets are in the file."""

    id: Id
    name: ConnectionName
    secrets: list[FieldName] = []
    without_secrets: WithoutSecrets | None = None


class LeftOut(Contract):
    """A connection that is not in the file: it was changed outside connvault, and nobody has reviewed it since."""

    id: Id
    name: ConnectionName
    reason: Literal["edited", "unconfirmed"]


class ExportedConnections(Contract):
    """The whole text of the file, and what is in it."""

    file: str
    connections: list[ExportedConnection]
    left_out: list[LeftOut] = []


class TransferredConnection(Contract):
    """A connection as it is in a file: what a new one is made of, and nothing that this vault would have to believe."""

    provider_id: ProviderId
    name: ConnectionName
    display_name: DisplayName = ""
    fields: Fields = {}
    reveal_allowed: bool
    secrets: Annotated[dict[FieldName, SecretDraft], Field(max_length=16)] = {}
    without_secrets: WithoutSecrets | None = None


class TransferredConnections(Contract):
    """The content of a file. Evolution: another field makes another version of the file."""

    made_at: Timestamp
    connections: Annotated[list[TransferredConnection], Field(max_length=MAX_CONNECTIONS)]


class PreviewImport(Contract):
    file: ExportFile
    passphrase: Passphrase


class PresentConnection(Contract):
    """The connection that has the name already."""

    id: Id
    name: ConnectionName
    revision: Annotated[int, Field(ge=1)]
    provider_id: ProviderId
    destination: str


class ImportEntry(Contract):
    """What importing a connection would do.

    `new`: it would be added. The name is taken: by another one that is the `same` in kind and all fields, by one with
    the same destination and other fields (`name_taken`), or by one with an `other_destination` or kind.
    `unknown_kind`: its kind is not installed here; `invalid`: its kind does not accept these fields.
    """

    name: ConnectionName
    provider_id: ProviderId
    provider_name: str = ""
    display_name: DisplayName = ""
    destination: str = ""
    reveal_allowed: bool
    secrets: list[FieldName] = []
    without_secrets: WithoutSecrets | None = None
    would: Literal["new", "same", "name_taken", "other_destination", "unknown_kind", "invalid"]
    present: PresentConnection | None = None


class ImportPreview(Contract):
    """In the order of the file. `made_at` is when it says that it was exported."""

    made_at: Timestamp
    connections: list[ImportEntry]


class ImportDecision(Contract):
    """What to do with the connection `name` of the file. `add`: as a new one, as `as_name` if that is given; `replace`:
    instead of what the connection with this name has now, which is the one of this `revision`. Its permission to reveal
    stays as it is.
    """

    name: ConnectionName
    action: Literal["skip", "add", "replace"]
    as_name: ConnectionName | None = None
    revision: Annotated[int, Field(ge=1)] | None = None


class ImportConnections(Contract):
    """A connection without a decision is skipped."""

    file: ExportFile
    passphrase: Passphrase
    decisions: Annotated[list[ImportDecision], Field(max_length=MAX_CONNECTIONS)]


class ImportedConnection(Contract):
    """`name`: the name that it has here. `secrets`: the fields whose secrets came along."""

    id: Id
    name: ConnectionName
    action: Literal["add", "replace"]
    secrets: list[FieldName] = []


class ImportedConnections(Contract):
    connections: list[ImportedConnection]
    skipped: list[ConnectionName] = []
