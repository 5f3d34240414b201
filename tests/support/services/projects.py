"""A project's folder with its file, edited as a teammate, an editor or git edits it: from outside, without a broker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIELDS: dict[str, Any] = {
    "host": "db.example.org",
    "port": 5432,
    "database": "sales",
    "user": "report",
    "sslmode": "require",
}


class Project:
    """`root` is the folder that has `.connvault`. Blocks are as in the file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / ".connvault" / "connections.json"

    @property
    def blocks(self) -> dict[str, Any]:
        blocks: dict[str, Any] = json.loads(self.file.read_text())["connections"]
        return blocks

    def write(self, blocks: Mapping[str, Any]) -> None:
        """Replaces the file as git does: another one of the same name."""
        whole = {"connections": dict(blocks), "format": "connvault-workspace", "version": 1}
        self.text(json.dumps(whole, indent=2, sort_keys=True) + "\n")

    def text(self, text: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.root / "draft"
        draft.write_text(text)
        draft.replace(self.file)

    def put(self, identity: str = "Zt3h", **changes: Any) -> None:
        """Adds a block, or changes parts of it; a part that is `None` is taken out."""
        blocks = self.blocks if self.file.exists() else {}
        before = {
            "name": "warehouse",
            "display_name": "",
            "provider_id": "ledger",
            "fields": FIELDS,
            **blocks.get(identity, {}),
        }
        after = {name: value for name, value in {**before, **changes}.items() if value is not None}
        self.write({**blocks, identity: after})

    def field(self, identity: str = "Zt3h", **changes: Any) -> None:
        """Changes fields of a block."""
        self.put(identity, fields={**self.blocks[identity]["fields"], **changes})

    def take_out(self, identity: str = "Zt3h") -> None:
        self.write({one: block for one, block in self.blocks.items() if one != identity})
