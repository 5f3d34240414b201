"""How a project's file is found, read and replaced: links, rights, other writers, kills."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from connvault_jupyter.contracts.workspaces import WorkspaceBlock
from connvault_jupyter.errors import (
    StorageBusy,
    StorageFull,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
    WorkspaceReadOnly,
)
from connvault_jupyter.storage.workspace import files
from connvault_jupyter.storage.workspace.files import MAX_BYTES, ProjectFiles
from connvault_jupyter.storage.workspace.format import file_of, text_of

ONE = {"a1": WorkspaceBlock(name="warehouse", provider_id="postgresql", fields={"host": "db.example"})}
TWO = {**ONE, "b2": WorkspaceBlock(name="lake", provider_id="s3")}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The server's root."""
    found = tmp_path / "home"
    (found / "shop" / "reports").mkdir(parents=True)
    return found


@pytest.fixture
def project(top: Path) -> ProjectFiles:
    return ProjectFiles(server_root=str(top))


def put(root: Path, text: bytes | None = None) -> Path:
    (root / ".connvault").mkdir(exist_ok=True)
    file = root / ".connvault" / "connections.json"
    file.write_bytes(text_of(ONE) if text is None else text)
    return file


def blocks(project: ProjectFiles, root: Path) -> dict[str, WorkspaceBlock]:
    found = project.read(str(root))
    assert found is not None
    return dict(found.blocks)


def digest(project: ProjectFiles, root: Path) -> bytes:
    found = project.read(str(root))
    assert found is not None
    return found.digest


def test_the_nearest_file_counts(top: Path, project: ProjectFiles) -> None:
    """The one of the folder itself first, then upwards to the server's root."""
    assert project.nearest(str(top / "shop" / "reports")) is None
    put(top)
    assert project.nearest(str(top / "shop" / "reports")) == str(top)
    put(top / "shop")
    assert project.nearest(str(top / "shop" / "reports")) == str(top / "shop")
    assert project.nearest(str(top / "shop")) == str(top / "shop")
    assert project.nearest(str(top)) == str(top)


def test_a_file_above_the_root_does_not_count(top: Path, project: ProjectFiles) -> None:
    """Nor one beside it whose name begins like the root's."""
    put(top.parent)
    beside = top.parent / "home2"
    beside.mkdir()
    put(beside)
    for folder in (top, top / "shop", top.parent, beside, top / ".." / "home2", Path("/")):
        assert project.nearest(str(folder)) is None


def test_a_folder_that_is_gone_has_the_file_above_it(top: Path, project: ProjectFiles) -> None:
    """A notebook that was never saved has no folder yet."""
    put(top)
    assert project.nearest(str(top / "new" / "folder")) == str(top)


def test_a_folder_behind_a_link_is_where_it_is(top: Path, project: ProjectFiles) -> None:
    """Outside the root: no project. Inside: the project in which it really is."""
    outside = top.parent / "elsewhere"
    outside.mkdir()
    put(outside)
    put(top / "shop")
    (top / "out").symlink_to(outside)
    (top / "in").symlink_to(top / "shop")
    assert project.nearest(str(top / "out")) is None
    assert project.nearest(str(top / "in")) == str(top / "shop")


def test_a_root_that_is_a_link_is_a_root(top: Path, tmp_path: Path) -> None:
    """Home directories often are."""
    put(top)
    link = tmp_path / "link"
    link.symlink_to(top)
    assert ProjectFiles(server_root=str(link)).nearest(str(link / "shop")) == str(top)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_is_found_and_refused(what: str, top: Path, project: ProjectFiles) -> None:
    """Found, so that the next file above does not count in its place; never followed."""
    outside = top.parent / "elsewhere"
    outside.mkdir()
    target = put(outside)
    put(top)
    if what == "folder":
        (top / "shop" / ".connvault").symlink_to(target.parent)
    else:
        (top / "shop" / ".connvault").mkdir()
        (top / "shop" / ".connvault" / "connections.json").symlink_to(target)
    assert project.nearest(str(top / "shop")) == str(top / "shop")
    with pytest.raises(WorkspaceFileInvalid, match="symbolic link"):
        project.read(str(top / "shop"))


def test_a_link_that_takes_a_projects_place_later_is_refused(top: Path, project: ProjectFiles) -> None:
    """A folder of a repository can become one with a pull. Nothing is read through it, nor written."""
    put(top / "shop")
    seen = digest(project, top / "shop")
    outside = top.parent / "elsewhere"
    (top / "shop").rename(outside)
    (top / "shop").symlink_to(outside)
    with pytest.raises(WorkspaceFileInvalid, match="symbolic link"):
        project.read(str(top / "shop"))
    with pytest.raises(WorkspaceFileInvalid, match="symbolic link"):
        project.change(str(top / "shop"), TWO, expected=seen)
    assert (outside / ".connvault" / "connections.json").read_bytes() == text_of(ONE)


def test_a_pipe_in_its_place_is_refused_without_waiting(top: Path, project: ProjectFiles) -> None:
    """Nobody writes into it."""
    (top / ".connvault").mkdir()
    os.mkfifo(top / ".connvault" / "connections.json")
    with pytest.raises(WorkspaceFileInvalid, match="is not a file"):
        project.read(str(top))


def test_a_huge_file_is_refused(top: Path, project: ProjectFiles) -> None:
    """Whatever is in it."""
    put(top, text_of(ONE) + b" " * MAX_BYTES)
    with pytest.raises(WorkspaceFileInvalid, match=r"^\.connvault/connections\.json is larger than 256 KiB"):
        project.read(str(top))


def test_without_a_file_there_is_none(top: Path, project: ProjectFiles) -> None:
    """Also after there was one."""
    assert project.read(str(top)) is None
    file = put(top)
    assert blocks(project, top) == ONE
    file.unlink()
    assert project.read(str(top)) is None
    file.parent.rmdir()
    assert project.read(str(top)) is None


def test_an_equal_file_is_not_read_again(
    top: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A use of a secret looks at it each time; another file is read at once."""
    put(top)
    time.sleep(0.03)
    first = project.read(str(top))
    opened: list[object] = []
    monkeypatch.setattr(files, "_raw", _counted(files._raw, opened))
    assert project.read(str(top)) is first
    assert opened == []
    put(top, text_of(TWO))
    assert blocks(project, top) == TWO
    assert len(opened) == 1


def test_a_file_changed_a_moment_ago_is_read_again(top: Path) -> None:
    """Its times may be those of the next change, too: here the clock says that it was written just now."""
    file = put(top)
    written = file.stat().st_mtime_ns
    project = ProjectFiles(server_root=str(top), now_ns=lambda: written)
    before = file.stat()
    assert blocks(project, top) == ONE
    other = text_of(ONE).replace(b"db.example", b"evil.examp")
    with file.open("r+b") as stream:
        stream.write(other)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert blocks(project, top)["a1"].fields == {"host": "evil.examp"}


def test_a_file_of_the_same_size_and_time_is_another_one(top: Path, project: ProjectFiles) -> None:
    """Whoever sets the time of modification back can't set the time of the change."""
    file = put(top)
    before = file.stat()
    time.sleep(0.03)
    assert blocks(project, top) == ONE
    file.write_bytes(text_of(ONE).replace(b"db.example", b"evil.examp"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert blocks(project, top)["a1"].fields == {"host": "evil.examp"}


def test_a_mended_file_is_read_again(top: Path, project: ProjectFiles) -> None:
    """A problem is no more kept than a content."""
    put(top, b"{")
    with pytest.raises(WorkspaceFileInvalid):
        project.read(str(top))
    put(top)
    assert blocks(project, top) == ONE


def test_a_new_file_has_the_rights_of_the_project(top: Path, project: ProjectFiles) -> None:
    """By umask, as any file of a project; one that is replaced keeps its rights."""
    before = os.umask(0o027)
    try:
        project.change(str(top), ONE, expected=None)
    finally:
        os.umask(before)
    file = top / ".connvault" / "connections.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o750
    file.chmod(0o664)
    project.change(str(top), TWO, expected=digest(project, top))
    assert stat.S_IMODE(file.stat().st_mode) == 0o664
    assert [one.name for one in file.parent.iterdir()] == ["connections.json"]
    assert blocks(project, top) == TWO


def test_what_somebody_else_changed_is_not_overwritten(top: Path, project: ProjectFiles) -> None:
    """Nor what they made or removed meanwhile."""
    file = put(top)
    seen = digest(project, top)
    put(top, text_of(TWO))
    for expected in (seen, None):
        with pytest.raises(WorkspaceFileChanged):
            project.change(str(top), {}, expected=expected)
    assert file.read_bytes() == text_of(TWO)
    file.unlink()
    with pytest.raises(WorkspaceFileChanged):
        project.change(str(top), {}, expected=seen)


def test_a_file_of_another_user_is_read(
    top: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project is shared; what its file says has no power, whoever wrote it."""
    put(top)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert blocks(project, top) == ONE


def test_a_writer_does_not_wait_for_another(top: Path, project: ProjectFiles) -> None:
    """All handles would wait for it: any program that can read the folder can take its lock, and keep it. Nothing is
    left in the project."""
    file = put(top)
    seen = digest(project, top)
    with _folder(file.parent) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(StorageBusy):
            project.change(str(top), TWO, expected=seen)
        assert time.monotonic() - began < 1.0
    assert file.read_bytes() == text_of(ONE)
    project.change(str(top), TWO, expected=seen)


def test_a_file_that_is_replaced_hands_on_no_more_than_who_may_read_and_write(
    top: Path, project: ProjectFiles
) -> None:
    """Whoever shares the folder may have made it one that runs with its owner's rights: it would be ours now."""
    file = put(top)
    file.chmod(0o6755)
    project.change(str(top), TWO, expected=digest(project, top))
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


@pytest.mark.parametrize("text", [text_of(ONE), b'{"connections": 1}'], ids=["good", "bad"])
def test_a_text_is_understood_once(
    text: bytes, top: Path, project: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that can't be used, and with a time of modification in the future, which everybody can set."""
    file = put(top, text)
    os.utime(file, ns=(2**62, 2**62))
    time.sleep(0.03)
    read: list[object] = []
    understood: list[object] = []
    monkeypatch.setattr(files, "_raw", _counted(files._raw, read))
    monkeypatch.setattr(files, "file_of", _counted(file_of, understood))
    for _ in range(3):
        with suppress(WorkspaceFileInvalid):
            project.read(str(top))
    assert len(read) == 1
    file.touch()
    for _ in range(3):
        with suppress(WorkspaceFileInvalid):
            project.read(str(top))
    assert len(understood) == 1


def test_too_many_connections_are_refused_before_they_are_written(top: Path, project: ProjectFiles) -> None:
    """Else nobody could read the file any more."""
    many = {
        f"i{number}": WorkspaceBlock(name=f"n{number}", provider_id="http", fields={"base_url": "x" * 1000})
        for number in range(300)
    }
    with pytest.raises(WorkspaceFileInvalid, match="would be larger"):
        project.change(str(top), many, expected=None)
    assert not (top / ".connvault").exists()


def test_more_connections_than_are_read_are_not_written(top: Path, project: ProjectFiles) -> None:
    """However small they are."""
    many = {f"i{number}": WorkspaceBlock(name=f"n{number}", provider_id="s3") for number in range(501)}
    with pytest.raises(WorkspaceFileInvalid, match="would have more than 500 connections"):
        project.change(str(top), many, expected=None)
    assert not (top / ".connvault").exists()


@pytest.mark.parametrize("failing", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(("error", "raised"), [(28, StorageFull), (30, WorkspaceReadOnly)])
def test_what_fails_while_writing_changes_nothing(
    failing: str,
    error: int,
    raised: type[Exception],
    top: Path,
    project: ProjectFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk, a file system that became read-only: a typed error, the old file, nothing beside it."""
    file = put(top)
    seen = digest(project, top)
    real = getattr(os, failing)

    def fails(*arguments: object, **named: object) -> object:
        if failing == "open" and not isinstance(arguments[1], int):
            return real(*arguments, **named)
        if failing == "open" and not arguments[1] & os.O_CREAT:  # type: ignore[operator]
            return real(*arguments, **named)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, failing, fails)
    with pytest.raises(raised):
        project.change(str(top), TWO, expected=seen)
    monkeypatch.undo()
    assert file.read_bytes() == text_of(ONE)
    assert [one.name for one in file.parent.iterdir()] == ["connections.json"]


@pytest.mark.parametrize("at", range(8))
def test_whoever_is_killed_leaves_the_old_or_the_new(at: int, top: Path, project: ProjectFiles) -> None:
    """At each call that writes, in a process of its own; the next writer goes on."""
    file = put(top)
    seen = digest(project, top)
    child = os.fork()
    if child == 0:
        try:
            _die_at(at)
            project.change(str(top), TWO, expected=seen)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    found = blocks(ProjectFiles(server_root=str(top)), top)
    assert found in (ONE, TWO)
    assert (found == ONE) == (at < 4)
    project.change(str(top), {}, expected=digest(project, top))
    assert [one.name for one in file.parent.iterdir()] == ["connections.json"]


def test_paths_that_are_none_have_no_project(top: Path, project: ProjectFiles) -> None:
    """A zero byte, or half of a character, can't be a folder of ours."""
    put(top)
    for path in (f"{top}/a\0b", f"{top}/\udcff"):
        assert project.nearest(path) is None
        assert project.folder(path) is None


def test_the_folder_of_a_new_file_is_below_the_root(top: Path, project: ProjectFiles) -> None:
    """An absolute path is taken as one below the root, as Jupyter does."""
    assert project.folder("") == str(top)
    assert project.folder("shop") == str(top / "shop")
    assert project.folder("/shop/reports") == str(top / "shop" / "reports")
    (top / "out").symlink_to(top.parent)
    for path in ("..", "out", "shop/../../home2", "not there"):
        assert project.folder(path) is None


def _die_at(at: int) -> None:
    """Ends this process before its call number `at` that writes."""
    calls = iter(range(1000))
    # open (pending), write, fsync, replace, fsync (folder): the lock's and the reader's opens do not count.
    for name in ("open", "write", "fsync", "replace"):
        real = getattr(os, name)

        def counted(
            *arguments: object, real: Callable[..., object] = real, name: str = name, **named: object
        ) -> object:
            creating = name != "open" or bool(arguments[1] & os.O_CREAT)  # type: ignore[operator]
            if creating and next(calls) == at:
                os._exit(0)
            return real(*arguments, **named)

        setattr(os, name, counted)


def _counted(real: Callable[..., object], calls: list[object]) -> Callable[..., object]:
    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return real(*arguments)

    return counted


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
