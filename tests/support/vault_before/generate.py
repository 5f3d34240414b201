"""Makes the files beside it. Run with the code of the version before, from the root of its checkout:

    PYTHONPATH=. python path/to/generate.py path/to/vault_before

It uses nothing that is not in that version.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from connvault_jupyter.contracts.access import DecisionKind
from connvault_jupyter.contracts.connections import UpdateConnection
from connvault_jupyter.contracts.vault import SetUpVault
from connvault_jupyter.errors import AccessDenied
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from tests.support.canary import CANARY
from tests.support.services.service_world import POSTGRES, World, notebook, unasked

PASSPHRASE = "correct horse battery staple"


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database, stores = open_stores(data_dir=Path(folder))
        world = World(
            storage=(None, stores),  # type: ignore[arg-type]
            custodians={"passphrase": PassphraseCustodian()},
            publish=lambda _: None,
            unlocked=False,
            broker="4711:1000",
        )
        # Before there is a key: a draft that nobody could have authenticated.
        world.connection("early-draft", secrets={})
        world.secrets.set_up(
            SetUpVault.model_validate({"custodian": "passphrase", "passphrase": PASSPHRASE}), actor="ada"
        )
        refs = fill(world)
        world.secrets.lock(actor="ada")
        world.connection("locked-draft", secrets={})
        database.close()
        with closing(sqlite3.connect(Path(folder) / "connvault.db")) as opened:
            (version,) = opened.execute("PRAGMA user_version").fetchone()
            lines = [*opened.iterdump(), f"PRAGMA user_version = {version};"]
    (target / "connvault.sql").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (target / "refs.json").write_text(json.dumps(refs, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def fill(world: World) -> dict[str, str]:
    """The handle refs that were given, by notebook."""
    refs: dict[str, str] = {}

    world.connection("warehouse")
    world.connection("shop", provider="postgresql")
    world.connection("token", provider="secret", fields={}, secrets={"value": CANARY})
    changed = world.connection("changed")
    world.connection("draft", secrets={})

    def ask(decision: DecisionKind, path: str, name: str = "warehouse", **claims: Any) -> None:
        handle = world.request(notebook(path), world.answer(decision), name, **claims)
        refs[path] = handle.ref
        if handle.mode == "in_clear":
            world.deliver(notebook(path), handle.ref)

    ask("once", "once.ipynb", reason="a first look")
    ask("session", "session.ipynb")
    ask("for", "for.ipynb")
    ask("always", "always.ipynb", reason="monthly report")
    ask("always", "relayed.ipynb", "shop")
    ask("session", "agent-session.ipynb", agent="helper")
    ask("always", "agent-always.ipynb", agent="helper", reason="nightly load")
    # Its claim is the secret itself, so what is stored of it has been masked.
    ask("always", "agent-guess.ipynb", agent=CANARY[:60])
    ask("always", "changed.ipynb", "changed")
    world.clock.forward(1)
    world.connections.update(
        UpdateConnection(id=changed.id, revision=1, fields={**POSTGRES, "database": "other"}), actor="ada"
    )
    for path, claims in (("never.ipynb", {}), ("agent-never.ipynb", {"agent": "helper"})):
        try:
            world.request(notebook(path), world.answer("deny_always"), **claims)
        except AccessDenied:
            continue
        raise AssertionError(path)
    refs["reveal.ipynb"] = world.request(notebook("reveal.ipynb"), unasked, "token").ref
    agent = notebook("agent-reveal.ipynb")
    refs["agent-reveal.ipynb"] = world.request(agent, unasked, "token", agent="helper").ref
    # Nobody answers, and the broker dies: its row of the open question stays.
    world.start(notebook("open.ipynb"), agent="helper", reason="still waiting")
    return refs


if __name__ == "__main__":
    main(Path(sys.argv[1]))
