"""A disk that is really full: a small tmpfs in a mount namespace of its own, and a limit on file sizes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.services.storage import child, line

# Root may mount in a new mount namespace; anybody else becomes root of a new user namespace first.
IN_OWN_MOUNTS = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")

FULL_DISK = """
import subprocess

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", str(data_dir)], check=True)
database, stores = open_stores(data_dir=data_dir)
reserve, filler = data_dir / "reserve", data_dir / "filler"
stores.connections.add(connection())
for name in ("g1", "g2", "g3"):
    stores.grants.add(grant(name), b"mac")
    stores.handles.add(handle(name.encode(), grant_id=name))
seen = {"reserve at first": reserve.stat().st_blocks * 512}

def fill():
    with filler.open("ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass

def attempt(block):
    rows = len(stores.audit.chain(0, 100_000))
    try:
        with block:
            for _ in range(2000):
                append(stores, reason_claim="x" * 200)
    except StorageError as error:
        return [error.code, len(stores.audit.chain(0, 100_000)) - rows]
    return ["stored", len(stores.audit.chain(0, 100_000)) - rows]

def revoke(name):
    try:
        with stores.transactions.escape():
            append(stores, type="grant:revoked", grant_id=name)
            stores.grants.remove(name)
    except StorageError as error:
        return error.code
    return ["revoked", stores.grants.get(name), stores.handles.get(handle(name.encode()).ref_hash)]

fill()
seen["durable"] = attempt(stores.transactions.transaction())
seen["not durable"] = attempt(stores.transactions.transaction(durable=False))
seen["reserve when full"] = reserve.exists()
seen["reading"] = stores.connections.get("c1").connection == connection()
seen["first escape"] = revoke("g1")
seen["reserve after it"] = reserve.exists()
seen["second escape"] = revoke("g2")
fill()
seen["escape without reserve"] = attempt(stores.transactions.escape())
filler.unlink()
seen["with space again"] = revoke("g3")
seen["reserve at last"] = reserve.stat().st_blocks * 512
seen["ordinary again"] = attempt(stores.transactions.transaction(durable=False))[0]
seen["integrity"] = database.one("PRAGMA integrity_check")[0]
seen["left over"] = sorted(file.name for file in data_dir.iterdir())
database.close()
say(seen)
"""

LIMITED = """
import resource

database, stores = open_stores(data_dir=data_dir)
stores.connections.add(connection())
stores.grants.add(grant(), b"mac")
limit = (data_dir / "connvault.db-wal").stat().st_size + 4096
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    with stores.transactions.transaction():
        for _ in range(200):
            append(stores, reason_claim="x" * 200)
except StorageError as error:
    code = error.code
say([code, stores.audit.head()[0]])
database.close()
"""

STARTED_FULL = """
import subprocess

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", str(data_dir)], check=True)
database, stores = open_stores(data_dir=data_dir)
stores.connections.add(connection())
stores.grants.add(grant(), b"mac")
database.close()
with (data_dir / "filler").open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
database, stores = open_stores(data_dir=data_dir)
with stores.transactions.escape():
    append(stores)
    stores.grants.remove("g1")
say([stores.grants.get("g1"), (data_dir / "reserve").exists()])
database.close()
"""

TOO_SMALL = """
import subprocess

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(data_dir)], check=True)
try:
    open_stores(data_dir=data_dir)
except StorageError as error:
    say(error.code)
"""

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened on a disk that was filled to the last byte, emptied, and used again."""
    mount_point = tmp_path_factory.mktemp("disk")
    with child(FULL_DISK, mount_point, wrapper=IN_OWN_MOUNTS) as process:
        found: dict[str, Any] = json.loads(line(process))
    return found


def test_when_full_an_ordinary_transaction_says_so_and_stores_nothing(seen: dict[str, Any]) -> None:
    """Durable or not: no row, no release."""
    assert seen["durable"] == ["storage_full", 0]
    assert seen["not durable"] == ["storage_full", 0]
    assert seen["reserve when full"]


def test_reading_goes_on_on_a_full_disk(seen: dict[str, Any]) -> None:
    """The panel can still show what there is to revoke."""
    assert seen["reading"]


def test_a_revoke_works_on_a_full_disk_with_its_row(seen: dict[str, Any]) -> None:
    """The reserve is given up for it, and there is enough for more than one."""
    assert seen["first escape"] == ["revoked", None, None]
    assert not seen["reserve after it"]
    assert seen["second escape"] == ["revoked", None, None]


def test_when_full_without_a_reserve_an_escape_says_so(seen: dict[str, Any]) -> None:
    """The last resort is finite, and honest about it."""
    assert seen["escape without reserve"] == ["storage_full", 0]


def test_when_there_is_space_again_the_reserve_comes_back(seen: dict[str, Any]) -> None:
    """Really allocated, both times."""
    assert seen["reserve at first"] >= MIB
    assert seen["with space again"] == ["revoked", None, None]
    assert seen["reserve at last"] >= MIB


def test_the_database_is_whole_after_a_full_disk(seen: dict[str, Any]) -> None:
    """And nothing of the probing lies about."""
    assert seen["ordinary again"] == "stored"
    assert seen["integrity"] == "ok"
    assert seen["left over"] == ["connvault.db", "connvault.db-shm", "connvault.db-wal", "reserve"]


def test_a_file_size_limit_counts_as_a_full_disk(tmp_path: Path) -> None:
    """To SQLite an exceeded quota or limit is a mere I/O error."""
    with child(LIMITED, tmp_path / "connvault") as process:
        assert json.loads(line(process)) == ["storage_full", 0]


def test_when_started_on_a_full_disk_a_revoke_works(tmp_path: Path) -> None:
    """Opening needs some space itself, so the reserve is given up for it."""
    with child(STARTED_FULL, tmp_path, wrapper=IN_OWN_MOUNTS) as process:
        assert json.loads(line(process)) == [None, False]


def test_no_space_for_a_new_database_is_told(tmp_path: Path) -> None:
    """Opening fails with the same words as using."""
    with child(TOO_SMALL, tmp_path, wrapper=IN_OWN_MOUNTS) as process:
        assert json.loads(line(process)) == "storage_full"
