"""A vault of the last version without key slots: schema 5, locked, its master key under a passphrase.

`../vault_before/generate.py` has made it, run with the code of that version. What it contains is described in
`tests/support/vault_before`, whose passphrase it has too.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.vault_before import PASSPHRASE, restored

__all__ = ["PASSPHRASE", "refs", "restore"]

_HERE = Path(__file__).parent


def restore(data_dir: Path) -> Path:
    """Puts the database into `data_dir`; its path."""
    return restored(_HERE, data_dir)


def refs() -> dict[str, str]:
    """The handles' refs, by notebook."""
    found: dict[str, str] = json.loads((_HERE / "refs.json").read_text(encoding="utf-8"))
    return found
