"""What the services need from outside, as Protocols, and the records that cross these ports. No implementation.

Implementations: `storage` (sqlite3), `vault` (cryptography, keyring), `providers` (catalogue). Each port has a
conformance suite beside its implementations that third parties can subclass. Those of the vault are in vault_ports.py,
those of the relays in relay_ports.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import datetime
from typing import Any, Protocol

from ..contracts.access import Grant, Requester
from ..contracts.audit import AuditEvent, AuditFilter, AuditType
from ..contracts.connections import Connection, TestOutcome
from ..contracts.contract import ConnectionId, GrantId, SecretRef
from ..contracts.events import Event
from ..contracts.problem import FieldError
from ..contracts.providers import Mode, ProviderDefinition, SkippedProvider
from ..contracts.sealed import SealedText, SealingKey
from ..handle_ends import HandleEnd

Clock = Callable[[], datetime]
"""Aware UTC now."""

Publish = Callable[[Event], None]
"""Pushes an event to the operator; never blocks, never raises."""

Randomness = Callable[[int], bytes]
"""`os.urandom`, or a vector in a test."""


class Unsealer(Protocol):
    """Holder of the key to which pages seal requests."""

    def key(self) -> SealingKey:
        """The public part, as it is now."""

    def open(self, sealed: SealedText, operation: str) -> bytes:
        """What was sealed for this operation. The same text opens once.

        Raises: SealingKeyChanged: sealed to another key than the one of now.
            SealedRequestInvalid: for another operation, damaged, or opened before."""


class Transactions(Protocol):
    """The write lock over all stores of one database."""

    def transaction(self, *, durable: bool = True) -> AbstractContextManager[None]:
        """BEGIN IMMEDIATE to COMMIT; rolls back on an exception. Entered again inside, it joins the outer one.

        `durable`: synced to the disk before it returns; without it the sync is grouped (at most 1 s later).

        Raises: StorageFull, StorageBusy, StorageError.
        """

    def version(self) -> object:
        """Stays equal as long as nothing was changed, here or by another process, but the record and the counts of
        use. Read inside a transaction it holds for the whole of it."""

    def erasing(self) -> AbstractContextManager[None]:
        """Like `transaction`; what it replaces is overwritten on the disk, and the log of changes is emptied after the
        commit, as far as no other process reads it just then."""

    def escape(self) -> AbstractContextManager[None]:
        """Like `transaction`, for revoke, deny and lock: when the disk is full the reserve file is freed first."""


@dataclass(frozen=True)
class SealedSecret:
    ref: SecretRef
    connection_id: ConnectionId
    field: str
    envelope: bytes = attribute(repr=False)
    set_at: datetime


@dataclass(frozen=True)
class StoredConnection:
    connection: Connection
    mac: bytes | None = attribute(default=None, repr=False)
    """`None`: stored while the vault was locked or absent, or before connections carried MACs."""


class DocumentStore(Protocol):
    """Connections as they are stored: whoever could edit the rows may have. `connections.documents` judges them."""

    def add(self, connection: Connection, mac: bytes | None = None) -> None:
        """Raises: NameTaken (names are unique without regard to case)."""

    def get(self, connection_id: str) -> StoredConnection | None: ...

    def by_name(self, name: str) -> StoredConnection | None:
        """Exact, with regard to case."""

    def all(self) -> Sequence[StoredConnection]:
        """By name."""

    def update(self, connection: Connection, mac: bytes | None = None, *, expected_revision: int) -> None:
        """Raises: RevisionConflict, NameTaken, ConnectionNotFound."""

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        """With its secrets, grants, handles and last test. Raises: RevisionConflict, ConnectionNotFound."""

    def touch(self, connection_id: str, at: datetime) -> None:
        """Notes the last use."""

    def last_used(self) -> Mapping[str, datetime]: ...

    def save_test(self, connection_id: str, outcome: TestOutcome) -> None: ...

    def tests(self) -> Mapping[str, TestOutcome]: ...


class ConnectionStore(Protocol):
    """Connections as the services have them: one that is not the broker's own is never `ready`."""

    def add(self, connection: Connection) -> None:
        """Raises: NameTaken (names are unique without regard to case)."""

    def get(self, connection_id: str) -> Connection | None: ...

    def by_name(self, name: str) -> Connection | None:
        """Exact, with regard to case."""

    def all(self) -> Sequence[Connection]:
        """By name."""

    def update(self, connection: Connection, *, expected_revision: int) -> None:
        """Raises: RevisionConflict, NameTaken, ConnectionNotFound."""

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        """With its secrets, grants, handles and last test. Raises: RevisionConflict, ConnectionNotFound."""

    def touch(self, connection_id: str, at: datetime) -> None:
        """Notes the last use."""

    def last_used(self) -> Mapping[str, datetime]: ...

    def save_test(self, connection_id: str, outcome: TestOutcome) -> None: ...

    def tests(self) -> Mapping[str, TestOutcome]: ...


class SecretStore(Protocol):
    def put(self, secret: SealedSecret) -> None:
        """Replaces the one of the same connection and field."""

    def get(self, connection_id: str, field: str) -> SealedSecret | None: ...

    def of(self, connection_id: str) -> Sequence[SealedSecret]: ...

    def all(self) -> Sequence[SealedSecret]: ...

    def fields(self, connection_id: str | None = None) -> Mapping[str, frozenset[str]]:
        """By connection, which fields have one; those without any are missing."""

    def remove(self, connection_id: str, field: str) -> bool: ...


@dataclass(frozen=True)
class StoredGrant:
    grant: Grant
    mac: bytes = attribute(repr=False)
    uses: int = 0
    last_used_at: datetime | None = None


class GrantStore(Protocol):
    def add(self, grant: Grant, mac: bytes) -> None: ...

    def replace(self, grant: Grant, mac: bytes) -> bool:
        """Puts it in the place of the one of the same id, connection and requester, with its handles and counts;
        whether there was one."""

    def get(self, grant_id: str) -> StoredGrant | None: ...

    def all(self, connection_id: str | None = None) -> Sequence[StoredGrant]:
        """Oldest first."""

    def matching(self, connection_id: str, requester_key: str) -> Sequence[StoredGrant]: ...

    def note_use(self, grant_id: str, at: datetime, uses: int = 1) -> None:
        """Counts `uses`, the last of them at `at`; nothing if the grant is gone."""

    def remove(self, grant_id: str, why: HandleEnd = "revoked") -> bool:
        """With its handles, which have ended for this reason."""


@dataclass(frozen=True)
class Handle:
    """What is stored of a handle: never the ref itself, only its SHA-256. `grant_id` `None`: it can only
    ask to reveal.
    """

    ref_hash: bytes = attribute(repr=False)
    grant_id: GrantId | None
    connection_id: ConnectionId
    requester_instance: str
    mode: Mode
    created_at: datetime
    expires_at: datetime | None
    agent_hash: str | None = None
    """Of the agent claim, if there is no grant to say it; so is `agent_sealed`."""
    agent_sealed: str | None = None


@dataclass(frozen=True)
class EndedHandle:
    """What is known of a handle that is no longer there."""

    requester_instance: str
    why: HandleEnd


class HandleStore(Protocol):
    """Whatever removes a handle leaves an `EndedHandle`, `revoked` or `deleted` (with its connection) unless something
    else is said. Only the latest thousands are kept."""

    def add(self, handle: Handle) -> None: ...

    def of(self, requester_instance: str, connection_id: str) -> Sequence[Handle]:
        """This run's handles of this connection, oldest first."""

    def get(self, ref_hash: bytes) -> Handle | None: ...

    def ended(self, ref_hash: bytes) -> EndedHandle | None: ...

    def remove(self, ref_hash: bytes, why: HandleEnd = "released") -> bool: ...

    def instances(self) -> frozenset[str]:
        """Of all handles and of all grants bound to an instance."""

    def remove_instance(self, requester_instance: str) -> int:
        """All handles (`kernel_gone`) and instance-bound grants of a run that has ended."""


@dataclass(frozen=True)
class ChainLink:
    """A row of the record as it is stored. `mac` is `None` for a row that was written while the vault was locked."""

    event: AuditEvent
    body: bytes
    """The canonical JSON that `digest` covers."""
    previous: bytes
    digest: bytes
    mac: bytes | None
    generation: int | None = None
    """Whose keys made `mac`; `None` where there is none, and of the first."""


@dataclass(frozen=True)
class Position:
    """A place in the record: a row's sequence and digest; at first there is none."""

    sequence: int = 0
    digest: bytes = bytes(32)


@dataclass(frozen=True)
class Checkpoint:
    """Where pruning cut: the chain verifies from `digest` on. Its MAC is always by the keys of now."""

    sequence: int
    digest: bytes
    mac: bytes | None


class AuditStore(Protocol):
    """Append-only. `append` is called in a transaction in which `head` was read."""

    def head(self) -> tuple[int, bytes]:
        """(sequence, digest) of the last row; (0, 32 zero bytes) when there is none."""

    def append(self, link: ChainLink) -> None: ...

    def page(
        self,
        filters: AuditFilter,
        *,
        requester_key: str | None = None,
        connection: str | None = None,
        without: Collection[AuditType] = (),
    ) -> Sequence[AuditEvent]:
        """Newest first, `filters.limit` at most. `requester_key` limits to a requester's own rows; rows of the types in
        `without` count as if they were not there."""

    def chain(self, after: int, limit: int) -> Sequence[ChainLink]:
        """Oldest first."""

    def size_bytes(self) -> int: ...

    def checkpoint(self) -> Checkpoint | None: ...

    def prune(self, checkpoint: Checkpoint) -> int:
        """Drops the rows up to and with `checkpoint.sequence`; how many."""

    def replace_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Puts it in the place of the one that is there, which is of the same row."""

    def uses_by_day(self, connection_id: str, since: datetime) -> Mapping[str, int]:
        """`{"2026-11-24": 3}`: rows `access:used`, `access:checked` and `access:revealed`."""


@dataclass(frozen=True)
class OpenQuestion:
    """That a question was asked and not closed yet. `broker` tells which broker process asked (`pid:start time`)."""

    question_id: str
    broker: str
    event: AuditEvent


class OpenQuestionStore(Protocol):
    def add(self, question: OpenQuestion) -> None: ...

    def remove(self, question_id: str) -> bool: ...

    def all(self) -> Sequence[OpenQuestion]: ...


class ProviderRegistry(Protocol):
    def all(self) -> Sequence[ProviderDefinition]: ...

    def skipped(self) -> Sequence[SkippedProvider]: ...

    def get(self, provider_id: str) -> ProviderDefinition | None: ...

    def check(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> Sequence[FieldError]:
        """What the schema says of the fields (paths `fields.NAME`), secrets left out of `required`; also
        userinfo in URLs.
        """

    def missing_secrets(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], present: frozenset[str]
    ) -> frozenset[str]:
        """`writeOnly` fields that the schema requires for these fields (with `if/then`) and that are not `present`."""

    def complete(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with the schema's defaults filled in."""

    def destination(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> str:
        """The line that people see, whole, unseen characters spelt out; never a secret."""


class ConnectionCheck(Protocol):
    """Logs in once at a stored destination, in a process of its own, bounded in time."""

    def __call__(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> TestOutcome: ...


class RunningRequesters(Protocol):
    def instance_alive(self, instance: str) -> bool:
        """Whether this run (kernel or process) still exists."""

    def current(self, requester: Requester) -> Requester:
        """The requester as it is now (a notebook may have been renamed since it connected)."""

    def key_of_document(self, path: str) -> str:
        """The requester key of a notebook's path as the server writes it."""


class Wait(Protocol):
    """How the channel waits for a person: it also watches whether the asker is still there."""

    def __call__(self, settled: Future[None]) -> bool:
        """True once `settled` is done; False if the asker went away first."""


Lock = AbstractContextManager[Any]
"""The broker's one re-entrant lock. An operation that does not wait is called with it held; one that waits
(`Operation.waits`) or cuts (`Operation.cuts`) is called without, and takes it for each of its short parts."""
