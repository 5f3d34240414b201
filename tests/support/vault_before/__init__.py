"""A vault as the version before left it: schema 1, locked, with what that version could have stored.

`connvault.sql` is its database as text, `refs.json` the refs of its handles by notebook; `generate.py` has made both.
Its connections: `warehouse` and `changed` (in the clear; `changed` leads to another database since its grant was
given), `shop` (brokered), `token` (plain text only), and the drafts `early-draft` (from before there was a key),
`draft`, `locked-draft` (saved while locked). Each grant is named after its notebook: `once`, `session`, `for`,
`always`, `relayed`, `agent-session`, `agent-always`, `agent-guess` (the claim was the secret, and is masked),
`changed`, `never`, `agent-never`. `open.ipynb` asked, and its broker died.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

PASSPHRASE = "correct horse battery staple"

_HERE = Path(__file__).parent


def restore(data_dir: Path) -> Path:
    """Puts the database into `data_dir`; its path."""
    return restored(_HERE, data_dir)


def restored(folder: Path, data_dir: Path) -> Path:
    """Puts the database that `folder` has as text into `data_dir`; its path."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / "connvault.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.executescript((folder / "connvault.sql").read_text(encoding="utf-8"))
    path.chmod(0o600)
    return path


def refs() -> dict[str, str]:
    """The handles' refs, by notebook."""
    found: dict[str, str] = json.loads((_HERE / "refs.json").read_text(encoding="utf-8"))
    return found
