"""connections.json where nothing can be written: a full disk, a limit on file sizes, a read-only file system."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.services.storage import child, line

# Root may mount in a new mount namespace; anybody else becomes root of a new user namespace first.
IN_OWN_MOUNTS = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")

PREPARED = """
import subprocess

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", str(data_dir)], check=True)
database, stores = open_stores(data_dir=data_dir, connection_store="json")
path = data_dir / "connections.json"
stores.connections.add(connection(fields={f"f{number}": "x" * 1000 for number in range(60)}))
stores.secrets.put(secret())
stores.grants.add(grant(), b"mac")
before = path.read_bytes()

def attempt():
    try:
        with stores.transactions.transaction():
            append(stores)
            stores.connections.update(connection(revision=2, fields={}), expected_revision=1)
            for one in ("c2", "c3"):
                stores.connections.add(connection(one, fields={f"f{number}": "x" * 1000 for number in range(60)}))
    except StorageError as error:
        return [error.code, str(data_dir) in error.message]
    return "stored"

def state():
    return [
        path.read_bytes() == before,
        stores.connections.get("c1").connection.revision,
        stores.secrets.get("c1", "password") == secret(),
        stores.audit.head()[0],
        sorted(file.name for file in data_dir.iterdir() if file.name.startswith("connections")),
    ]

def revoke():
    with stores.transactions.escape():
        append(stores)
        stores.grants.remove("g1")
    return stores.grants.get("g1") is None
"""

FULL_DISK = (
    PREPARED
    + """
filler = data_dir / "filler"
with filler.open("ab", buffering=0) as file:
    for size in (65536, 4096, 512, 1):
        try:
            while True:
                file.write(bytes(size))
        except OSError:
            pass
seen = {"change": attempt(), "state": state(), "revoke": revoke()}
filler.unlink()
seen["with space again"] = attempt()
say(seen)
"""
)

LIMITED = (
    PREPARED
    + """
import resource

# The database's log begins anew, so that it is not what meets the limit.
database.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, resource.RLIM_INFINITY))
seen = {"change": attempt(), "state": state()}
say(seen)
"""
)

READ_ONLY = (
    PREPARED
    + """
database.close()
subprocess.run(["mount", "-o", "remount,ro", str(data_dir)], check=True)
try:
    open_stores(data_dir=data_dir, connection_store="json")
except StorageError as error:
    seen = [error.code, str(data_dir) in error.message, "writable" in error.message]
subprocess.run(["mount", "-o", "remount,rw", str(data_dir)], check=True)
database, stores = open_stores(data_dir=data_dir, connection_store="json")
say([seen, state()])
"""
)

UNTOUCHED = [True, 1, True, 0, ["connections.json", "connections.json.lock"]]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened on a disk that was filled to the last byte, and emptied."""
    with child(FULL_DISK, tmp_path_factory.mktemp("disk"), wrapper=IN_OWN_MOUNTS) as process:
        found: dict[str, Any] = json.loads(line(process))
    return found


def test_when_full_a_change_says_so_and_stores_nothing(full: dict[str, Any]) -> None:
    """Neither in the file nor in the database, and no half of a file is left."""
    assert full["change"] == ["storage_full", False]
    assert full["state"] == UNTOUCHED


def test_when_full_a_revoke_works(full: dict[str, Any]) -> None:
    """It needs nothing of the file."""
    assert full["revoke"]


def test_when_there_is_space_again_changes_work(full: dict[str, Any]) -> None:
    """Without a restart."""
    assert full["with space again"] == "stored"


def test_a_file_size_limit_counts_as_a_full_disk(tmp_path: Path) -> None:
    """The pending file is cut off at it, and removed."""
    with child(LIMITED, tmp_path, wrapper=IN_OWN_MOUNTS) as process:
        seen = json.loads(line(process))
    assert seen == {"change": ["storage_full", False], "state": UNTOUCHED}


def test_a_read_only_folder_is_told_at_the_start(tmp_path: Path) -> None:
    """By its name, with what to do; nothing is lost."""
    with child(READ_ONLY, tmp_path, wrapper=IN_OWN_MOUNTS) as process:
        told, state = json.loads(line(process))
    assert told == ["storage_error", True, True]
    assert state == UNTOUCHED
