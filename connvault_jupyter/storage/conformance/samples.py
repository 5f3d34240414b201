"""Values to store, and how a suite says that something is refused. No assertion about a store."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any

from ...contracts.access import Grant
from ...contracts.audit import AuditEvent
from ...contracts.connections import Connection, TestOutcome, WorkspaceRef
from ...contracts.contract import ConnectionId, GrantId, SecretRef
from ...services.ports import ChainLink, Checkpoint, Handle, SealedSecret, StoredConnection
from ...services.vault_ports import Slot, VaultRecord
from ..stores import Stores

# Microseconds matter: MACs and digests cover instants.
NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=timezone.utc)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class refusing:  # noqa: N801 - it reads as a statement, like contextlib.suppress
    """A block that must raise `kind`. Raises: AssertionError: it did not."""

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if kind is None:
            raise AssertionError(f"{self._kind.__name__} was not raised")
        return issubclass(kind, self._kind)


def connection(identity: str = "c1", **changes: Any) -> Connection:
    values: dict[str, Any] = {
        "id": identity,
        "provider_id": "postgresql",
        "name": f"warehouse-{identity}",
        "display_name": "Warehouse \u2116 1",
        "fields": {"host": "db.example.org", "port": 5432, "ratio": 0.5, "tls": True, "ca": None},
        "status": "draft",
        "status_reason": "secret_missing",
        "created_at": NOON,
        "updated_at": later(1),
    }
    return Connection(**(values | changes))


def in_workspace(ref: WorkspaceRef | None) -> dict[str, Any]:
    """What makes a connection one of a workspace; `None`: one of the person's own."""
    return {} if ref is None else {"scope": "workspace", "workspace": ref}


def stored(identity: str = "c1", *, mac: bytes | None = None, **changes: Any) -> StoredConnection:
    return StoredConnection(connection(identity, **changes), mac)


def outcome(**changes: Any) -> TestOutcome:
    values: dict[str, Any] = {"ok": True, "at": NOON, "detail": "It works.", "elapsed_ms": 12}
    return TestOutcome(**(values | changes))


def secret(connection_id: str = "c1", field: str = "password", *, ref: str = "r1") -> SealedSecret:
    return SealedSecret(
        ref=SecretRef(ref),
        connection_id=ConnectionId(connection_id),
        field=field,
        envelope=b"\x01sealed\x00\xff" + ref.encode(),
        set_at=NOON,
    )


def grant(identity: str = "g1", **changes: Any) -> Grant:
    values: dict[str, Any] = {
        "id": identity,
        "connection_id": "c1",
        "requester_kind": "notebook",
        "requester_key": "/srv/first_steps.ipynb",
        "requester_label": "first_steps.ipynb",
        "instance": None,
        "agent": None,
        "mode": "in_clear",
        "decision": "always",
        "destination_digest": "0123456789abcdef" * 4,
        "created_at": NOON,
        "expires_at": None,
        "decided_by": "somebody",
    }
    return Grant(**(values | changes))


def handle(ref: bytes = b"ref", **changes: Any) -> Handle:
    values: dict[str, Any] = {
        "ref_hash": hashlib.sha256(ref).digest(),
        "grant_id": GrantId("g1"),
        "connection_id": ConnectionId("c1"),
        "requester_instance": "kernel-1:1000",
        "mode": "in_clear",
        "created_at": NOON,
        "expires_at": later(3600),
    }
    return Handle(**(values | changes))


def event(sequence: int = 1, **changes: Any) -> AuditEvent:
    values: dict[str, Any] = {"sequence": sequence, "at": later(sequence), "type": "access:used"}
    return AuditEvent(**(values | changes))


def link(
    of: AuditEvent, previous: bytes, *, mac: bytes | None = bytes(32), generation: int | None = 2
) -> ChainLink:
    body = of.model_dump_json(exclude_defaults=True).encode()
    digest = hashlib.sha256(previous + body).digest()
    return ChainLink(event=of, body=body, previous=previous, digest=digest, mac=mac, generation=generation)


def slot(identity: str = "s1", **changes: Any) -> Slot:
    values: dict[str, Any] = {
        "id": identity,
        "kind": "passphrase",
        "label": "Passphrase",
        "created_at": NOON,
        "public_key": bytes(range(64, 96)),
        "parameters": {"salt": "c2FsdA==", "cost": {"t": 3}},
        "wrapped": b"wrapped\x00\xff",
        "mac": b"mac",
        "pinned": 2,
        "pin": b"pin",
    }
    return Slot(**(values | changes))


def record(identity: str = "v1", **changes: Any) -> VaultRecord:
    values: dict[str, Any] = {
        "vault_id": identity,
        "slots": (slot(identity), slot("s2", kind="key_file", label="Backup \u2116 2")),
        "slots_mac": b"list",
        "check": bytes(range(32)),
        "created_at": NOON,
        "generation": 3,
        "salt": bytes(range(32, 64)),
        "older": {1: b"first", 2: b"second\x00\xff"},
    }
    return VaultRecord(**(values | changes))


def append(stores: Stores, **changes: Any) -> ChainLink:
    """One more row, as the audit does it: the head is read in the same transaction."""
    with stores.transactions.transaction(durable=False):
        sequence, digest = stores.audit.head()
        made = link(event(sequence + 1, **changes), digest)
        stores.audit.append(made)
    return made


def checkpoint_at(made: ChainLink) -> Checkpoint:
    return Checkpoint(sequence=made.event.sequence, digest=made.digest, mac=made.mac)
