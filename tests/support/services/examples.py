"""One acceptable body for each operation's request, from which tests make the wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connvault_jupyter.contracts.contract import Contract
from connvault_jupyter.contracts.operation import Operation

REF = "r" * 43
DIGEST = "d" * 64

_FIELDS = {"host": "db.example", "port": 5432, "database": "sales", "user": "report"}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Empty": {},
    "ConnectionRef": {"id": "c1"},
    "GrantRef": {"id": "g1"},
    "GrantFilter": {"connection_id": "c1"},
    "AuditFilter": {"before": 9, "limit": 5, "connection_id": "c1", "type": "access:used"},
    "ExportAudit": {
        "format": "csv",
        "first": 1,
        "last": 9,
        "since": "2026-11-24T12:00:00Z",
        "until": "2026-11-25T12:00:00+01:00",
        "connection_id": "c1",
        "after": 2,
    },
    "CompareAudit": {
        "events": [{"sequence": 1, "digest": DIGEST, "generation": 2, "mac": DIGEST}],
        "statements": [{"kind": "head", "text": "{}", "generation": 2, "mac": DIGEST}],
    },
    "StreamState": {
        "destination": "unix:/dev/log",
        "sent": 4,
        "failing_since": "2026-11-24T12:00:00+00:00",
        "lost": 1,
        "refused": 2,
    },
    "OwnAuditFilter": {"connection": "warehouse", "limit": 5},
    "CreateConnection": {
        "provider_id": "postgresql",
        "name": "warehouse",
        "display_name": "Warehouse",
        "scope": "workspace",
        "workspace": "shop",
        "fields": _FIELDS,
        "reveal_allowed": False,
        "secrets": {"password": {"value": "a-password"}},
    },
    "UpdateConnection": {
        "id": "c1",
        "revision": 1,
        "name": "warehouse",
        "display_name": "Warehouse",
        "fields": _FIELDS,
        "secrets": {"password": {"value": "a-password"}},
    },
    "DeleteConnection": {"id": "c1", "revision": 1},
    "SetSecret": {"id": "c1", "field": "password", "value": "a-password", "revision": 1},
    "DeleteSecret": {"id": "c1", "field": "password"},
    "ListWorkspaces": {"paths": ["shop/reports/a.ipynb"]},
    "AcceptBlock": {
        "workspace": {"root": "/home/ada/shop", "id": "Zt3h"},
        "digest": DIGEST,
        "secrets": {"password": {"value": "a-password"}},
    },
    "ProposalRef": {"id": "proposal-" + REF},
    "Propose": {"provider_id": "postgresql", "name": "warehouse", "fields": _FIELDS},
    "Decide": {"id": "q1", "decision": "for", "seconds": 600, "digest": DIGEST},
    "SetUpVault": {"custodian": "passphrase", "passphrase": "a long passphrase"},
    "UnlockVault": {"passphrase": "a long passphrase"},
    "ChangePassphrase": {"current": "a long passphrase", "new": "another passphrase"},
    "AddSlot": {
        "kind": "passphrase",
        "label": "spare",
        "passphrase": "another passphrase",
        "proof": {"passphrase": "a long passphrase"},
    },
    "RemoveSlot": {"id": "s1", "proof": {"passphrase": "a long passphrase"}},
    "RotateKeys": {"proof": {"slot": "s1", "key": "A" * 43 + "="}},
    "ExportConnections": {
        "passphrase": "the passphrase of the file",
        "ids": ["c1"],
        "with_secrets": True,
        "proof": {"passphrase": "a long passphrase"},
        "although_no_reveal": ["c1"],
    },
    "PreviewImport": {"file": "connvault-jupyter export 1\n", "passphrase": "the passphrase of the file"},
    "ImportConnections": {
        "file": "connvault-jupyter export 1\n",
        "passphrase": "the passphrase of the file",
        "decisions": [{"name": "warehouse", "action": "add", "as_name": "warehouse-2"}],
    },
    "KernelTable": {"kernels": []},
    "ApproverCount": {"count": 1},
    "DocumentsGone": {"paths": ["a.ipynb"]},
    "AccessRequest": {"connection": "warehouse", "reason": "report", "agent": "helper", "timeout_s": 1.5},
    "HandleUse": {"ref": REF},
    "OpenHandle": {"ref": REF, "tcp": True},
    "RevealRequest": {"ref": REF, "reason": "report", "timeout_s": 1.5},
    "RevokeOwn": {"connection": "warehouse"},
}

# No contract has a field of this form.
WRONG_TYPE: Any = [[{"deep": True}]]


def example(request: type[Contract]) -> dict[str, Any]:
    return dict(EXAMPLES[request.__name__])


def wrong_bodies(operation: Operation) -> Iterator[tuple[str, Any, str]]:
    """(what is wrong, the body, the path that the Problem must name), each wrong in one place."""
    good = example(operation.request)
    yield "extra", {**good, "unexpected": 1}, "unexpected"
    for name, field in operation.request.model_fields.items():
        if field.is_required():
            yield f"missing {name}", {key: value for key, value in good.items() if key != name}, name
        yield f"wrong type of {name}", {**good, name: WRONG_TYPE}, name
    for name, longest in _bounded(operation.request):
        yield f"{name} too long", {**good, name: "x" * (longest + 1)}, name
    yield "no object", [], ""
    yield "nothing", None, ""


def _bounded(request: type[Contract]) -> Iterator[tuple[str, int]]:
    for name, schema in request.model_json_schema().get("properties", {}).items():
        for option in (schema, *schema.get("anyOf", ())):
            if option.get("type") == "string" and "maxLength" in option:
                yield name, option["maxLength"]
