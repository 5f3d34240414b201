"""The SQLite stores do what every implementation must, with WAL and with the rollback journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.storage import conformance
from connvault_jupyter.storage.stores import Stores, open_stores


@pytest.fixture(params=[False, True], ids=["local", "network"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    database, opened = open_stores(
        data_dir=tmp_path / "connvault", network_file_system=lambda _: bool(request.param)
    )
    yield opened
    database.close()


class TestSqliteTransactions(conformance.TransactionsSuite):
    """Runs the suite."""


class TestSqliteVaultStore(conformance.VaultStoreSuite):
    """Runs the suite."""


class TestSqliteConnectionStore(conformance.ConnectionStoreSuite):
    """Runs the suite."""


class TestSqliteSecretStore(conformance.SecretStoreSuite):
    """Runs the suite."""


class TestSqliteGrantStore(conformance.GrantStoreSuite):
    """Runs the suite."""


class TestSqliteHandleStore(conformance.HandleStoreSuite):
    """Runs the suite."""


class TestSqliteAuditStore(conformance.AuditStoreSuite):
    """Runs the suite."""


class TestSqliteOpenQuestionStore(conformance.OpenQuestionStoreSuite):
    """Runs the suite."""
