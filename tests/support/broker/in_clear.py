"""Kinds of connections that are given in the clear: the built-in ones are brokered. Data alone, below `share/`."""

from __future__ import annotations

from pathlib import Path

_SHARE = Path(__file__).parents[1] / "share"

# For a broker's or a catalogue's folders.
PROVIDERS = _SHARE / "connvault" / "providers"

# For a Jupyter Server's environment.
WITH_PROVIDERS = {"JUPYTER_PATH": str(_SHARE)}

# Has PostgreSQL's fields and one secret, `password`.
IN_CLEAR = "ledger"

# Has `base_url`, the secret `token`, and one that nobody needs, `password`.
IN_CLEAR_API = "feed"
