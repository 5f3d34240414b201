"""Who else could stand at the path of a socket: what the other end says of itself plays no part."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from connvault_jupyter.relays.local_sockets import connect_path, is_kept
from tests.support.folders import short_tmp_path as short_tmp_path

STRANGER = 4711


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes somebody else the owner of a folder."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, -1, follow_symlinks=False)
        else:
            # Then it is us who is somebody else.
            monkeypatch.setattr("connvault_jupyter.relays.local_sockets.os.geteuid", lambda: STRANGER)

    return give


@pytest.fixture
def everybodys(short_tmp_path: Path) -> Path:
    """A folder as `/tmp` is."""
    folder = short_tmp_path / "everybodys"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def kept(path: Path, listens_at: Path | str | None = None) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path if listens_at is None else listens_at))
        listener.listen()
        connect_path(str(path), timeout_s=5).close()
        return is_kept(str(path))


@pytest.fixture
def own(short_tmp_path: Path) -> Path:
    folder = short_tmp_path / "own"
    folder.mkdir(mode=0o755)
    return folder


def test_a_socket_in_a_folder_of_its_own_is_kept(own: Path) -> None:
    assert kept(own / "s")


def test_a_socket_in_everybodys_folder_is_not_kept(everybodys: Path) -> None:
    assert not kept(everybodys / "s")


def test_the_place_of_a_socket_counts_however_its_other_end_calls_itself(
    everybodys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative name means another place to whoever reads it."""
    monkeypatch.chdir(everybodys)
    assert not kept(everybodys / "s", listens_at="s")


def test_a_folder_that_somebody_has_made_in_everybodys_is_not_kept(
    everybodys: Path, strangers: Callable[[Path], None]
) -> None:
    """Whatever its own mode is; one's own is."""
    folder = everybodys / "made"
    folder.mkdir(mode=0o755)
    assert kept(folder / "s")
    strangers(folder)
    assert not kept(folder / "t")


def test_a_link_that_somebody_has_made_in_everybodys_leads_nowhere(
    everybodys: Path, own: Path, strangers: Callable[[Path], None]
) -> None:
    """Also where it is met on the way of another one."""
    link = everybodys / "link"
    link.symlink_to(own)
    further = own / "further"
    further.symlink_to(link)
    assert kept(further / "s")
    strangers(link)
    assert not kept(link / "t")
    assert not kept(further / "u")


def test_links_without_an_end_lead_nowhere(own: Path) -> None:
    (own / "a").symlink_to("b")
    (own / "b").symlink_to("a")
    assert not is_kept(str(own / "a" / "s"))
