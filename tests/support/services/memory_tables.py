"""Storage in memory: the tables, honest transactions with rollback, and a disk that can be full."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from connvault_jupyter.contracts.connections import TestOutcome
from connvault_jupyter.errors import StorageError, StorageFull
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


@dataclass
class Tables:
    """Everything that a rollback brings back. Rows are frozen, so copying the containers is enough."""

    vault: list[VaultRecord] = field(default_factory=list)
    connections: dict[str, StoredConnection] = field(default_factory=dict)
    last_used: dict[str, datetime] = field(default_factory=dict)
    tests: dict[str, TestOutcome] = field(default_factory=dict)
    secrets: dict[tuple[str, str], SealedSecret] = field(default_factory=dict)
    grants: dict[str, StoredGrant] = field(default_factory=dict)
    handles: dict[bytes, Handle] = field(default_factory=dict)
    ended: dict[bytes, EndedHandle] = field(default_factory=dict)
    audit: list[ChainLink] = field(default_factory=list)
    checkpoint: list[Checkpoint] = field(default_factory=list)
    questions: dict[str, OpenQuestion] = field(default_factory=dict)

    def end(self, ref_hash: bytes, why: HandleEnd) -> None:
        """A handle is removed, for this reason."""
        self.ended.setdefault(ref_hash, EndedHandle(self.handles.pop(ref_hash).requester_instance, why))

    def copied(self) -> Tables:
        return Tables(**{name: copy.copy(value) for name, value in self.__dict__.items()})


class MemoryStorage:
    """The transactions, and what the stores stand on. `durable_commits` counts those that would be synced.

    `full`: writing fails. `reserve`: inside `escape` there is room all the same.
    `record_full`: the record alone is full.
    """

    def __init__(self) -> None:
        self.tables = Tables()
        self.full = False
        self.reserve = True
        self.record_full = False
        self.durable_commits = 0
        self._depth = 0
        self._durable = False
        self._escaping = False
        self._spoilt = False

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        with self._block(durable=durable, escaping=False):
            yield

    @contextmanager
    def erasing(self) -> Iterator[None]:
        with self._block(durable=True, escaping=False):
            yield

    @contextmanager
    def escape(self) -> Iterator[None]:
        with self._block(durable=True, escaping=True):
            yield

    def version(self) -> object:
        """All that it covers, by value."""
        tables = self.tables
        grants = {name: (stored.grant, stored.mac) for name, stored in tables.grants.items()}
        return tables.vault[:], dict(tables.connections), dict(tables.secrets), grants, dict(tables.handles)

    @property
    def open(self) -> bool:
        """Whether a transaction is open."""
        return self._depth > 0

    @contextmanager
    def writing(self) -> Iterator[Tables]:
        """A statement that writes."""
        # A statement that fails spoils the whole transaction, as it does in SQLite.
        with self._block(durable=not self._depth, escaping=False):
            if self.full and not (self._escaping and self.reserve):
                raise StorageFull
            yield self.tables

    @contextmanager
    def _block(self, *, durable: bool, escaping: bool) -> Iterator[None]:
        if not self._depth:
            self._before = self.tables.copied()
            self._durable = self._escaping = self._spoilt = False
        self._durable |= durable
        self._escaping |= escaping
        self._depth += 1
        try:
            yield
        except BaseException:
            self._spoilt = True
            raise
        finally:
            self._depth -= 1
            if not self._depth and self._spoilt:
                self.tables = self._before
        if not self._depth:
            if self._spoilt:
                raise StorageError
            self.durable_commits += self._durable
