"""Counts uses, and stores the counts once in a while. The record has each use; these counts are for lists only.

So they may lag behind by a second and be lost with the process. Two rows less to write at each use of a secret.
"""

from __future__ import annotations

from datetime import datetime

from ...errors import StorageError
from ..ports import ConnectionStore, GrantStore, Transactions


class UseCounter:
    """The uses that are not stored yet. Whoever shows counts calls `store` before; so does the timer."""

    def __init__(
        self, *, grants: GrantStore, connections: ConnectionStore, transactions: Transactions
    ) -> None:
        self._grants = grants
        self._connections = connections
        self._transactions = transactions
        self._of_grants: dict[str, tuple[int, datetime]] = {}
        self._of_connections: dict[str, datetime] = {}

    def note(self, grant_id: str, connection_id: str, at: datetime) -> None:
        """One use."""
        uses, _ = self._of_grants.get(grant_id, (0, at))
        self._of_grants[grant_id] = (uses + 1, at)
        self._of_connections[connection_id] = at

    def store(self) -> None:
        """Writes what was counted. What can't be written (a full disk) is tried again the next time."""
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
