"""The session bus at its usual place, for what cron starts; and why there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.vault.session_bus import ADDRESS, join

UID = os.geteuid()


@pytest.fixture
def bus(short_tmp_path: Path) -> Iterator[Path]:
    """As systemd has it for this user."""
    folder = short_tmp_path / str(UID)
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "bus"))
        yield folder / "bus"


def joined(bus: Path, environment: dict[str, str], platform: str = "linux", uid: int = UID) -> str:
    return join(environment, folders=bus.parents[1], platform=platform, uid=uid)


def test_without_an_address_the_usual_place_is_named(bus: Path) -> None:
    """For the libraries that look there."""
    environment: dict[str, str] = {}
    assert joined(bus, environment) == ""
    assert environment == {ADDRESS: f"unix:path={bus}"}


def test_an_address_stays(bus: Path) -> None:
    """Somebody has chosen it, even if nothing answers there."""
    environment = {ADDRESS: "unix:path=/elsewhere"}
    assert joined(bus, environment) == ""
    assert environment == {ADDRESS: "unix:path=/elsewhere"}


def test_elsewhere_than_on_linux_none_is_needed(bus: Path) -> None:
    """The Keychain has its own way."""
    environment: dict[str, str] = {}
    assert joined(bus, environment, platform="darwin") == ""
    assert environment == {}


def test_where_nobody_is_logged_in_it_says_so(tmp_path: Path) -> None:
    """And what to do about it."""
    environment: dict[str, str] = {}
    assert "enable-linger" in join(environment, folders=tmp_path, platform="linux")
    assert environment == {}


@pytest.mark.parametrize("what", ["a file", "a link", "a folder that others write", "somebody else's"])
def test_what_is_not_our_own_bus_is_not_used(bus: Path, what: str) -> None:
    """Whoever answers there is given the key of a new vault."""
    uid = UID
    if what == "a file":
        bus.unlink()
        bus.touch()
    elif what == "a link":
        bus.rename(bus.with_name("real"))
        bus.symlink_to("real")
    elif what == "a folder that others write":
        bus.parent.chmod(0o777)
    else:
        uid = UID + 1
        bus.parent.rename(bus.parents[1] / str(uid))
        bus = bus.parents[1] / str(uid) / "bus"
    environment: dict[str, str] = {}
    assert "not this user's own" in joined(bus, environment, uid=uid)
    assert environment == {}
