"""connections.json beside the database, opened as a broker does it and edited as people do it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.storage.conformance.samples import connection, grant, handle, secret
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.stores import Stores, open_stores

Opened = tuple[Database, Stores]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "connvault"


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "connections.json"


@pytest.fixture
def opened(data_dir: Path) -> Iterator[Opened]:
    """A connection with a secret, a permission and a handle, and another one with nothing."""
    database, stores = opening(data_dir)
    stores.connections.add(connection("c1"), b"mac")
    stores.secrets.put(secret("c1"))
    stores.grants.add(grant(), b"mac")
    stores.handles.add(handle())
    stores.connections.add(connection("c2"))
    yield database, stores
    database.close()


def opening(data_dir: Path) -> Opened:
    return open_stores(data_dir=data_dir, connection_store="json")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """As an editor or git does it: another file takes the place."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole)
    draft = path.with_name("draft")
    draft.write_text(json.dumps(whole), encoding="utf-8")
    draft.replace(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(stores: Stores) -> list[str]:
    return [found.connection.id for found in stores.connections.all()]
