"""`jupyter connvault migrate`: without a server, and not beside one."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.broker.pid_namespaces import PidNamespaces
from connvault_jupyter.cli.main import main
from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.storage.stores import open_stores
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.service_world import World, notebook


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """With a connection, its secret, and a permission."""
    database, stores = open_stores(data_dir=tmp_path / "vault")
    with closing(database):
        world = World(storage=(MemoryStorage(), stores), publish=lambda _: None)
        world.connection()
        world.request(notebook(), world.answer("always"))
    return tmp_path / "vault"


def migrated(vault: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["migrate", "--data-dir", str(vault), *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def events(vault: Path, store: ConnectionStoreKind) -> list[tuple[str, str | None]]:
    database, stores = open_stores(data_dir=vault, connection_store=store)
    with closing(database):
        world = World(storage=(MemoryStorage(), stores), publish=lambda _: None, unlocked=False)
        assert world.audit.verify().consistent
        assert [view.connection.name for view in world.connections.list().connections] == ["warehouse"]
        return [(row.type, row.field) for row in world.record()]


def test_it_moves_and_is_on_record(vault: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There and back; copies of what was are left, and named."""
    before = events(vault, "sqlite")
    there = migrated(vault, capsys, "--to", "json")
    assert (there["connections"], there["secrets"], there["already"]) == (1, 1, False)
    assert all(Path(path).exists() for path in there["backups"])
    assert events(vault, "json") == [*before, ("vault:moved", "json")]
    migrated(vault, capsys, "--to", "sqlite")
    assert events(vault, "sqlite") == [*before, ("vault:moved", "json"), ("vault:moved", "sqlite")]


def test_a_dry_run_and_a_second_one_change_nothing(vault: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither is on record."""
    before = events(vault, "sqlite")
    assert migrated(vault, capsys, "--to", "json", "--dry-run")["connections"] == 1
    assert events(vault, "sqlite") == before
    assert migrated(vault, capsys, "--to", "sqlite")["already"]
    assert events(vault, "sqlite") == before


def test_beside_a_server_it_is_refused(vault: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As long as any has the vault open; looking is allowed."""
    held = PidNamespaces(vault).enter()
    assert main(["migrate", "--data-dir", str(vault), "--to", "json"]) == 77
    assert "Stop all Jupyter servers" in capsys.readouterr().err
    migrated(vault, capsys, "--to", "json", "--dry-run")
    held.release()
    migrated(vault, capsys, "--to", "json")


def test_where_there_is_no_vault_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And makes none."""
    assert main(["migrate", "--data-dir", str(tmp_path / "vault"), "--to", "json"]) == 77
    assert "There is no vault" in capsys.readouterr().err
    assert not (tmp_path / "vault").exists()


def test_people_are_told_what_to_do_next(vault: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The setting, and where the copies are."""
    assert main(["migrate", "--data-dir", str(vault), "--to", "json"]) == 0
    said = capsys.readouterr().out
    assert "1 connections with 1 sealed secrets moved to connections.json." in said
    assert 'connection_store = "json"' in said
    assert str(vault / "connvault.db.before-json") in said
