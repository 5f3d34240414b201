"""The bytes that digests and MACs cover: one JSON text per value. No hashing and no keys here.

Evolution: `None` is left out, so a contract may gain a field whose default is `None` and every stored digest and MAC
stays right. A field with another default, or another spelling of a value, needs a new domain prefix where the bytes
are hashed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ..contracts.contract import Contract


def _spell(value: object) -> object:
    if isinstance(value, datetime):
        # Always UTC and always six digits: a row must yield the same bytes when read back, whatever the store did to
        # its offset.
        return value.astimezone(timezone.utc).isoformat(timespec="microseconds")
    if isinstance(value, Contract):
        return value.__dict__
    raise TypeError(type(value).__name__)


_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    # Hashed values are flat or nearly so, and this runs at each use of a secret.
    check_circular=False,
    default=_spell,
)


def canonical(value: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON with sorted keys, without spaces, times in UTC with microseconds."""
    return _ENCODER.encode({name: item for name, item in value.items() if item is not None}).encode()


def canonical_contract(contract: Contract) -> bytes:
    """`canonical` of a flat contract (one that holds no other contract)."""
    return canonical(contract.__dict__)
