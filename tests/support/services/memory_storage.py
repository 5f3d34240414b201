"""All storage ports in memory: honest transactions with rollback, and a disk that can be full. No SQL, no files.

It passes the same conformance suites as the real storage (tests/services/test_memory_storage.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connvault_jupyter.contracts.access import Grant
from connvault_jupyter.contracts.audit import AuditEvent, AuditFilter, AuditType
from connvault_jupyter.contracts.connections import Connection, TestOutcome
from connvault_jupyter.errors import (
    ConnectionNotFound,
    NameTaken,
    RevisionConflict,
    StorageError,
    StorageFull,
)
from connvault_jupyter.handle_end_reasons import HandleEnd
from connvault_jupyter.services.ports import (
    ChainLink,
    Checkpoint,
    EndedHandle,
    Handle,
    OpenQuestion,
    SealedSecret,
    StoredConnection,
    StoredGrant,
)
from connvault_jupyter.services.vault_ports import VaultRecord
from connvault_jupyter.storage.stores import Stores
from tests.support.services.memory_tables import MemoryStorage, Tables

_NOTHING_BEFORE = bytes(32)
_USES = frozenset({"access:used", "access:checked", "access:revealed"})


class _Store:
    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    @property
    def _tables(self) -> Tables:
        return self._storage.tables


class MemoryVaultStore(_Store):
    def load(self) -> VaultRecord | None:
        return self._tables.vault[0] if self._tables.vault else None

    def check(self) -> bytes | None:
        return self._tables.vault[0].check if self._tables.vault else None

    def create(self, record: VaultRecord) -> bool:
        with self._storage.writing() as tables:
            if tables.vault:
                return False
            tables.vault.append(record)
            return True

    def replace(self, record: VaultRecord) -> None:
        with self._storage.writing() as tables:
            if not tables.vault:
                raise StorageError
            tables.vault[:] = [record]


class MemoryConnectionStore(_Store):
    def add(self, connection: Connection, mac: bytes | None = None) -> None:
        with self._storage.writing() as tables:
            self._refuse_taken(connection)
            tables.connections[connection.id] = StoredConnection(connection, mac)

    def get(self, connection_id: str) -> StoredConnection | None:
        return self._tables.connections.get(connection_id)

    def by_name(self, name: str) -> StoredConnection | None:
        found = (
            one
            for one in self._tables.connections.values()
            if one.connection.name == name and not one.connection.place
        )
        return next(found, None)

    def all(self) -> Sequence[StoredConnection]:
        return sorted(
            self._tables.connections.values(),
            key=lambda one: (one.connection.name.lower(), one.connection.place),
        )

    def update(self, connection: Connection, mac: bytes | None = None, *, expected_revision: int) -> None:
        with self._storage.writing() as tables:
            self._check_revision(connection.id, expected_revision)
            self._refuse_taken(connection)
            tables.connections[connection.id] = StoredConnection(connection, mac)

    def remove(self, connection_id: str, *, expected_revision: int) -> None:
        with self._storage.writing() as tables:
            self._check_revision(connection_id, expected_revision)
            del tables.connections[connection_id]
            tables.last_used.pop(connection_id, None)
            tables.tests.pop(connection_id, None)
            for key in [key for key in tables.secrets if key[0] == connection_id]:
                del tables.secrets[key]
            for grant_id, stored in [*tables.grants.items()]:
                if stored.grant.connection_id == connection_id:
                    del tables.grants[grant_id]
            for ref_hash, handle in [*tables.handles.items()]:
                if handle.connection_id == connection_id:
                    tables.end(ref_hash, "deleted")

    def touch(self, connection_id: str, at: datetime) -> None:
        with self._storage.writing() as tables:
            if connection_id in tables.connections:
                tables.last_used[connection_id] = at

    def last_used(self) -> Mapping[str, datetime]:
        return dict(self._tables.last_used)

    def save_test(self, connection_id: str, outcome: TestOutcome) -> None:
        with self._storage.writing() as tables:
            if connection_id in tables.connections:
                tables.tests[connection_id] = outcome

    def tests(self) -> Mapping[str, TestOutcome]:
        return dict(self._tables.tests)

    def _check_revision(self, connection_id: str, expected: int) -> None:
        found = self._tables.connections.get(connection_id)
        if found is None:
            raise ConnectionNotFound
        if found.connection.revision != expected:
            raise RevisionConflict

    def _refuse_taken(self, connection: Connection) -> None:
        for other in (one.connection for one in self._tables.connections.values()):
            mine = (connection.name.lower(), connection.place)
            if other.id != connection.id and (other.name.lower(), other.place) == mine:
                raise NameTaken


class MemorySecretStore(_Store):
    def put(self, secret: SealedSecret) -> None:
        with self._storage.writing() as tables:
            if secret.connection_id not in tables.connections:
                raise StorageError
            tables.secrets[secret.connection_id, secret.field] = secret

    def get(self, connection_id: str, field: str) -> SealedSecret | None:
        return self._tables.secrets.get((connection_id, field))

    def of(self, connection_id: str) -> Sequence[SealedSecret]:
        return [self._tables.secrets[key] for key in sorted(self._tables.secrets) if key[0] == connection_id]

    def all(self) -> Sequence[SealedSecret]:
        return [self._tables.secrets[key] for key in sorted(self._tables.secrets)]

    def fields(self, connection_id: str | None = None) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for one, name in self._tables.secrets:
            if connection_id in (None, one):
                found[one] = found.get(one, frozenset()) | {name}
        return found

    def remove(self, connection_id: str, field: str) -> bool:
        with self._storage.writing() as tables:
            return tables.secrets.pop((connection_id, field), None) is not None


class MemoryGrantStore(_Store):
    def add(self, grant: Grant, mac: bytes) -> None:
        with self._storage.writing() as tables:
            if grant.connection_id not in tables.connections or grant.id in tables.grants:
                raise StorageError
            tables.grants[grant.id] = StoredGrant(grant=grant, mac=mac)

    def replace(self, grant: Grant, mac: bytes) -> bool:
        with self._storage.writing() as tables:
            stored = tables.grants.get(grant.id)
            if stored is None or any(
                getattr(stored.grant, name) != getattr(grant, name)
                for name in ("connection_id", "requester_key", "instance")
            ):
                return False
            tables.grants[grant.id] = replace(stored, grant=grant, mac=mac)
            return True

    def get(self, grant_id: str) -> StoredGrant | None:
        return self._tables.grants.get(grant_id)

    def all(self, connection_id: str | None = None) -> Sequence[StoredGrant]:
        return sorted(
            (
                stored
                for stored in self._tables.grants.values()
                if connection_id is None or stored.grant.connection_id == connection_id
            ),
            key=lambda stored: (stored.grant.created_at, stored.grant.id),
        )

    def matching(self, connection_id: str, requester_key: str) -> Sequence[StoredGrant]:
        return [one for one in self.all(connection_id) if one.grant.requester_key == requester_key]

    def note_use(self, grant_id: str, at: datetime, uses: int = 1) -> None:
        with self._storage.writing() as tables:
            stored = tables.grants.get(grant_id)
            if stored is not None:
                tables.grants[grant_id] = replace(stored, uses=stored.uses + uses, last_used_at=at)

    def remove(self, grant_id: str, why: HandleEnd = "revoked") -> bool:
        with self._storage.writing() as tables:
            for ref_hash, handle in [*tables.handles.items()]:
                if handle.grant_id == grant_id:
                    tables.end(ref_hash, why)
            return tables.grants.pop(grant_id, None) is not None


class MemoryHandleStore(_Store):
    def add(self, handle: Handle) -> None:
        with self._storage.writing() as tables:
            known = handle.grant_id is None or handle.grant_id in tables.grants
            if (
                handle.connection_id not in tables.connections
                or not known
                or handle.ref_hash in tables.handles
            ):
                raise StorageError
            tables.handles[handle.ref_hash] = handle

    def of(self, requester_instance: str, connection_id: str) -> Sequence[Handle]:
        found = [
            one
            for one in self._tables.handles.values()
            if (one.requester_instance, one.connection_id) == (requester_instance, connection_id)
        ]
        return sorted(found, key=lambda one: (one.created_at, one.ref_hash))

    def get(self, ref_hash: bytes) -> Handle | None:
        return self._tables.handles.get(ref_hash)

    def ended(self, ref_hash: bytes) -> EndedHandle | None:
        return self._tables.ended.get(ref_hash)

    def remove(self, ref_hash: bytes, why: HandleEnd = "released") -> bool:
        with self._storage.writing() as tables:
            found = ref_hash in tables.handles
            if found:
                tables.end(ref_hash, why)
            return found

    def instances(self) -> frozenset[str]:
        bound = {one.grant.instance for one in self._tables.grants.values() if one.grant.instance is not None}
        return frozenset(bound | {one.requester_instance for one in self._tables.handles.values()})

    def remove_instance(self, requester_instance: str) -> int:
        with self._storage.writing() as tables:
            handles = [
                key for key, one in tables.handles.items() if one.requester_instance == requester_instance
            ]
            for ref_hash in handles:
                tables.end(ref_hash, "kernel_gone")
            grants = [key for key, one in tables.grants.items() if one.grant.instance == requester_instance]
            for grant_id in grants:
                MemoryGrantStore(self._storage).remove(grant_id)
            return len(handles) + len(grants)


class MemoryAuditStore(_Store):
    def head(self) -> tuple[int, bytes]:
        if self._tables.audit:
            return self._tables.audit[-1].event.sequence, self._tables.audit[-1].digest
        found = self.checkpoint()
        return (0, _NOTHING_BEFORE) if found is None else (found.sequence, found.digest)

    def append(self, link: ChainLink) -> None:
        with self._storage.writing() as tables:
            if self._storage.record_full:
                raise StorageFull
            if any(link.event.sequence == other.event.sequence for other in tables.audit[-1:]):
                raise StorageError
            tables.audit.append(link)

    def page(
        self,
        filters: AuditFilter,
        *,
        requester_key: str | None = None,
        connection: str | None = None,
        without: Collection[AuditType] = (),
    ) -> Sequence[AuditEvent]:
        wanted: dict[str, Any] = {
            "connection_id": filters.connection_id,
            "type": filters.type,
            "requester_key": requester_key,
            "connection": connection,
        }
        found = [
            one.event
            for one in reversed(self._tables.audit)
            if (filters.before is None or one.event.sequence < filters.before)
            and one.event.type not in without
            and all(value is None or getattr(one.event, name) == value for name, value in wanted.items())
        ]
        return found[: filters.limit]

    def chain(self, after: int, limit: int) -> Sequence[ChainLink]:
        return [one for one in self._tables.audit if one.event.sequence > after][:limit]

    def span(self, since: datetime | None, until: datetime | None) -> tuple[int, int] | None:
        found = [
            one.event.sequence
            for one in self._tables.audit
            if (since is None or one.event.at >= since) and (until is None or one.event.at <= until)
        ]
        return (min(found), max(found)) if found else None

    def size_bytes(self) -> int:
        return sum(len(one.body) + 350 for one in self._tables.audit)

    def checkpoint(self) -> Checkpoint | None:
        return self._tables.checkpoint[0] if self._tables.checkpoint else None

    def prune(self, checkpoint: Checkpoint) -> int:
        with self._storage.writing() as tables:
            if all(one.event.sequence != checkpoint.sequence for one in tables.audit):
                raise StorageError
            kept = [one for one in tables.audit if one.event.sequence > checkpoint.sequence]
            dropped = len(tables.audit) - len(kept)
            tables.audit[:] = kept
            tables.checkpoint[:] = [checkpoint]
            return dropped

    def replace_checkpoint(self, checkpoint: Checkpoint) -> None:
        with self._storage.writing() as tables:
            if any(one.sequence == checkpoint.sequence for one in tables.checkpoint):
                tables.checkpoint[:] = [checkpoint]

    def uses_by_day(self, connection_id: str, since: datetime) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for one in self._tables.audit:
            event = one.event
            if event.connection_id == connection_id and event.type in _USES and event.at >= since:
                day = event.at.date().isoformat()
                found[day] = found.get(day, 0) + 1
        return found


class MemoryOpenQuestionStore(_Store):
    def add(self, question: OpenQuestion) -> None:
        with self._storage.writing() as tables:
            if question.question_id in tables.questions:
                raise StorageError
            tables.questions[question.question_id] = question

    def remove(self, question_id: str) -> bool:
        with self._storage.writing() as tables:
            return tables.questions.pop(question_id, None) is not None

    def all(self) -> Sequence[OpenQuestion]:
        return sorted(self._tables.questions.values(), key=lambda one: (one.event.at, one.question_id))


def memory_stores() -> tuple[MemoryStorage, Stores]:
    """An empty storage, and its stores."""
    storage = MemoryStorage()
    return storage, Stores(
        transactions=storage,
        vault=MemoryVaultStore(storage),
        connections=MemoryConnectionStore(storage),
        secrets=MemorySecretStore(storage),
        grants=MemoryGrantStore(storage),
        handles=MemoryHandleStore(storage),
        audit=MemoryAuditStore(storage),
        questions=MemoryOpenQuestionStore(storage),
    )
