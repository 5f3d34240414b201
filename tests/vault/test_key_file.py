"""The key-file custodian: what it keeps, and which files it refuses."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connvault_jupyter.errors import CustodianUnavailable
from connvault_jupyter.services.vault_ports import Custodian
from connvault_jupyter.vault import key_file
from connvault_jupyter.vault.conformance import CustodianConformance
from connvault_jupyter.vault.key_file import KeyFileCustodian

KEY, NAME = b"k" * 32, "6f1c8a.Zm9vYmFy"
ME = os.geteuid()

# Nobody here, so that no file of these tests is root's: they may run as root.
NOBODY = 4_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder / "connvault.key"


@pytest.fixture
def custodian(path: Path) -> KeyFileCustodian:
    found = KeyFileCustodian(path=path, root=NOBODY)
    found.keep(NAME, KEY, None)
    return found


class TestKeyFile(CustodianConformance):
    """The promises of every custodian."""

    @pytest.fixture(autouse=True)
    def _file(self, path: Path) -> None:
        self._path = path

    def custodian(self) -> Custodian:
        return KeyFileCustodian(path=self._path, root=NOBODY)


def refused(custodian: KeyFileCustodian) -> str:
    """What is said, by recovering and by the availability."""
    with pytest.raises(CustodianUnavailable) as found:
        custodian.recover(NAME, {"version": 1}, None)
    assert found.value.__cause__ is None
    return found.value.message


def test_what_is_written_is_ours_alone(custodian: KeyFileCustodian, path: Path) -> None:
    """0600, in the documented form, and nothing beside it."""
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == f"connvault-jupyter-key-1 {NAME} {'a2tr' * 10}a2s=\n"
    assert [*path.parent.iterdir()] == [path]


def test_a_person_may_write_comments(custodian: KeyFileCustodian, path: Path) -> None:
    """And empty lines, as editors and secret stores leave them."""
    path.write_text(f"# of the night jobs\r\n\n \t\n  {path.read_text()} \n\n")
    assert custodian.recover(NAME, {"version": 1}, None) == KEY


def test_when_the_last_key_goes_the_file_goes(custodian: KeyFileCustodian, path: Path) -> None:
    """Not before."""
    parameters = custodian.keep("another", KEY, None)
    custodian.forget(NAME, parameters)
    assert path.exists()
    custodian.forget("another", parameters)
    assert not path.exists()


def test_keys_that_are_kept_at_once_are_all_there(path: Path) -> None:
    """Several servers share the file: none writes over what another has added."""
    wanted = {f"vault-{number}": secrets.token_bytes(32) for number in range(24)}
    with ThreadPoolExecutor(6) as pool:
        for done in [
            pool.submit(KeyFileCustodian(path=path, root=NOBODY).keep, name, key, None)
            for name, key in wanted.items()
        ]:
            done.result()
    for name, key in wanted.items():
        assert KeyFileCustodian(path=path, root=NOBODY).recover(name, {"version": 1}, None) == key


def linked(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def without_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "readable by the group": (lambda path: path.chmod(0o640), "chmod 600"),
    "readable by others": (lambda path: path.chmod(0o604), "chmod 600"),
    "writable by the group": (lambda path: path.chmod(0o620), "chmod 600"),
    "a symbolic link": (linked, "symbolic link"),
    "a second name": (lambda path: os.link(path, path.with_name("other")), "one name"),
    "its folder writable by the group": (lambda path: path.parent.chmod(0o770), "chmod go-w"),
    "its folder writable by others": (lambda path: path.parent.chmod(0o702), "chmod go-w"),
    "a sticky folder of everybody's": (lambda path: path.parent.chmod(0o1777), "chmod go-w"),
    "a folder": (as_folder, "none of connvault's"),
    "a pipe": (as_pipe, "none of connvault's"),
    "nothing": (lambda path: path.unlink(), "no key for this vault"),
    "no folder": (without_folder, "can't be used"),
    "of another vault": (lambda path: path.write_text(line("another")), "no key for this vault"),
    "a newer form": (lambda path: path.write_text(line().replace("key-1", "key-2")), "newer version"),
    "a shorter key": (lambda path: path.write_text(line().replace("a2tr", "", 1)), "damaged"),
    "33 bytes": (lambda path: path.write_text(line().replace("a2s=", "a2tr")), "damaged"),
    "more on a line": (lambda path: path.write_text(line().strip() + " more"), "damaged"),
    "words": (lambda path: path.write_text("a passphrase"), "none of connvault's"),
    "no text": (lambda path: path.write_bytes(bytes(range(256))), "none of connvault's"),
    "without an end": (lambda path: path.write_text(line() + "#" * 70_000), "none of connvault's"),
}


def line(name: str = NAME) -> str:
    return f"connvault-jupyter-key-1 {name} {'a2tr' * 10}a2s=\n"


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_others_could_use_or_that_is_none_is_refused(
    custodian: KeyFileCustodian, path: Path, name: str
) -> None:
    """With what to do about it, and without anything of its content."""
    change, said = REFUSED[name]
    change(path)
    message = refused(custodian)
    assert said in message
    assert "a2tr" not in message
    assert "passphrase" not in message


@pytest.mark.parametrize(
    "name", ["readable by others", "its folder writable by others", "words", "a symbolic link"]
)
def test_nothing_is_written_into_what_is_refused(custodian: KeyFileCustodian, path: Path, name: str) -> None:
    """It stays as it is, so that nobody's file is lost, and says why it is not available."""
    REFUSED[name][0](path)
    before = path.read_bytes()
    with pytest.raises(CustodianUnavailable):
        custodian.keep("another", KEY, None)
    custodian.forget(NAME, {"version": 1})
    assert path.read_bytes() == before
    found = custodian.availability()
    assert not found.available
    assert REFUSED[name][1] in found.detail


def test_a_path_that_is_none_says_so() -> None:
    """A variable that is not set here, such as `$CREDENTIALS_DIRECTORY` outside systemd."""
    custodian = KeyFileCustodian(path=Path("$CREDENTIALS_DIRECTORY/connvault"))
    assert "not set" in refused(custodian)
    assert not custodian.availability().available


def test_where_nothing_can_be_written_the_file_stays(
    custodian: KeyFileCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only mount, a full disk: an error that says so, and no half file beside it."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", read_only)
        with pytest.raises(CustodianUnavailable, match="Read-only"):
            custodian.keep("another", KEY, None)
    assert [*path.parent.iterdir()] == [path]
    assert custodian.recover(NAME, {"version": 1}, None) == KEY


def test_a_folder_that_somebody_keeps_locked_is_not_waited_for(
    custodian: KeyFileCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read the folder can lock it, and no key slot could be changed and no vault be unlocked meanwhile.
    Reading needs no lock."""
    monkeypatch.setattr(key_file, "_LOCK_TIMEOUT_S", 0.05)
    theirs = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as aside:
            kept = aside.submit(custodian.keep, "another", KEY, None)
            try:
                with pytest.raises(CustodianUnavailable, match="locked the folder"):
                    kept.result(10)
            finally:
                fcntl.flock(theirs, fcntl.LOCK_UN)
    finally:
        os.close(theirs)
    assert custodian.recover(NAME, {"version": 1}, None) == KEY


KILLED = """
import os, pathlib, sys
from connvault_jupyter.vault.key_file import KeyFileCustodian
os.rename = lambda *_, **__: os._exit(9)
KeyFileCustodian(path=pathlib.Path(sys.argv[1]), root=int(sys.argv[2])).keep("another", bytes(32), None)
"""


def test_what_a_killed_process_left_is_gone_with_the_next_change(
    custodian: KeyFileCustodian, path: Path
) -> None:
    """It has the keys too, also those that are removed later."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(NOBODY)], check=False)
    assert killed.returncode == 9
    assert len([*path.parent.iterdir()]) == 2
    custodian.keep("another", KEY, None)
    assert [*path.parent.iterdir()] == [path]


@pytest.fixture
def mounted(custodian: KeyFileCustodian, path: Path) -> KeyFileCustodian:
    """As another user sees the file: whoever owns it here is root there."""
    path.chmod(0o440)
    path.parent.chmod(0o550)
    return KeyFileCustodian(path=path, uid=NOBODY, root=ME)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600])
def test_a_file_that_root_has_mounted_is_read(mounted: KeyFileCustodian, path: Path, mode: int) -> None:
    """For its group too: an ACL shows there, and root has chosen it."""
    path.chmod(mode)
    assert mounted.recover(NAME, {"version": 1}, None) == KEY
    assert mounted.availability().available


def test_links_of_root_are_followed(mounted: KeyFileCustodian, path: Path) -> None:
    """As Kubernetes mounts a secret: a link to a file below a link to a folder."""
    path.parent.chmod(0o700)
    folder = path.parent / "..2026_11_30"
    folder.mkdir(mode=0o750)
    path.rename(folder / path.name)
    (path.parent / "..data").symlink_to(folder.name)
    path.symlink_to(f"..data/{path.name}")
    assert mounted.recover(NAME, {"version": 1}, None) == KEY
    folder.chmod(0o770)
    assert "chmod go-w" in refused(mounted)
    folder.chmod(0o750)
    (folder / path.name).chmod(0o444)
    assert "0400 or 0440" in refused(mounted)


MOUNTED_REFUSED: dict[str, Callable[[Path], object]] = {
    "read by everybody": lambda path: path.chmod(0o444),
    "written by its group": lambda path: path.chmod(0o460),
    "its folder written by a group": lambda path: path.parent.chmod(0o770),
}


@pytest.mark.parametrize("name", MOUNTED_REFUSED)
def test_a_mounted_file_that_others_could_use_is_refused(
    mounted: KeyFileCustodian, path: Path, name: str
) -> None:
    """Root's name alone says nothing."""
    MOUNTED_REFUSED[name](path)
    refused(mounted)


def test_a_file_of_roots_in_a_folder_of_somebody_else_is_refused(
    path: Path, custodian: KeyFileCustodian
) -> None:
    """Who owns the folder could exchange it."""
    path.chmod(0o440)
    other = KeyFileCustodian(path=path, uid=NOBODY, root=NOBODY + 1)
    assert "chmod go-w" in refused(other)


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_a_file_of_64_kilobytes_is_read_and_no_larger_one(
    custodian: KeyFileCustodian, path: Path, more: int, taken: bool
) -> None:
    """Nobody has as many vaults."""
    content = line()
    path.write_text(content + "#" * (64 * 1024 - len(content) + more))
    assert custodian.availability().available is taken


def test_a_file_where_the_folder_should_be_says_so(tmp_path: Path) -> None:
    """Whoever may write that file."""
    (tmp_path / "keys").write_text("")
    (tmp_path / "keys").chmod(0o660)
    said = refused(KeyFileCustodian(path=tmp_path / "keys" / "connvault.key", root=NOBODY))
    assert "can't be used (Not a directory)" in said


def test_a_file_that_can_not_be_read_says_why(
    custodian: KeyFileCustodian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that was taken away, a broken disk."""
    opened = os.open

    def denied(name: object, *arguments: int, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", denied)
    assert "can't be used (Permission denied)" in refused(custodian)


def test_a_key_file_of_somebody_else_is_refused(
    custodian: KeyFileCustodian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of ours, and with no rights for others: who owns it can read and change it."""
    looked = os.fstat

    def foreign(file: int) -> os.stat_result:
        found = looked(file)
        if not stat.S_ISREG(found.st_mode):
            return found
        return os.stat_result((*found[:4], NOBODY + 1, *found[5:]))

    monkeypatch.setattr(os, "fstat", foreign)
    assert "It must be yours alone" in refused(custodian)


def test_a_link_of_roots_that_leads_to_a_link_is_refused(
    mounted: KeyFileCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody exchanges it while it is followed."""
    path.parent.chmod(0o700)
    linked(path)
    assert mounted.recover(NAME, {"version": 1}, None) == KEY
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    assert "symbolic link" in refused(mounted)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_key_file_is_closed_each_time(custodian: KeyFileCustodian, path: Path) -> None:
    """Read, written and refused; a broker lives for weeks."""
    before = open_descriptors()
    custodian.keep("another", KEY, None)
    custodian.recover(NAME, {"version": 1}, None)
    path.chmod(0o644)
    refused(custodian)
    path.parent.chmod(0o777)
    refused(custodian)
    assert open_descriptors() == before


def test_a_file_that_somebody_has_put_in_the_way_is_not_written(
    custodian: KeyFileCustodian, path: Path
) -> None:
    """Nor what a link there leads to: it goes."""
    theirs = path.with_name("theirs")
    theirs.write_text("")
    path.with_name(f".{path.name}.part").symlink_to(theirs)
    custodian.keep("another", KEY, None)
    assert theirs.read_text() == ""
    assert custodian.recover("another", {"version": 1}, None) == KEY
    assert not path.is_symlink()


def test_a_new_key_is_on_the_disk_before_the_old_file_goes(
    custodian: KeyFileCustodian, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses its power has the one or the other: content, name, folder, in this order."""
    done: list[object] = []
    renamed, synced = os.rename, os.fsync

    def rename(*arguments: object, **named: object) -> None:
        done.append("renamed")
        renamed(*arguments, **named)  # type: ignore[arg-type]

    def fsync(file: int) -> None:
        found = os.fstat(file)
        done.append("folder" if stat.S_ISDIR(found.st_mode) else found.st_size)
        synced(file)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "fsync", fsync)
    custodian.keep("another", KEY, None)
    assert done == [path.stat().st_size, "renamed", "folder"]


def test_of_two_failures_the_first_is_told(
    custodian: KeyFileCustodian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the half file could not be removed either is of no use to anybody."""

    def fails(number: int) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return fail

    def rename(*_: object, **__: object) -> None:
        monkeypatch.setattr(os, "unlink", fails(errno.EIO))
        fails(errno.EROFS)()

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(CustodianUnavailable, match="Read-only"):
        custodian.keep("another", KEY, None)
