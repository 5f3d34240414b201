"""What every implementation of a storage port must do, as suites to subclass. No implementation, no pytest.

    class TestMyConnectionStore(ConnectionStoreSuite):
        @pytest.fixture
        def stores(self, tmp_path):
            return ...  # connvault_jupyter.storage.stores.Stores, empty

Each method is one behaviour and takes `stores`, all ports over one set of transactions.
"""

from .audit import AuditStoreSuite
from .connections import ConnectionStoreSuite
from .grants import GrantStoreSuite, HandleStoreSuite
from .questions import OpenQuestionStoreSuite
from .secrets import SecretStoreSuite
from .transactions import TransactionsSuite
from .vault import VaultStoreSuite

__all__ = [
    "AuditStoreSuite",
    "ConnectionStoreSuite",
    "GrantStoreSuite",
    "HandleStoreSuite",
    "OpenQuestionStoreSuite",
    "SecretStoreSuite",
    "TransactionsSuite",
    "VaultStoreSuite",
]
