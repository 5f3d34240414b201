"""How a database is opened: whose files it takes, with which rights, and on which file systems."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connvault_jupyter.errors import StorageError
from connvault_jupyter.storage.conformance.samples import connection
from connvault_jupyter.storage.connections import SqliteConnectionStore
from connvault_jupyter.storage.file_systems import on_network_file_system
from connvault_jupyter.storage.opening import open_database
from connvault_jupyter.storage.private_files import claim_private, private_directory
from tests.support.services.storage import ask, edit

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/local\040disk tmpfs rw 0 0
host:/data /home/u/far fuse.sshfs rw 0 0
/dev/sdb1 /covered nfs rw 0 0
/dev/sdb1 /covered ext4 rw 0 0
share /mnt/share cifs rw 0 0
incomplete
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "connvault"


@pytest.fixture
def permissive_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("network", [False, True])
def test_when_made_only_the_owner_can_read(data_dir: Path, permissive_umask: None, network: bool) -> None:
    """Directory 0700, each file 0600, -wal, -shm and -journal included, whatever the umask."""
    database = open_database(data_dir=data_dir, network_file_system=lambda _: network)
    with database.transaction(durable=False):
        SqliteConnectionStore(database=database).add(connection())
        files = {file.name: mode(file) for file in data_dir.iterdir()}
    beside = {"connvault.db-journal"} if network else {"connvault.db-wal", "connvault.db-shm"}
    assert set(files) == {"connvault.db", "reserve", *beside}
    assert set(files.values()) == {0o600}
    assert mode(data_dir) == 0o700
    database.close()


def test_when_others_could_read_they_can_not_any_more(data_dir: Path) -> None:
    """A restored backup or a careless chmod is put right."""
    open_database(data_dir=data_dir).close()
    data_dir.chmod(0o755)
    (data_dir / "connvault.db").chmod(0o644)
    open_database(data_dir=data_dir).close()
    assert (mode(data_dir), mode(data_dir / "connvault.db")) == (0o700, 0o600)


@pytest.mark.parametrize(
    "name", ["connvault.db", "connvault.db-wal", "connvault.db-shm", "connvault.db-journal"]
)
def test_when_a_file_is_a_symbolic_link_it_is_refused(data_dir: Path, tmp_path: Path, name: str) -> None:
    """The target stays untouched."""
    data_dir.mkdir(parents=True)
    target = tmp_path / "target"
    target.write_bytes(b"")
    (data_dir / name).symlink_to(target)
    with pytest.raises(StorageError, match="symbolic link"):
        open_database(data_dir=data_dir)
    assert target.read_bytes() == b""


def test_when_the_directory_is_a_symbolic_link_it_is_refused(data_dir: Path, tmp_path: Path) -> None:
    """Nothing is made behind it."""
    target = tmp_path / "target"
    target.mkdir()
    data_dir.parent.mkdir()
    data_dir.symlink_to(target)
    with pytest.raises(StorageError, match="symbolic link"):
        open_database(data_dir=data_dir)
    assert list(target.iterdir()) == []


def test_when_something_else_is_in_the_place_it_is_refused(data_dir: Path) -> None:
    """A directory is no database and a file is no directory."""
    (data_dir / "connvault.db").mkdir(parents=True)
    with pytest.raises(StorageError, match="something else"):
        open_database(data_dir=data_dir)
    (data_dir / "connvault.db").rmdir()
    data_dir.rmdir()
    data_dir.write_bytes(b"")
    with pytest.raises(StorageError, match="something else"):
        open_database(data_dir=data_dir)


def foreign(path: Path) -> Path:
    """`path`, given to another user by root; for anybody else, something of root's."""
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        return path
    return Path("/etc") if path.is_dir() else Path("/etc/passwd")


def test_when_it_belongs_to_another_user_it_is_refused(data_dir: Path) -> None:
    """Whoever owns a file or its directory can read along, and nothing of theirs is changed."""
    open_database(data_dir=data_dir).close()
    for path, check in ((data_dir / "connvault.db", claim_private), (data_dir, private_directory)):
        theirs = foreign(path)
        before = mode(theirs)
        with pytest.raises(StorageError, match="another user"):
            check(theirs)
        assert mode(theirs) == before


def test_when_the_file_is_damaged_it_is_a_storage_error(data_dir: Path) -> None:
    """No exception of sqlite3 comes out, and the file is left for whoever wants to save it."""
    data_dir.mkdir(parents=True)
    damaged = data_dir / "connvault.db"
    damaged.write_bytes(b"this is no database " * 100)
    with pytest.raises(StorageError):
        open_database(data_dir=data_dir)
    assert damaged.read_bytes().startswith(b"this is no database")


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/", False),
        ("/homework", False),
        ("/home/u/.local", True),
        ("/home/local disk/x", False),
        ("/home/u/far/x", True),
        ("/home/u/farther", True),
        ("/covered/x", False),
        ("/mnt/share", True),
    ],
)
def test_the_innermost_and_latest_mount_counts(tmp_path: Path, path: str, network: bool) -> None:
    """Mounts nest, cover each other, and have names with spaces."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert on_network_file_system(Path(path), mounts=mounts) is network


def test_when_mounts_can_not_be_listed_nothing_is_recognised(tmp_path: Path) -> None:
    """As on macOS."""
    assert not on_network_file_system(tmp_path, mounts=tmp_path / "missing")


def test_the_journal_follows_the_file_system(data_dir: Path) -> None:
    """A database that moves to a network share leaves WAL, and comes back to it."""
    for network, expected in ((False, "wal"), (True, "delete"), (False, "wal")):
        open_database(data_dir=data_dir, network_file_system={data_dir: network}.__getitem__).close()
        assert ask(data_dir / "connvault.db", "PRAGMA journal_mode") == [(expected,)]


def test_importing_the_stores_opens_nothing(tmp_path: Path) -> None:
    """No work at import."""
    code = "import connvault_jupyter.storage.stores, os; print(os.listdir('.'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


PLANTED = {
    "a trigger": "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END",
    "a view": "CREATE VIEW v AS SELECT * FROM audit",
    "one guard less": "DROP TRIGGER audit_is_only_pruned",
}


@pytest.mark.parametrize("name", PLANTED)
def test_when_something_acts_by_itself_that_we_did_not_make_nothing_is_written(
    data_dir: Path, name: str
) -> None:
    """It could swallow a row of the record, or a revoke. Noticed while open, and at the next start."""
    with closing(open_database(data_dir=data_dir)) as database, database.transaction():
        pass
    with closing(open_database(data_dir=data_dir)) as database:
        with database.transaction():
            pass
        edit(data_dir, PLANTED[name])
        with pytest.raises(StorageError, match="changed from outside"), database.transaction():
            raise AssertionError("the block ran")
    with (
        closing(open_database(data_dir=data_dir)) as database,
        pytest.raises(StorageError, match="changed from outside"),
        database.transaction(),
    ):
        raise AssertionError("the block ran")


def test_when_only_the_pages_were_put_in_order_it_goes_on(data_dir: Path) -> None:
    """VACUUM and an index of somebody's own change nothing that acts."""
    with closing(open_database(data_dir=data_dir)) as database:
        with database.transaction():
            pass
        edit(data_dir, "CREATE INDEX own ON audit (at)", "VACUUM")
        with database.transaction():
            pass
