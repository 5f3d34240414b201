"""Sealed secrets as opaque bytes. Nothing here seals, unseals or inspects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..contracts.contract import ConnectionId, SecretRef
from ..services.ports import SealedSecret
from .database import Database, Row
from .rows import instant, microseconds, read_all, read_one

_TABLE = "secrets"
_SELECT = "SELECT ref, connection_id, field, envelope, set_at FROM secrets"


class SqliteSecretStore:
    """Implements `services.ports.SecretStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def put(self, secret: SealedSecret) -> None:
        """Replaces the secret of the same connection and field. Raises: StorageError: there is no such connection."""
        self._database.change(
            "INSERT INTO secrets (connection_id, field, ref, envelope, set_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (connection_id, field)"
            " DO UPDATE SET ref = excluded.ref, envelope = excluded.envelope, set_at = excluded.set_at",
            (secret.connection_id, secret.field, secret.ref, secret.envelope, microseconds(secret.set_at)),
        )

    def get(self, connection_id: str, field: str) -> SealedSecret | None:
        """Raises: StorageError: the row can't be read."""
        row = self._database.one(f"{_SELECT} WHERE connection_id = ? AND field = ?", (connection_id, field))
        return read_one(_secret, row, _TABLE)

    def of(self, connection_id: str) -> Sequence[SealedSecret]:
        """By field. Unreadable rows are left out."""
        rows = self._database.many(f"{_SELECT} WHERE connection_id = ? ORDER BY field", (connection_id,))
        return read_all(_secret, rows, _TABLE)

    def all(self) -> Sequence[SealedSecret]:
        """By connection and field. Unreadable rows are left out."""
        return read_all(_secret, self._database.many(f"{_SELECT} ORDER BY connection_id, field"), _TABLE)

    def fields(self, connection_id: str | None = None) -> Mapping[str, frozenset[str]]:
        """By connection, the fields that have a secret; connections without any are left out."""
        if connection_id is not None:
            rows = self._database.many("SELECT field FROM secrets WHERE connection_id = ?", (connection_id,))
            return {connection_id: frozenset([field for (field,) in rows])} if rows else {}
        rows = self._database.many("SELECT connection_id, field FROM secrets")
        found: dict[str, set[str]] = {}
        for one, field in rows:
            found.setdefault(one, set()).add(field)
        return {one: frozenset(fields) for one, fields in found.items()}

    def remove(self, connection_id: str, field: str) -> bool:
        """Whether there was one."""
        return bool(
            self._database.change(
                "DELETE FROM secrets WHERE connection_id = ? AND field = ?", (connection_id, field)
            )
        )


def _secret(row: Row) -> SealedSecret:
    ref, connection_id, field, envelope, set_at = row
    if not (isinstance(ref, str) and isinstance(field, str) and isinstance(envelope, bytes)):
        raise TypeError("not a sealed secret")
    return SealedSecret(
        ref=SecretRef(ref),
        connection_id=ConnectionId(connection_id),
        field=field,
        envelope=envelope,
        set_at=instant(set_at),
    )
