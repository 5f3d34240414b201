"""When a project's file is read again, and what is said of one that can't be looked at. Times and rights are made."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest

from connvault_jupyter.contracts.workspaces import WorkspaceBlock
from connvault_jupyter.errors import WorkspaceFileInvalid
from connvault_jupyter.storage.workspace import files
from connvault_jupyter.storage.workspace.files import ProjectFiles
from connvault_jupyter.storage.workspace.format import text_of

ONE = {"a1": WorkspaceBlock(name="warehouse", provider_id="postgresql", fields={"host": "db.example"})}
TWO = {"a1": WorkspaceBlock(name="warehouse", provider_id="postgresql", fields={"host": "other.example"})}
NOW = 1_800_000_000_000_000_000
MS = 1_000_000


class World:
    """A project whose file is a second old, by a signature that is always the same, unless told otherwise."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (top / ".connvault").mkdir(parents=True)
        self.top = top
        self.file = top / ".connvault" / "connections.json"
        self.file.write_bytes(text_of(ONE))
        self.project = ProjectFiles(server_root=str(top), now_ns=lambda: NOW)
        self.patch = monkeypatch
        self.reads = 0
        raw = files._raw

        def counted(folder: int, name: str) -> object:
            self.reads += 1
            return raw(folder, name)

        monkeypatch.setattr(files, "_raw", counted)
        self.aged(1000 * MS, 1000 * MS)

    def aged(self, changed_ns: int, touched_ns: int) -> None:
        """So old are its time of modification and that of its last change."""
        seen = (1, 2, 3, NOW - changed_ns, NOW - touched_ns, 4, 5)
        self.patch.setattr(self.project, "signature", lambda _root: seen)

    def host(self) -> object:
        found = self.project.read(str(self.top))
        assert found is not None
        return found.blocks["a1"].fields["host"]

    def refused(self) -> str:
        with pytest.raises(WorkspaceFileInvalid) as caught:
            self.project.read(str(self.top))
        return caught.value.message


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "home", monkeypatch)


@pytest.mark.parametrize(
    ("changed_ns", "touched_ns", "again"),
    [
        (20 * MS, 20 * MS, True),
        (20 * MS + 1, 20 * MS + 1, False),
        (1000 * MS, 5 * MS, True),
        (5 * MS, 1000 * MS, False),
        (-5 * MS, 1000 * MS, False),
    ],
)
def test_a_file_is_read_again_if_it_changed_within_a_tick(
    world: World, changed_ns: int, touched_ns: int, again: bool
) -> None:
    """By the time of the change, which nobody can set: another change may have left it as it is."""
    world.aged(changed_ns, touched_ns)
    assert world.host() == "db.example"
    world.file.write_bytes(text_of(TWO))
    assert world.host() == ("other.example" if again else "db.example")
    assert world.reads == (2 if again else 1)


def test_a_file_that_the_broker_has_changed_is_read_again(world: World) -> None:
    """Whatever its times are."""
    found = world.project.read(str(world.top))
    assert found is not None
    world.project.change(str(world.top), TWO, expected=found.digest)
    assert world.host() == "other.example"


def test_a_file_that_was_only_touched_is_not_parsed_again(world: World) -> None:
    """The very same blocks: nothing has to be compared anew."""
    first = world.project.read(str(world.top))
    world.aged(900 * MS, 900 * MS)
    assert world.project.read(str(world.top)) is first
    assert world.reads == 2


def test_a_broken_file_is_not_parsed_for_each_use(world: World) -> None:
    """What is wrong with it is remembered as what it says."""
    world.file.write_bytes(b"{")
    assert world.refused() == world.refused()
    assert world.reads == 1


def test_a_file_that_is_replaced_all_the_time_is_not_believed(world: World) -> None:
    """Once it is quiet or gone, that counts."""
    numbers = itertools.count()
    world.patch.setattr(world.project, "signature", lambda _root: (1, 2, 3, next(numbers), 4, 5, 6))
    assert "is being replaced by another program" in world.refused()
    assert world.reads == 10
    world.patch.setattr(world.project, "signature", lambda _root: None)
    assert world.project.read(str(world.top)) is None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "shop" / ".connvault").mkdir(parents=True)
    (tmp_path / "home" / "shop" / ".connvault" / "connections.json").write_bytes(text_of(ONE))
    return tmp_path / "home"


def test_a_file_that_may_not_be_looked_at_is_not_taken_for_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are not gone; as soon as it may, it is read."""
    project = ProjectFiles(server_root=str(home))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", denied)
        patched.setattr(os, "open", denied)
        with pytest.raises(WorkspaceFileInvalid, match=r"can't be read \(Permission denied\)"):
            project.read(str(home / "shop"))
    assert project.read(str(home / "shop")) is not None


def test_a_path_that_no_file_can_have_has_no_project(home: Path) -> None:
    """Its signature is that of nothing."""
    assert ProjectFiles(server_root=str(home)).signature(f"{home}/shop\0") is None


def test_a_pipe_in_the_folders_place_is_refused_without_waiting(home: Path) -> None:
    """Nobody writes into it."""
    folder = home / "shop" / ".connvault"
    (folder / "connections.json").unlink()
    folder.rmdir()
    os.mkfifo(folder)
    project = ProjectFiles(server_root=str(home))
    assert project.read(str(home / "shop")) is None
    with pytest.raises(WorkspaceFileInvalid, match="Replace it with a real file in a real folder"):
        project.change(str(home / "shop"), ONE, expected=None)


@pytest.mark.parametrize("name", ["home~", "~home"])
def test_a_root_with_a_tilde_in_its_name_is_a_root(tmp_path: Path, name: str) -> None:
    """It is no shell that reads it."""
    shop = tmp_path / name / "~shop"
    (shop / ".connvault").mkdir(parents=True)
    (shop / ".connvault" / "connections.json").write_bytes(text_of(ONE))
    project = ProjectFiles(server_root=str(tmp_path / name))
    assert project.nearest(str(shop)) == project.folder("/~shop") == project.folder("~shop") == str(shop)


@pytest.mark.parametrize(("more", "written"), [(0, True), (1, False)])
def test_a_file_of_256_kilobytes_is_written_and_no_larger_one(home: Path, more: int, written: bool) -> None:
    """And read again."""
    project = ProjectFiles(server_root=str(home))

    def noted(length: int) -> dict[str, WorkspaceBlock]:
        return {"a1": WorkspaceBlock(name="warehouse", provider_id="http", fields={"note": "x" * length})}

    largest = noted(256 * 1024 + more - len(text_of(noted(0))))
    assert len(text_of(largest)) == 256 * 1024 + more
    if written:
        project.change(str(home), largest, expected=None)
        assert project.read(str(home)) is not None
    else:
        with pytest.raises(WorkspaceFileInvalid, match="would be larger than 256 KiB"):
            project.change(str(home), largest, expected=None)
        assert project.read(str(home)) is None
