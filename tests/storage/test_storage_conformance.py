"""The stores do what every implementation must: on SQLite and with the JSON file, with WAL and the rollback journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.storage import conformance
from connvault_jupyter.storage.stores import Stores, open_stores


@pytest.fixture(params=["local", "network"])
def network(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "network")


@pytest.fixture(params=get_args(ConnectionStoreKind))
def stores(request: pytest.FixtureRequest, network: bool, tmp_path: Path) -> Iterator[Stores]:
    database, opened = open_stores(
        data_dir=tmp_path / "connvault",
        connection_store=request.param,
        network_file_system=lambda _: network,
    )
    yield opened
    database.close()


class TestTransactions(conformance.TransactionsSuite):
    """Runs the suite."""


class TestVaultStore(conformance.VaultStoreSuite):
    """Runs the suite."""


class TestConnectionStore(conformance.ConnectionStoreSuite):
    """Runs the suite."""


class TestSecretStore(conformance.SecretStoreSuite):
    """Runs the suite."""


class TestGrantStore(conformance.GrantStoreSuite):
    """Runs the suite."""


class TestHandleStore(conformance.HandleStoreSuite):
    """Runs the suite."""


class TestAuditStore(conformance.AuditStoreSuite):
    """Runs the suite."""


class TestOpenQuestionStore(conformance.OpenQuestionStoreSuite):
    """Runs the suite."""
