"""What the form of SSH connections once wrote into each of them is no choice: taken out of it, and nothing else is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import Connection
from connvault_jupyter.storage.conformance.samples import connection
from connvault_jupyter.storage.rows import canonical
from connvault_jupyter.storage.schema import shipped_migrations

SHIPPED = shipped_migrations()
(STEP,) = [step for step in SHIPPED if "bound_only" in step.sql]
BEFORE = [step for step in SHIPPED if step.number < STEP.number]

_WORDS = 'no "bound_only":false, and \\"bound_only\\":false} here'

_MORE = '"bound_only":false}'


def migrated(folder: Path, before: Connection) -> Any:
    """The document of a connection after the step."""
    with closing(sqlite3.connect(folder / "old.db")) as opened:
        for step in BEFORE:
            opened.executescript(step.sql)
        opened.execute(
            "INSERT INTO connections (id, name, revision, document) VALUES (?, ?, ?, ?)",
            (before.id, before.name, before.revision, canonical(before)),
        )
        opened.executescript(STEP.sql)
        ((document,),) = opened.execute("SELECT document FROM connections").fetchall()
    return json.loads(document)


def of(provider: str, **fields: Any) -> Connection:
    return connection().model_copy(update={"provider_id": provider, "fields": fields})


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"bound_only": False, "host": "a", "host_key": "k", "port": 22}, {"host": "a", "host_key": "k", "port": 22}),
        ({"bound_only": False}, {}),
        ({"bound_only": True, "host": "a"}, {"bound_only": True, "host": "a"}),
        ({"host": "a"}, {"host": "a"}),
        ({"bound_only": False, "host": _WORDS, "user": _MORE}, {"host": _WORDS, "user": _MORE}),
    ],
)  # fmt: skip
def test_the_old_default_is_taken_out_and_nothing_else(
    tmp_path: Path, fields: dict[str, Any], left: dict[str, Any]
) -> None:
    """A yes stays, and so does every text, whatever it looks like."""
    before = of("ssh", **fields)
    expected = json.loads(canonical(before.model_copy(update={"fields": left})))
    assert migrated(tmp_path, before) == expected


def test_other_kinds_stay_as_they_are(tmp_path: Path) -> None:
    """Another package's kind may have a field of that name, and may mean it."""
    before = of("other", bound_only=False, note='"provider_id":"ssh"')
    assert migrated(tmp_path, before) == json.loads(canonical(before))
