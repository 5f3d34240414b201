"""A kind of connection that is given in the clear: the built-in ones are brokered. `ledger` has PostgreSQL's fields."""

from __future__ import annotations

from pathlib import Path

# As on the Jupyter data path: `<folder>/*.json`.
PROVIDERS = Path(__file__).parent / "providers"

IN_CLEAR = "ledger"
