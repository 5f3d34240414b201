"""Grants and their handles. Whether a grant is valid (its MAC, its end) is not decided here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal, get_args

from ..contracts.access import Grant
from ..contracts.contract import ConnectionId, GrantId
from ..contracts.providers import Mode
from ..handle_end_reasons import WORDS, HandleEnd
from ..services.ports import EndedHandle, Handle, StoredGrant
from .database import Database, Row
from .rows import (
    agree,
    canonical,
    instant,
    instant_or_none,
    microseconds,
    microseconds_or_none,
    read_all,
    read_one,
)

_GRANT = "SELECT id, connection_id, requester_key, instance, document, mac, uses, last_used_at FROM grants"
_HANDLE = (
    "SELECT ref_hash, grant_id, connection_id, requester_instance, mode, created_at, expires_at, agent_hash,"
    " agent_sealed FROM handles"
)
_NOTE_END = (
    "INSERT OR IGNORE INTO ended_handles (ref_hash, requester_instance, reason)"
    " SELECT ref_hash, requester_instance, ? FROM handles"
)
_OLDEST_FIRST = "ORDER BY created_at, id"
_MODES = frozenset(get_args(Mode))


class SqliteGrantStore:
    """Implements `services.ports.GrantStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def add(self, grant: Grant, mac: bytes) -> None:
        """Raises: StorageError: there is no such connection, or the id already exists."""
        self._database.change(
            "INSERT INTO grants (id, connection_id, requester_key, instance, created_at, document, mac)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                grant.id,
                grant.connection_id,
                grant.requester_key,
                grant.instance,
                microseconds(grant.created_at),
                canonical(grant),
                mac,
            ),
        )

    def replace(self, grant: Grant, mac: bytes) -> bool:
        """Returns whether there was one of this id, connection, requester and run."""
        return bool(
            self._database.change(
                "UPDATE grants SET document = ?, mac = ?"
                " WHERE id = ? AND connection_id = ? AND requester_key = ? AND instance IS ?",
                (
                    canonical(grant),
                    mac,
                    grant.id,
                    grant.connection_id,
                    grant.requester_key,
                    grant.instance,
                ),
            )
        )

    def get(self, grant_id: str) -> StoredGrant | None:
        """Raises: StorageError: the row can't be read."""
        return read_one(_grant, self._database.one(f"{_GRANT} WHERE id = ?", (grant_id,)), "grants")

    def all(self, connection_id: str | None = None) -> Sequence[StoredGrant]:
        """Oldest first; of all connections for `None`. Unreadable rows are left out."""
        if connection_id is None:
            rows = self._database.many(f"{_GRANT} {_OLDEST_FIRST}")
        else:
            rows = self._database.many(f"{_GRANT} WHERE connection_id = ? {_OLDEST_FIRST}", (connection_id,))
        return read_all(_grant, rows, "grants")

    def matching(self, connection_id: str, requester_key: str) -> Sequence[StoredGrant]:
        """Oldest first. Unreadable rows are left out."""
        rows = self._database.many(
            f"{_GRANT} WHERE connection_id = ? AND requester_key = ? {_OLDEST_FIRST}",
            (connection_id, requester_key),
        )
        return read_all(_grant, rows, "grants")

    def note_use(self, grant_id: str, at: datetime, uses: int = 1) -> None:
        """Counts `uses`, the last of them at `at`; does nothing if the grant is gone."""
        self._database.change(
            "UPDATE grants SET uses = uses + ?, last_used_at = ? WHERE id = ?",
            (uses, microseconds(at), grant_id),
            telling=False,
        )

    def remove(self, grant_id: str, why: HandleEnd = "revoked") -> bool:
        """Removes it and its handles, which end for this reason; returns whether there was one."""
        with self._database.transaction(durable=False):
            _note_end(self._database, "grant_id", grant_id, why)
            return bool(self._database.change("DELETE FROM grants WHERE id = ?", (grant_id,)))


class SqliteHandleStore:
    """Implements `services.ports.HandleStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def add(self, handle: Handle) -> None:
        """Raises: StorageError: connection or grant are gone, or the ref already exists."""
        self._database.change(
            "INSERT INTO handles (ref_hash, grant_id, connection_id, requester_instance, mode, created_at, expires_at,"
            " agent_hash, agent_sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                handle.ref_hash,
                handle.grant_id,
                handle.connection_id,
                handle.requester_instance,
                handle.mode,
                microseconds(handle.created_at),
                microseconds_or_none(handle.expires_at),
                handle.agent_hash,
                handle.agent_sealed,
            ),
        )

    def of(self, requester_instance: str, connection_id: str) -> Sequence[Handle]:
        """Oldest first. Unreadable rows are left out."""
        rows = self._database.many(
            f"{_HANDLE} WHERE requester_instance = ? AND connection_id = ? ORDER BY created_at, ref_hash",
            (requester_instance, connection_id),
        )
        return read_all(_handle, rows, "handles")

    def get(self, ref_hash: bytes) -> Handle | None:
        """Raises: StorageError: the row can't be read."""
        return read_one(_handle, self._database.one(f"{_HANDLE} WHERE ref_hash = ?", (ref_hash,)), "handles")

    def ended(self, ref_hash: bytes) -> EndedHandle | None:
        """Raises: StorageError: the row can't be read."""
        row = self._database.one(
            "SELECT requester_instance, reason FROM ended_handles WHERE ref_hash = ?", (ref_hash,)
        )
        return read_one(_ended, row, "ended_handles")

    def remove(self, ref_hash: bytes, why: HandleEnd = "released") -> bool:
        """Whether there was one."""
        with self._database.transaction(durable=False):
            _note_end(self._database, "ref_hash", ref_hash, why)
            return bool(self._database.change("DELETE FROM handles WHERE ref_hash = ?", (ref_hash,)))

    def instances(self) -> frozenset[str]:
        """The instances of all handles and of all grants bound to one."""
        rows = self._database.many(
            "SELECT requester_instance FROM handles UNION SELECT instance FROM grants WHERE instance IS NOT NULL"
        )
        return frozenset(row[0] for row in rows)

    def remove_instance(self, requester_instance: str) -> int:
        """Removes all handles and instance-bound grants of a run that has ended; returns how many of both."""
        with self._database.transaction():
            _note_end(self._database, "requester_instance", requester_instance, "kernel_gone")
            handles = self._database.change(
                "DELETE FROM handles WHERE requester_instance = ?", (requester_instance,)
            )
            grants = self._database.change("DELETE FROM grants WHERE instance = ?", (requester_instance,))
        return handles + grants


def _note_end(
    database: Database,
    column: Literal["ref_hash", "grant_id", "requester_instance"],
    value: object,
    why: HandleEnd,
) -> None:
    """Before the rows are removed, as the trigger can only assume the default reason; that one is left to it."""
    if why != "revoked":
        database.change(f"{_NOTE_END} WHERE {column} = ?", (why, value))


# Cached by content, so it can't be stale, whoever wrote the row. A grant is read at each use of a secret, 8 us faster
# if cached. As many as a busy server has at a time.
@lru_cache(maxsize=512)
def _parsed(document: str) -> Grant:
    return Grant.model_validate_json(document)


def _grant(row: Row) -> StoredGrant:
    grant_id, connection_id, requester_key, bound_to, document, mac, uses, last_used_at = row
    grant = _parsed(document)
    agree(
        (grant_id, grant.id),
        (connection_id, grant.connection_id),
        (requester_key, grant.requester_key),
        (bound_to, grant.instance),
    )
    if not isinstance(mac, bytes) or not isinstance(uses, int):
        raise TypeError("not a grant")
    return StoredGrant(grant=grant, mac=mac, uses=uses, last_used_at=instant_or_none(last_used_at))


def _handle(row: Row) -> Handle:
    ref_hash, grant_id, connection_id, requester_instance, mode, created_at, expires_at, mark, sealed = row
    if mode not in _MODES or not isinstance(requester_instance, str):
        raise ValueError("not a handle")
    if not isinstance(mark, str | None) or not isinstance(sealed, str | None):
        raise ValueError("not a handle")
    return Handle(
        ref_hash=ref_hash,
        grant_id=None if grant_id is None else GrantId(grant_id),
        connection_id=ConnectionId(connection_id),
        requester_instance=requester_instance,
        mode=mode,
        created_at=instant(created_at),
        expires_at=instant_or_none(expires_at),
        agent_hash=mark,
        agent_sealed=sealed,
    )


def _ended(row: Row) -> EndedHandle:
    instance, reason = row
    if not isinstance(instance, str) or reason not in WORDS:
        raise ValueError("not the end of a handle")
    return EndedHandle(instance, reason)
