"""What of an event is sent: all but what code says about itself, and what compares it with the log later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

# Claims, also in the plain form of earlier versions. Sealed ones too: whoever has the stream may one day have the keys.
_LEFT_OUT = frozenset({"agent", "reason_claim", "agent_sealed", "reason_sealed", "claims_hidden"})

Severity = Literal["info", "notice", "warning"]

# Of a message of the stream itself, not of an event: the log is not the one that was sent so far.
REPLACED = "activity_stream:log_replaced"

_OUTCOMES: dict[str, Severity] = {"refused": "notice", "failed": "warning"}
_ALARMS = frozenset({"access:masked", REPLACED})


def message(record: Mapping[str, Any], vault_id: str | None) -> dict[str, Any]:
    """The message of an exported event (a line of `services.audit.exported`)."""
    event = {name: value for name, value in record["event"].items() if name not in _LEFT_OUT}
    seal = {name: record[name] for name in ("digest", "generation", "mac") if name in record}
    return {**event, **seal, **({} if vault_id is None else {"vault_id": vault_id})}


def severity(message: Mapping[str, Any]) -> Severity:
    if message["type"] in _ALARMS:
        return "warning"
    return _OUTCOMES.get(str(message.get("outcome")), "info")
