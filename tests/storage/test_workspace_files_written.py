"""How a project's file is written while others write, grow it or are in the way. Failures and times are made."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from connvault_jupyter.contracts.workspaces import WorkspaceBlock
from connvault_jupyter.errors import (
    StorageBusy,
    StorageError,
    StorageFull,
    WorkspaceFileInvalid,
    WorkspaceReadOnly,
)
from connvault_jupyter.storage.workspace.files import ProjectFiles
from connvault_jupyter.storage.workspace.format import text_of

ONE = {"a1": WorkspaceBlock(name="warehouse", provider_id="postgresql", fields={"host": "db.example"})}
TWO = {**ONE, "b2": WorkspaceBlock(name="lake", provider_id="s3")}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".connvault").mkdir(parents=True)
    (tmp_path / "home" / ".connvault" / "connections.json").write_bytes(text_of(ONE))
    return tmp_path / "home"


@pytest.fixture
def file(top: Path) -> Path:
    return top / ".connvault" / "connections.json"


@pytest.fixture
def project(top: Path) -> ProjectFiles:
    return ProjectFiles(server_root=str(top))


def digest(project: ProjectFiles, top: Path) -> bytes:
    found = project.read(str(top))
    assert found is not None
    return found.digest


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_project_is_closed_each_time(top: Path, file: Path, project: ProjectFiles) -> None:
    """Read, written and refused; a broker lives for weeks."""
    before = open_descriptors()
    project.change(str(top), TWO, expected=digest(project, top))
    file.write_bytes(b" " * 300_000)
    with pytest.raises(WorkspaceFileInvalid):
        project.read(str(top))
    with pytest.raises(WorkspaceFileInvalid):
        project.change(str(top), TWO, expected=None)
    assert open_descriptors() == before


def test_a_file_that_grows_while_it_is_read_is_refused(
    top: Path, file: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read to its end, which may never come."""
    looked = os.fstat

    def small(descriptor: int) -> os.stat_result:
        found = looked(descriptor)
        return os.stat_result((*found[:6], 10, *found[7:])) if stat.S_ISREG(found.st_mode) else found

    file.write_bytes(text_of(ONE) + b" " * 256 * 1024)
    monkeypatch.setattr(os, "fstat", small)
    with pytest.raises(WorkspaceFileInvalid, match="is growing"):
        project.read(str(top))


def test_a_new_file_is_on_the_disk_before_the_old_one_goes(
    top: Path, file: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that loses its power has the one or the other: content, name, folder, in this order."""
    done: list[object] = []
    replaced, synced = os.replace, os.fsync

    def replace(*arguments: object, **named: object) -> None:
        done.append("replaced")
        replaced(*arguments, **named)  # type: ignore[arg-type]

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        done.append("folder" if stat.S_ISDIR(found.st_mode) else found.st_size)
        synced(descriptor)

    seen = digest(project, top)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "fsync", fsync)
    project.change(str(top), TWO, expected=seen)
    assert done == [file.stat().st_size, "replaced", "folder"]


def fails(*numbers: int) -> Callable[..., None]:
    """With these errors, one after the other; the last one again and again."""
    left = [*numbers]

    def fail(*_: object, **__: object) -> None:
        number = left.pop(0) if len(left) > 1 else left[0]
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_that_somebody_puts_in_the_way_is_not_written(
    top: Path, file: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what a link there leads to: it came after the broker had looked."""
    seen = digest(project, top)
    theirs = file.with_name("theirs")
    theirs.write_text("")
    file.with_name(".connections.json.pending").symlink_to(theirs)
    monkeypatch.setattr(os, "unlink", fails(errno.ENOENT))
    with pytest.raises(StorageError, match="File exists"):
        project.change(str(top), TWO, expected=seen)
    assert theirs.read_text() == ""
    assert file.read_bytes() == text_of(ONE)


def test_of_two_failures_while_writing_the_first_is_told(
    top: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the half file could not be removed either is of no use to anybody."""
    seen = digest(project, top)
    monkeypatch.setattr(os, "replace", fails(errno.EROFS))
    monkeypatch.setattr(os, "unlink", fails(errno.ENOENT, errno.EIO))
    with pytest.raises(WorkspaceReadOnly):
        project.change(str(top), TWO, expected=seen)


@pytest.mark.parametrize(
    ("number", "raised", "said"),
    [
        (errno.ENOSPC, StorageFull, "disk is full"),
        (errno.EDQUOT, StorageFull, "disk is full"),
        (errno.EACCES, WorkspaceReadOnly, "can't be written, so nothing was changed"),
        (errno.EPERM, WorkspaceReadOnly, "can't be written, so nothing was changed"),
        (errno.EROFS, WorkspaceReadOnly, "can't be written, so nothing was changed"),
        (errno.ELOOP, WorkspaceFileInvalid, "symbolic link"),
        (errno.ENOTDIR, WorkspaceFileInvalid, "symbolic link"),
        (errno.EIO, StorageError, r"can't be written \(Input/output error\)"),
    ],
)
def test_what_prevents_writing_is_told_by_its_kind(
    top: Path,
    project: ProjectFiles,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    raised: type[Exception],
    said: str,
) -> None:
    """With what to do about it."""
    seen = digest(project, top)
    monkeypatch.setattr(os, "replace", fails(number))
    with pytest.raises(raised, match=said) as caught:
        project.change(str(top), TWO, expected=seen)
    assert type(caught.value) is raised
    assert not isinstance(caught.value, StorageBusy)
