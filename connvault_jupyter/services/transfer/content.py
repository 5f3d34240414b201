"""What is encrypted in a file of exported connections: JSON of `contracts.transfer.TransferredConnections`, in UTF-8,
with the secrets as they are. The file around it: vault/export_file.py. No rules here.

Evolution: the contract is closed, so another field needs another version of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import datetime
from typing import Any

from ...contracts.connections import Connection
from ...contracts.transfer import TransferredConnections, WithoutSecrets
from ...errors import ExportFileInvalid

_UNKNOWN = (
    "What is in this file is not what this version of connvault-jupyter exports. Export it again with the same version "
    "as here."
)


@dataclass(frozen=True)
class Exported:
    """A connection on its way into a file."""

    connection: Connection
    secrets: Mapping[str, str] = attribute(default_factory=dict, repr=False)
    without_secrets: WithoutSecrets | None = None


def encoded(made_at: datetime, exported: Sequence[Exported]) -> bytes:
    """Status, revision, times and ids stay here: whoever imports finds out or makes their own."""
    return json.dumps(
        {"made_at": made_at.isoformat(), "connections": [_encoded(one) for one in exported]},
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    ).encode("utf-8", "surrogatepass")


def decoded(content: bytes) -> TransferredConnections:
    """Raises: ExportFileInvalid: it is none, or names two connections alike."""
    found = None
    # pydantic's error too. Raised outside the handler: the cause could hold a secret.
    with suppress(ValueError):
        found = TransferredConnections.model_validate_json(content)
    if found is None or len({one.name.lower() for one in found.connections}) < len(found.connections):
        raise ExportFileInvalid(_UNKNOWN, reason="newer")
    return found


def _encoded(one: Exported) -> dict[str, Any]:
    connection = one.connection
    return {
        "provider_id": connection.provider_id,
        "name": connection.name,
        "display_name": connection.display_name,
        "fields": dict(connection.fields),
        "reveal_allowed": connection.reveal_allowed,
        "secrets": {field: {"value": value} for field, value in one.secrets.items()},
        "without_secrets": one.without_secrets,
    }
