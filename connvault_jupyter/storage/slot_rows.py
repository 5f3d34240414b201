"""The key slots of a vault as text. Which are genuine is not decided here.

    {"slots": [{"created_at": microseconds, "id", "kind", "label", "mac", "parameters": {...}, "pin", "pinned",
                "public_key", "wrapped"}], "version": 1}

Binary values are Base64. Within a version, names may be added; a reader refuses a newer version.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ..contracts.vault import CustodianKind
from ..errors import SchemaTooNew
from ..services.secrets.slots import MAX_SLOTS
from ..services.vault_ports import Slot
from .rows import canonical_json, instant, microseconds

VERSION = 1

CUSTODIANS: Mapping[str, CustodianKind] = {kind: kind for kind in get_args(CustodianKind)}

# As contracts.contract.Id: slots are named in events.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_MAX_LABEL_CHARS = 60


def text_of(slots: Sequence[Slot]) -> str:
    """Raises: TypeError, ValueError: a custodian's parameters are no JSON."""
    return canonical_json({"slots": [_written(slot) for slot in slots], "version": VERSION})


def slots_of(text: Any) -> tuple[Slot, ...]:
    """Raises:
    SchemaTooNew: a newer version of the package wrote it.
    ValueError, TypeError, KeyError: it is something else.
    """
    parsed = json.loads(text)
    version = parsed["version"]
    if type(version) is not int or version < VERSION:
        raise ValueError("not key slots")
    if version > VERSION:
        raise SchemaTooNew(found=version, newest=VERSION)
    found = tuple(_read(slot) for slot in parsed["slots"])
    if len(found) > MAX_SLOTS or len({slot.id for slot in found}) != len(found):
        raise ValueError("not key slots")
    return found


def _written(slot: Slot) -> dict[str, Any]:
    return {
        "created_at": microseconds(slot.created_at),
        "id": slot.id,
        "kind": slot.kind,
        "label": slot.label,
        "mac": _text(slot.mac),
        "parameters": dict(slot.parameters),
        "pin": _text(slot.pin),
        "pinned": slot.pinned,
        "public_key": _text(slot.public_key),
        "wrapped": _text(slot.wrapped),
    }


def _read(value: Mapping[str, Any]) -> Slot:
    label, pinned, parameters = value["label"], value["pinned"], value["parameters"]
    if not _ID.fullmatch(value["id"]) or not isinstance(label, str) or not 0 < len(label) <= _MAX_LABEL_CHARS:
        raise ValueError("not a key slot")
    # Within what eight bytes can hold, as the MAC-ed texts have it.
    if type(pinned) is not int or not 0 <= pinned < 2**63 or not isinstance(parameters, dict):
        raise ValueError("not a key slot")
    return Slot(
        id=value["id"],
        kind=CUSTODIANS[value["kind"]],
        label=label,
        created_at=instant(value["created_at"]),
        public_key=_bytes(value["public_key"]),
        parameters=parameters,
        wrapped=_bytes(value["wrapped"]),
        mac=_bytes(value["mac"]),
        pinned=pinned,
        pin=_bytes(value["pin"]),
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value, validate=True)
