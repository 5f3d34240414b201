"""connections.json beside the database: whose files are taken, which store counts, what can't be read or written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import ConnectionsFileInvalid, SchemaTooNew, StorageBusy, StorageError
from connvault_jupyter.storage.conformance.samples import (
    NOON,
    append,
    connection,
    grant,
    outcome,
    refusing,
    secret,
    stored,
)
from connvault_jupyter.storage.json import format as json_format
from connvault_jupyter.storage.json import private_file
from connvault_jupyter.storage.stores import open_stores
from tests.support.services.json_file import Opened, edit, mode, names, opening
from tests.support.services.json_file import data_dir as data_dir
from tests.support.services.json_file import opened as opened
from tests.support.services.json_file import path as path
from tests.support.services.storage import ask


def test_only_the_owner_can_read_the_files(opened: Opened, data_dir: Path) -> None:
    """The lock too; nothing else lies about."""
    files = {file.name: mode(file) for file in data_dir.iterdir() if file.name.startswith("connections")}
    assert files == {"connections.json": 0o600, "connections.json.lock": 0o600}
    assert mode(data_dir) == 0o700


def test_neither_connections_nor_secrets_are_in_the_database(opened: Opened, data_dir: Path) -> None:
    """Anchors alone: what must be found in one place is in one place."""
    assert ask(data_dir / "connvault.db", "SELECT DISTINCT document, mac FROM connections") == [("", None)]
    assert ask(data_dir / "connvault.db", "SELECT * FROM secrets") == []


def test_a_list_of_all_secrets_is_of_one_state_of_the_file(
    opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, the file is looked at once: git may replace it at any moment."""
    _, stores = opened
    for number in range(5):
        stores.connections.add(connection(f"more{number}", name=f"more{number}"))
        stores.secrets.put(secret(f"more{number}", ref=f"more{number}"))
    stores.secrets.all()
    looks: list[object] = []
    real = private_file.PrivateFile.signature

    def counted(file: private_file.PrivateFile) -> private_file.Signature | None:
        looks.append(file)
        return real(file)

    monkeypatch.setattr(private_file.PrivateFile, "signature", counted)
    assert len(stores.secrets.all()) >= 5
    assert len(looks) == 1


def test_a_use_does_not_change_the_file(opened: Opened, path: Path) -> None:
    """Nor a test, a permission or a row of the record."""
    _, stores = opened
    before = path.lstat()
    stores.connections.touch("c1", NOON)
    stores.connections.save_test("c1", outcome())
    stores.grants.note_use("g1", NOON)
    append(stores)
    with stores.transactions.transaction():
        assert stores.secrets.get("c1", "password") == secret("c1")
    assert path.lstat() == before


def test_a_block_that_fails_leaves_the_file_as_it_was(opened: Opened, path: Path) -> None:
    """Not even written again."""
    _, stores = opened
    before = path.lstat()
    with refusing(ZeroDivisionError), stores.transactions.transaction():
        stores.connections.remove("c1", expected_revision=1)
        _ = 1 // 0
    assert path.lstat() == before
    assert stores.grants.get("g1") is not None


@pytest.mark.parametrize(("first", "second"), [("sqlite", "json"), ("json", "sqlite")])
def test_connections_are_not_hidden_by_the_other_setting(data_dir: Path, first: Any, second: Any) -> None:
    """An empty list would look like a loss. The message names the setting."""
    database, stores = open_stores(data_dir=data_dir, connection_store=first)
    stores.connections.add(connection())
    database.close()
    with pytest.raises(StorageError, match=f'connection_store to "{first}"'):
        open_stores(data_dir=data_dir, connection_store=second)
    database, stores = open_stores(data_dir=data_dir, connection_store=first)
    assert names(stores) == ["c1"]
    database.close()


def test_a_broker_with_the_other_store_in_mind_can_not_write(data_dir: Path) -> None:
    """It was started before the first one chose: what it stored would be seen by nobody."""
    database, old = open_stores(data_dir=data_dir)
    with closing(database):
        other, new = opening(data_dir)
        with closing(other):
            new.connections.add(connection("c1"))
            with pytest.raises(StorageError):
                old.connections.add(connection("c2"))
            with pytest.raises(StorageError):
                old.secrets.put(secret("c1"))
            assert names(new) == ["c1"]


def test_a_new_vault_takes_the_file_that_is_there(data_dir: Path, path: Path) -> None:
    """As it is after a clone; which of it counts, the MACs say."""
    data_dir.mkdir(parents=True)
    vector = Path(__file__).with_name("json_versions") / "1" / "connections.json"
    path.write_bytes(vector.read_bytes())
    database, stores = opening(data_dir)
    assert names(stores) == ["c2", "c1"]
    stores.grants.add(grant(), b"mac")
    assert mode(path) == 0o600
    database.close()


@pytest.mark.parametrize("name", ["connections.json", "connections.json.pending", "connections.json.lock"])
def test_a_link_is_refused_at_the_start(data_dir: Path, tmp_path: Path, name: str) -> None:
    """Its target stays untouched."""
    target = tmp_path / "target"
    target.write_bytes(b"")
    data_dir.mkdir(parents=True)
    (data_dir / name).symlink_to(target)
    with pytest.raises(StorageError, match=rf"{name} is a symbolic link"):
        opening(data_dir)
    assert target.read_bytes() == b""


def test_a_link_in_the_place_of_the_file_is_not_followed(opened: Opened, path: Path, tmp_path: Path) -> None:
    """Put there while the broker runs. Taken away, everything is there again."""
    _, stores = opened
    kept = path.rename(tmp_path / "kept")
    path.symlink_to(kept)
    with pytest.raises(ConnectionsFileInvalid, match=f"{path} is a symbolic link. Replace it"):
        stores.connections.all()
    with pytest.raises(ConnectionsFileInvalid):
        stores.connections.add(connection("c3"))
    kept.rename(path)
    assert names(stores) == ["c1", "c2"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_what_is_no_file_is_refused(opened: Opened, path: Path, make: Callable[[Path], None]) -> None:
    """At once: nobody waits for a FIFO's writer."""
    _, stores = opened
    path.unlink()
    make(path)
    with pytest.raises(ConnectionsFileInvalid, match=f"needs a file at {path}"):
        stores.connections.all()


def test_a_file_that_is_too_large_is_not_read(opened: Opened, path: Path) -> None:
    """Sparse, so that it costs nothing here; it would cost the broker its memory."""
    _, stores = opened
    os.truncate(path, private_file.MAX_BYTES + 1)
    with pytest.raises(ConnectionsFileInvalid, match=f"{path} is larger than 64 MiB"):
        stores.connections.all()


def test_a_file_that_would_be_too_large_is_not_written(
    opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be read again."""
    _, stores = opened
    monkeypatch.setattr(private_file, "MAX_BYTES", path.stat().st_size + 10)
    with pytest.raises(StorageError, match="Remove connections first"):
        stores.connections.add(connection("c3"))
    assert names(stores) == ["c1", "c2"]


def test_a_missing_file_is_not_an_empty_one(opened: Opened, path: Path, tmp_path: Path) -> None:
    """Permissions stay, and everything is there when the file is."""
    _, stores = opened
    kept = path.rename(tmp_path / "kept")
    with pytest.raises(ConnectionsFileInvalid, match=f"{path} is missing"):
        stores.connections.all()
    append(stores)
    assert stores.grants.get("g1") is not None
    kept.rename(path)
    assert names(stores) == ["c1", "c2"]


def test_what_the_message_says_for_a_missing_file_works(opened: Opened, path: Path) -> None:
    """To begin without connections."""
    _, stores = opened
    path.unlink()
    with pytest.raises(ConnectionsFileInvalid) as caught:
        stores.connections.all()
    path.write_text(caught.value.message.split("write ")[1].split(" into")[0], encoding="utf-8")
    stores.connections.add(connection("c3"))
    assert names(stores) == ["c3"]


BROKEN: dict[str, Callable[[str], str]] = {
    "cut off": lambda text: text[:-100],
    "merge conflict": lambda text: text.replace('    "c2"', '<<<<<<< HEAD\n    "c2"'),
    "foreign": lambda text: "{}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_can_not_be_read_loses_nothing(
    opened: Opened, path: Path, name: str, data_dir: Path
) -> None:
    """While running and at a start: nothing is written, and a revoke works."""
    _, stores = opened
    before = path.read_text(encoding="utf-8")
    broken = BROKEN[name](before)
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(ConnectionsFileInvalid, match=f"^{path} "):
        stores.connections.get("c1")
    with pytest.raises(ConnectionsFileInvalid):
        stores.connections.update(connection("c1", revision=2), expected_revision=1)
    with pytest.raises(ConnectionsFileInvalid):
        stores.secrets.remove("c1", "password")
    with closing(opening(data_dir)[0]):
        assert path.read_text(encoding="utf-8") == broken
    with stores.transactions.escape():
        append(stores)
        assert stores.grants.remove("g1")
    path.write_text(before, encoding="utf-8")
    assert stores.connections.get("c1") == stored("c1", mac=b"mac")
    assert stores.secrets.get("c1", "password") == secret("c1")


def test_a_newer_file_is_refused_and_left_alone(opened: Opened, path: Path) -> None:
    """Reading and writing."""
    _, stores = opened
    edit(path, lambda whole: whole.update(version=99))
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=f"^{path} was written by a newer version"):
        stores.connections.all()
    with pytest.raises(SchemaTooNew):
        stores.connections.add(connection("c3"))
    assert path.read_bytes() == before


def test_an_older_file_is_kept_when_it_is_first_written(
    opened: Opened, path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside it, private, as it was. Reading alone changes nothing."""
    before = path.read_bytes()
    monkeypatch.setattr(json_format, "UPGRADES", [*json_format.UPGRADES, lambda whole: whole])
    database, stores = opening(data_dir)
    with closing(database):
        assert names(stores) == ["c1", "c2"]
        assert path.read_bytes() == before
        stores.connections.add(connection("c3"))
    assert json.loads(path.read_bytes())["version"] == 2
    backup = path.with_name("connections.json.backup-0001")
    assert (backup.read_bytes(), mode(backup)) == (before, 0o600)


def test_each_change_within_a_block_is_another_version(opened: Opened) -> None:
    """As it is with rows."""
    _, stores = opened
    with stores.transactions.transaction():
        seen = [stores.transactions.version()]
        stores.connections.update(connection("c1", revision=2), expected_revision=1)
        seen.append(stores.transactions.version())
        stores.secrets.remove("c1", "password")
        seen.append(stores.transactions.version())
    seen.append(stores.transactions.version())
    assert len(set(seen)) == len(seen)


def test_what_is_erased_is_overwritten(opened: Opened, path: Path) -> None:
    """The old file has no name any more, and its content is gone; the new one is whole."""
    _, stores = opened
    with path.open("rb") as old:
        with stores.transactions.erasing():
            stores.secrets.put(secret("c1", ref="r2"))
        assert set(old.read()) == {0}
    assert stores.secrets.get("c1", "password") == secret("c1", ref="r2")


def test_a_copy_that_somebody_made_is_not_erased(opened: Opened, path: Path, tmp_path: Path) -> None:
    """A hard link is another name for the same content."""
    _, stores = opened
    before = path.read_bytes()
    os.link(path, tmp_path / "copy")
    with stores.transactions.erasing():
        stores.secrets.put(secret("c1", ref="r2"))
    assert (tmp_path / "copy").read_bytes() == before


def test_a_change_that_is_not_durable_is_synced_before_the_file_changes(opened: Opened) -> None:
    """After a power cut, the file would otherwise be newer than the database."""
    database, stores = opened
    with stores.transactions.transaction(durable=False):
        stores.connections.add(connection("c3"))
    assert not database.unsynced


def test_a_value_that_the_file_can_not_hold_fails_the_block(opened: Opened, path: Path) -> None:
    """All of it, and nothing is written."""
    _, stores = opened
    before = path.read_bytes()
    half = connection("c3").model_copy(update={"display_name": "\ud800"})
    with refusing(StorageError), stores.transactions.transaction():
        stores.grants.remove("g1")
        stores.connections.add(half)
    assert path.read_bytes() == before
    assert stores.grants.get("g1") is not None
    assert names(stores) == ["c1", "c2"]


def test_while_the_lock_is_held_a_change_waits_and_then_says_so(
    opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bounded wait, and nothing is stored of the block. Reading goes on."""
    _, stores = opened
    monkeypatch.setattr(private_file, "LOCK_TIMEOUT_S", 0.05)
    with private_file.PrivateFile(path).locked():
        with pytest.raises(StorageBusy):
            stores.connections.add(connection("c3"))
        assert names(stores) == ["c1", "c2"]
    stores.connections.add(connection("c3"))
    assert names(stores) == ["c1", "c2", "c3"]
