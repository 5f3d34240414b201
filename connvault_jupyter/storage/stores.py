"""Wires all stores of one database. The only module that opens the storage; no other logic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..services.ports import (
    AuditStore,
    DocumentStore,
    GrantStore,
    HandleStore,
    OpenQuestionStore,
    SecretStore,
    Transactions,
)
from ..services.vault_ports import VaultStore
from .audit import SqliteAuditStore
from .connections import SqliteConnectionStore
from .database import Database
from .file_systems import on_network_file_system
from .grants import SqliteGrantStore, SqliteHandleStore
from .opening import open_database
from .questions import SqliteOpenQuestionStore
from .secrets import SqliteSecretStore
from .vault import SqliteVaultStore


@dataclass(frozen=True)
class Stores:
    """Every storage port over one set of transactions."""

    transactions: Transactions
    vault: VaultStore
    connections: DocumentStore
    secrets: SecretStore
    grants: GrantStore
    handles: HandleStore
    audit: AuditStore
    questions: OpenQuestionStore


def stores_of(database: Database) -> Stores:
    """The stores of an open database."""
    return Stores(
        transactions=database,
        vault=SqliteVaultStore(database=database),
        connections=SqliteConnectionStore(database=database),
        secrets=SqliteSecretStore(database=database),
        grants=SqliteGrantStore(database=database),
        handles=SqliteHandleStore(database=database),
        audit=SqliteAuditStore(database=database),
        questions=SqliteOpenQuestionStore(database=database),
    )


def open_stores(
    *, data_dir: Path, network_file_system: Callable[[Path], bool] = on_network_file_system
) -> tuple[Database, Stores]:
    """Opens (or creates) the database in `data_dir`. The caller closes it, and flushes it while it is open.

    Raises: what `open_database` raises.
    """
    database = open_database(data_dir=data_dir, network_file_system=network_file_system)
    return database, stores_of(database)
