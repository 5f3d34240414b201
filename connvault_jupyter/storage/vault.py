"""The one row that describes the vault. No key: `parameters` are whatever the custodian wants kept."""

from __future__ import annotations

import json
from typing import get_args

from ..contracts.vault import CustodianKind
from ..services.ports import VaultRecord
from .database import Database, Row
from .rows import canonical_json, instant, microseconds, read_one

_CUSTODIANS = {kind: kind for kind in get_args(CustodianKind)}


class SqliteVaultStore:
    """Implements `services.ports.VaultStore`. `parameters` must be expressible in JSON."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def load(self) -> VaultRecord | None:
        """`None`: not set up. Raises: StorageError: the row can't be read."""
        row = self._database.one("SELECT vault_id, custodian, parameters, check_value, created_at FROM vault")
        return read_one(_record, row, "vault")

    def create(self, record: VaultRecord) -> bool:
        """False, and nothing stored, if there is a record already, readable or not."""
        return bool(
            self._database.change(
                "INSERT INTO vault (id, vault_id, custodian, parameters, check_value, created_at)"
                " VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                _columns(record),
            )
        )

    def replace(self, record: VaultRecord) -> None:
        """Stores the record in place of the present one, if there is any."""
        self._database.change(
            "INSERT OR REPLACE INTO vault (id, vault_id, custodian, parameters, check_value, created_at)"
            " VALUES (1, ?, ?, ?, ?, ?)",
            _columns(record),
        )


def _columns(record: VaultRecord) -> Row:
    return (
        record.vault_id,
        record.custodian,
        canonical_json(dict(record.parameters)),
        record.check,
        microseconds(record.created_at),
    )


def _record(row: Row) -> VaultRecord:
    vault_id, custodian, parameters, check, created_at = row
    if custodian not in _CUSTODIANS or not isinstance(vault_id, str) or not isinstance(check, bytes):
        raise ValueError("not a vault")
    parsed = json.loads(parameters)
    if not isinstance(parsed, dict):
        raise TypeError("not a vault")
    return VaultRecord(
        vault_id=vault_id,
        custodian=_CUSTODIANS[custodian],
        parameters=parsed,
        check=check,
        created_at=instant(created_at),
    )
