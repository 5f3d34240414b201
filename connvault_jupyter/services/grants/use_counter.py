"""Counts uses and stores the counts once in a while. The activity log has each use; these counts are only for lists.

So they may lag by a second and be lost with the process. This saves two writes at each use of a secret.
"""

from __future__ import annotations

from datetime import datetime

from ...errors import StorageError
from ..ports import ConnectionStore, GrantStore, Transactions


class UseCounter:
    """Uses that are not stored yet. Call `store` before showing counts; a timer calls it too."""

    def __init__(
        self, *, grants: GrantStore, connections: ConnectionStore, transactions: Transactions
    ) -> None:
        self._grants = grants
        self._connections = connections
        self._transactions = transactions
        self._of_grants: dict[str, tuple[int, datetime]] = {}
        self._of_connections: dict[str, datetime] = {}

    def note(self, grant_id: str, connection_id: str, at: datetime) -> None:
        """Counts one use."""
        uses, _ = self._of_grants.get(grant_id, (0, at))
        self._of_grants[grant_id] = (uses + 1, at)
        self._of_connections[connection_id] = at

    def store(self) -> None:
        """Writes the counts. What can't be written (a full disk) is tried again next time."""
        if not self._of_grants:
            return
        try:
            with self._transactions.transaction(durable=False):
                for grant_id, (uses, at) in self._of_grants.items():
                    self._grants.note_use(grant_id, at, uses)
                for connection_id, at in self._of_connections.items():
                    self._connections.touch(connection_id, at)
        except StorageError:
            return
        self._of_grants.clear()
        self._of_connections.clear()
