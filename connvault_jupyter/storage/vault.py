"""The row that describes the vault. It contains no key. Its slots as text are made by `slot_rows`."""

from __future__ import annotations

import base64
import json

from ..services.vault_ports import HeldByOne, VaultRecord
from .database import Database, Row
from .rows import canonical_json, instant, microseconds, read_one
from .slot_rows import CUSTODIANS, slots_of, text_of

_COLUMNS = (
    "vault_id, custodian, parameters, check_value, created_at, generation, salt, older, slots, slots_mac"
)


class SqliteVaultStore:
    """Implements `services.vault_ports.VaultStore`. The parameters of custodians must be JSON values."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def load(self) -> VaultRecord | None:
        """`None`: not set up. Raises: StorageError: the row can't be read. SchemaTooNew: a newer version wrote its
        slots."""
        row = self._database.one(f"SELECT {_COLUMNS} FROM vault")  # noqa: S608 - the constant above
        return read_one(_record, row, "vault")

    def check(self) -> bytes | None:
        """`None`: not set up."""
        row = self._database.one("SELECT check_value FROM vault")
        # Anything else can't match any keys.
        return None if row is None else row[0] if isinstance(row[0], bytes) else b""

    def create(self, record: VaultRecord) -> bool:
        """False, storing nothing, if there is already a record, readable or not."""
        return bool(
            self._database.change(
                f"INSERT INTO vault (id, {_COLUMNS})"  # noqa: S608 - the constant above
                " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                _columns(record),
            )
        )

    def replace(self, record: VaultRecord) -> None:
        """Replaces the present record, if there is one."""
        self._database.change(
            f"UPDATE vault SET ({_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = 1",  # noqa: S608 - the constant above
            _columns(record),
        )


def _columns(record: VaultRecord) -> Row:
    held = record.before_slots
    return (
        record.vault_id,
        "" if held is None else held.kind,
        canonical_json({} if held is None else dict(held.parameters)),
        record.check,
        microseconds(record.created_at),
        record.generation,
        record.salt,
        canonical_json(
            {str(generation): base64.b64encode(kept).decode() for generation, kept in record.older.items()}
        ),
        text_of(record.slots),
        record.slots_mac,
    )


def _record(row: Row) -> VaultRecord:
    vault_id, custodian, parameters, check, created_at, generation, salt, older, slots, slots_mac = row
    if not isinstance(vault_id, str) or not isinstance(check, bytes) or not isinstance(slots_mac, bytes):
        raise ValueError("not a vault")
    if type(generation) is not int or generation < 1 or not isinstance(salt, bytes):
        raise ValueError("not a vault")
    parsed, kept = json.loads(parameters), json.loads(older)
    if not isinstance(parsed, dict) or not isinstance(kept, dict):
        raise TypeError("not a vault")
    # Either a custodian of its own, or slots: a row with both or neither was edited.
    found = slots_of(slots)
    if bool(custodian) == bool(found) or (custodian and custodian not in CUSTODIANS):
        raise ValueError("not a vault")
    return VaultRecord(
        vault_id=vault_id,
        slots=found,
        slots_mac=slots_mac,
        before_slots=HeldByOne(CUSTODIANS[custodian], parsed) if custodian else None,
        check=check,
        created_at=instant(created_at),
        generation=generation,
        salt=salt,
        older={int(number): base64.b64decode(value, validate=True) for number, value in kept.items()},
    )
