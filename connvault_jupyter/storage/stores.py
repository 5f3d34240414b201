"""Wires all stores of one database. The only module that opens the storage; no other logic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..contracts.supervision import ConnectionStoreKind
from ..errors import StorageError
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
from .json.connections_file import ConnectionsFile
from .json.opening import FILE_NAME, is_in_use, open_connections_file
from .json.stores import JsonConnectionStore, JsonSecretStore, JsonTransactions
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


def stores_of(database: Database, file: ConnectionsFile | None = None) -> Stores:
    """The stores of an open database. With a `file`, connections and secrets are in it."""
    return Stores(
        transactions=database if file is None else JsonTransactions(database=database, file=file),
        vault=SqliteVaultStore(database=database),
        connections=SqliteConnectionStore(database=database)
        if file is None
        else JsonConnectionStore(database=database, file=file),
        secrets=SqliteSecretStore(database=database) if file is None else JsonSecretStore(file=file),
        grants=SqliteGrantStore(database=database),
        handles=SqliteHandleStore(database=database),
        audit=SqliteAuditStore(database=database),
        questions=SqliteOpenQuestionStore(database=database),
    )


def open_stores(
    *,
    data_dir: Path,
    connection_store: ConnectionStoreKind = "sqlite",
    network_file_system: Callable[[Path], bool] = on_network_file_system,
) -> tuple[Database, Stores]:
    """Opens (or creates) the database in `data_dir`. The caller closes it, and flushes it while it is open.

    `connection_store`: where connections and secrets are. A vault that has some keeps to the store that they are in.

    Raises: what `open_database` and `open_connections_file` raise. StorageError: they are in the other store.
    """
    database = open_database(data_dir=data_dir, network_file_system=network_file_system)
    try:
        if connection_store == "json":
            return database, stores_of(database, open_connections_file(database, data_dir))
        if is_in_use(database):
            raise StorageError(
                f"The connections of this vault are in {data_dir / FILE_NAME}. Set "
                'ConnvaultExtension.connection_store to "json", or move them first.'
            )
    except BaseException:
        database.close()
        raise
    return database, stores_of(database)
