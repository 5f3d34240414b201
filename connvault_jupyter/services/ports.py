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
from ..handle_end_reasons import HandleEnd

Clock = Callable[[], datetime]
"""Aware UTC now."""

Publish = Callable[[Event], None]
"""Pushes an event to the operator; never blocks, never raises."""

Randomness = Callable[[int], bytes]
"""`os.urandom`, or a vector in a test."""


class Unsealer(Protocol):
    """Holder of the key to which pages seal requests."""

    def key(self) -> SealingKey:
        """The present public key."""

    def open(self, sealed: SealedText, operation: str) -> bytes:
        """Opens what was sealed for this operation. The same text can be opened only once.

        Raises: SealingKeyChanged: sealed to another key than the present one.
            SealedRequestInvalid: for another operation, damaged, or already opened."""


class Transactions(Protocol):
    """The write lock over all stores of one database."""

    def transaction(self, *, durable: bool = True) -> AbstractContextManager[None]:
        """BEGIN IMMEDIATE to COMMIT; rolls back on an exception. Entered again inside, it joins the outer one.

        `durable`: synced to the disk before it returns; without it the sync is grouped (at most 1 s later).

        Raises: StorageFull, StorageBusy, StorageError.
        """

    def version(self) -> object:
        """Stays equal as long as nothing but the activity log and the counts of uses was changed, here or by another
        process. Read inside a transaction, it is valid for all of it."""

    def erasing(self) -> AbstractContextManager[None]:
        """Like `transaction`; replaced data is overwritten on disk, and the write-ahead log is truncated after the
        commit, unless another process is reading it at that moment."""

    def escape(self) -> AbstractContextManager[None]:
        """Like `transaction`, for revoke, deny and lock: if the disk is full, the reserve file is freed first."""


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
    """Connections as they are stored; somebody may have edited the rows. `connections.documents` judges them.

    The place of a name is its workspace's root; all connections of the person's own are one more place.
    """

    def add(self, connection: Connection, mac: bytes | None = None) -> None:
        """Raises: NameTaken (names are unique within a place, without regard to case)."""

    def get(self, connection_id: str) -> StoredConnection | None: ...

    def by_name(self, name: str) -> StoredConnection | None:
        """The person's own of this name, with regard to case; never one of a workspace."""

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
    """Connections as the services use them: one that is not the broker's own is never `ready`."""

    def add(self, connection: Connection) -> None:
        """Raises: NameTaken (names are unique within a place, without regard to case)."""

    def get(self, connection_id: str) -> Connection | None: ...

    def by_name(self, name: str) -> Connection | None:
        """The person's own of this name, with regard to case; never one of a workspace."""

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
        """Replaces the secret of the same connection and field."""

    def get(self, connection_id: str, field: str) -> SealedSecret | None: ...

    def of(self, connection_id: str) -> Sequence[SealedSecret]: ...

    def all(self) -> Sequence[SealedSecret]: ...

    def fields(self, connection_id: str | None = None) -> Mapping[str, frozenset[str]]:
        """By connection, the fields that have a secret; connections without any are left out."""

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
        """Replaces the grant of the same id, connection and requester, which keeps its handles and counts; returns
        whether there was one."""

    def get(self, grant_id: str) -> StoredGrant | None: ...

    def all(self, connection_id: str | None = None) -> Sequence[StoredGrant]:
        """Oldest first."""

    def matching(self, connection_id: str, requester_key: str) -> Sequence[StoredGrant]: ...

    def note_use(self, grant_id: str, at: datetime, uses: int = 1) -> None:
        """Counts `uses`, the last of them at `at`; does nothing if the grant is gone."""

    def remove(self, grant_id: str, why: HandleEnd = "revoked") -> bool:
        """Removes it and its handles, which end for this reason."""


@dataclass(frozen=True)
class Handle:
    """A stored handle: never the ref itself, only its SHA-256. `grant_id` `None`: it can only ask to reveal."""

    ref_hash: bytes = attribute(repr=False)
    grant_id: GrantId | None
    connection_id: ConnectionId
    requester_instance: str
    mode: Mode
    created_at: datetime
    expires_at: datetime | None
    agent_hash: str | None = None
    """The mark of the agent claim, if there is no grant that has it; likewise `agent_sealed`."""
    agent_sealed: str | None = None


@dataclass(frozen=True)
class EndedHandle:
    """What is kept of a handle that has ended."""

    requester_instance: str
    why: HandleEnd


class HandleStore(Protocol):
    """Whatever removes a handle leaves an `EndedHandle`: `revoked`, or `deleted` with its connection, unless stated
    otherwise. Only the latest few thousand are kept."""

    def add(self, handle: Handle) -> None: ...

    def of(self, requester_instance: str, connection_id: str) -> Sequence[Handle]:
        """This run's handles of this connection, oldest first."""

    def get(self, ref_hash: bytes) -> Handle | None: ...

    def ended(self, ref_hash: bytes) -> EndedHandle | None: ...

    def remove(self, ref_hash: bytes, why: HandleEnd = "released") -> bool: ...

    def instances(self) -> frozenset[str]:
        """The instances of all handles and of all grants bound to one."""

    def remove_instance(self, requester_instance: str) -> int:
        """Removes all handles (`kernel_gone`) and instance-bound grants of a run that has ended."""


@dataclass(frozen=True)
class ChainLink:
    """An audit event as it is stored. `mac` is `None` if it was written while the vault was locked."""

    event: AuditEvent
    body: bytes
    """The canonical JSON that `digest` covers."""
    previous: bytes
    digest: bytes
    mac: bytes | None
    generation: int | None = None
    """The generation whose keys made `mac`; `None` if there is no MAC, and for the first generation."""


@dataclass(frozen=True)
class Position:
    """A position in the activity log: an event's sequence and digest; the default is the start."""

    sequence: int = 0
    digest: bytes = bytes(32)


@dataclass(frozen=True)
class Checkpoint:
    """Where the log was pruned: the chain verifies from `digest` on. Its MAC is always by the present keys."""

    sequence: int
    digest: bytes
    mac: bytes | None


class AuditStore(Protocol):
    """Append-only. `append` is called in a transaction in which `head` was read."""

    def head(self) -> tuple[int, bytes]:
        """(sequence, digest) of the last event; (0, 32 zero bytes) if there is none."""

    def append(self, link: ChainLink) -> None: ...

    def page(
        self,
        filters: AuditFilter,
        *,
        requester_key: str | None = None,
        connection: str | None = None,
        without: Collection[AuditType] = (),
    ) -> Sequence[AuditEvent]:
        """Newest first, at most `filters.limit`. `requester_key` limits it to a requester's own events; events of the
        types in `without` are skipped."""

    def chain(self, after: int, limit: int) -> Sequence[ChainLink]:
        """Oldest first."""

    def span(self, since: datetime | None, until: datetime | None) -> tuple[int, int] | None:
        """(first, last) sequence of the events from `since` to `until`, both included; `None`: there are none."""

    def size_bytes(self) -> int: ...

    def checkpoint(self) -> Checkpoint | None: ...

    def prune(self, checkpoint: Checkpoint) -> int:
        """Removes the events up to and including `checkpoint.sequence`; returns how many."""

    def replace_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replaces the present checkpoint, which is for the same event."""

    def uses_by_day(self, connection_id: str, since: datetime) -> Mapping[str, int]:
        """`{"2026-11-24": 3}`: counts `access:used`, `access:checked` and `access:revealed`."""


@dataclass(frozen=True)
class OpenQuestion:
    """A question that was asked and is not closed yet. `broker` names the broker process that asked (`pid:start
    time`)."""

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
        """Validates the fields against the schema (paths `fields.NAME`), ignoring secrets in `required`; also refuses
        userinfo in URLs.
        """

    def missing_secrets(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], present: frozenset[str]
    ) -> frozenset[str]:
        """`writeOnly` fields that the schema requires for these fields (with `if/then`) and that are not `present`."""

    def complete(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with the schema's defaults filled in."""

    def destination(self, provider: ProviderDefinition, fields: Mapping[str, Any]) -> str:
        """The line that people see, complete, with invisible characters spelt out; never a secret."""


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

    def folder_of(self, requester: Requester) -> str | None:
        """The absolute path of the folder of its notebook or script, as it is now; `None`: it has none, or several.
        Found out as the requester was, never told by it."""


class Wait(Protocol):
    """How the channel waits for a person: it also watches whether the requester is still connected."""

    def __call__(self, settled: Future[None]) -> bool:
        """True once `settled` is done; False if the requester disconnected first."""


Lock = AbstractContextManager[Any]
"""The broker's one re-entrant lock. An operation that does not wait is called with it held; one that waits
(`Operation.waits`) or cuts (`Operation.cuts`) is called without, and takes it for each of its short parts."""
