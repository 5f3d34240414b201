"""connections.json, changed by others: seen as another version, and never overwritten unseen."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import StorageBusy
from connvault_jupyter.storage.conformance.samples import append, connection, grant, handle, refusing, stored
from tests.support.services.json_file import Opened, edit, mode, names
from tests.support.services.json_file import data_dir as data_dir
from tests.support.services.json_file import opened as opened
from tests.support.services.json_file import path as path


def test_what_others_change_is_seen_and_is_another_version(opened: Opened, path: Path) -> None:
    """Read again at the next look; what caches hold is not used."""
    _, stores = opened
    before = stores.transactions.version()
    assert stores.transactions.version() == before
    edit(path, lambda whole: whole["connections"]["c1"]["connection"].update(display_name="edited"))
    assert stores.transactions.version() != before
    found = stores.connections.get("c1")
    assert found is not None
    assert found.connection.display_name == "edited"
    assert found.mac == b"mac"
    assert mode(path) == 0o600


def test_a_change_in_place_is_seen(opened: Opened, path: Path) -> None:
    """As some editors write: the same inode, and here the same size."""
    _, stores = opened
    assert names(stores) == ["c1", "c2"]
    text = path.read_text(encoding="utf-8")
    with path.open("r+", encoding="utf-8") as file:
        file.write(text.replace("warehouse-c1", "warehouse-c9"))
    os.utime(path, ns=(1, 1))
    assert stores.connections.by_name("warehouse-c9") is not None


def test_what_others_added_can_be_used(opened: Opened, path: Path) -> None:
    """A permission hangs on it like on any other."""
    _, stores = opened
    edit(path, lambda whole: whole["connections"].update(C1=renamed(whole)))
    stores.grants.add(grant("g2", connection_id="C1"), b"mac")
    assert stores.grants.get("g2") is not None


def renamed(whole: dict[str, Any]) -> dict[str, Any]:
    return {"connection": {**whole["connections"]["c1"]["connection"], "name": "another"}}


def test_what_others_removed_has_no_permission_any_more(
    opened: Opened, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handles have ended too, from the next change of the database on."""
    _, stores = opened
    edit(path, lambda whole: whole["connections"].pop("c1"))
    with caplog.at_level(logging.WARNING):
        append(stores)
    assert stores.grants.all() == []
    ended = stores.handles.ended(handle().ref_hash)
    assert ended is not None
    assert ended.why == "deleted"
    assert "1 connections are no longer in" in caplog.text


def test_after_a_change_by_others_the_next_of_ours_keeps_it(opened: Opened, path: Path) -> None:
    """The file as it is now is what is changed."""
    _, stores = opened
    edit(path, lambda whole: whole["connections"].pop("c2"))
    stores.connections.add(connection("c3"))
    assert names(stores) == ["c1", "c3"]
    assert sorted(json.loads(path.read_bytes())["connections"]) == ["c1", "c3"]


def test_a_change_by_others_during_a_block_is_not_overwritten(opened: Opened, path: Path) -> None:
    """The block fails, whole, and works when it is tried again."""
    _, stores = opened

    def change() -> None:
        stores.connections.update(connection("c1", revision=2, name="lake"), b"", expected_revision=1)
        stores.grants.remove("g1")

    with refusing(StorageBusy), stores.transactions.transaction():
        change()
        edit(path, lambda whole: whole["connections"].pop("c2"))
    assert names(stores) == ["c1"]
    assert stores.connections.get("c1") == stored("c1", mac=b"mac")
    assert stores.grants.get("g1") is not None
    with stores.transactions.transaction():
        change()
    assert stores.connections.by_name("lake") is not None


def test_within_a_block_the_file_stays_as_it_was_read(opened: Opened, path: Path) -> None:
    """A rule that reads twice reads the same, and its version stays."""
    _, stores = opened
    with stores.transactions.transaction():
        before = stores.transactions.version()
        edit(path, lambda whole: whole["connections"].pop("c2"))
        assert names(stores) == ["c1", "c2"]
        assert stores.transactions.version() == before
    assert names(stores) == ["c1"]
