"""The storage of these tests keeps the promises of the real one: the same suites, nothing of its own."""

from __future__ import annotations

import pytest

from connvault_jupyter.storage.conformance import (
    AuditStoreSuite,
    ConnectionStoreSuite,
    GrantStoreSuite,
    HandleStoreSuite,
    OpenQuestionStoreSuite,
    SecretStoreSuite,
    TransactionsSuite,
    VaultStoreSuite,
)
from connvault_jupyter.storage.stores import Stores
from tests.support.services.memory_storage import memory_stores


@pytest.fixture
def stores() -> Stores:
    return memory_stores()[1]


class TestMemoryTransactions(TransactionsSuite):
    pass


class TestMemoryVaultStore(VaultStoreSuite):
    pass


class TestMemoryConnectionStore(ConnectionStoreSuite):
    pass


class TestMemorySecretStore(SecretStoreSuite):
    pass


class TestMemoryGrantStore(GrantStoreSuite):
    pass


class TestMemoryHandleStore(HandleStoreSuite):
    pass


class TestMemoryAuditStore(AuditStoreSuite):
    pass


class TestMemoryOpenQuestionStore(OpenQuestionStoreSuite):
    pass
