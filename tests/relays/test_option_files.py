"""Option files of handles: what is in them, and for how long they are there."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from connvault_jupyter.relays.option_files import OptionFiles
from connvault_jupyter.services.relay_ports import RelayEndpoint


def _place(directory: Path, *, port: int | None = None) -> RelayEndpoint:
    return RelayEndpoint(str(directory), str(directory / "s"), port, "the-token", True)


def _printed(folder: Path) -> str:
    """What MariaDB's client makes of it, after the machine's own files."""
    done = subprocess.run(
        ["mysqldump", "--print-defaults"],
        env={"MYSQL_HOME": str(folder), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_client_reads_where_to_go_last(tmp_path: Path) -> None:
    """Whatever signs the path has."""
    directory = tmp_path / "a b#c'd\\e"
    OptionFiles().write("mysql", _place(directory, port=4711), run="r")
    folder = Path(f"{directory}.options")
    assert f"--protocol=socket --host=localhost --socket={directory}/s" in _printed(folder)
    assert "--protocol=tcp --host=127.0.0.1 --port=4711 --password=" in _printed(folder / "tcp")


def test_nobody_else_can_read_an_option_file(tmp_path: Path) -> None:
    """The handle's token is in it."""
    OptionFiles().write("mysql", _place(tmp_path / "h", port=1), run="r")
    for path in (tmp_path / "h.options").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_new_token_is_written(tmp_path: Path) -> None:
    """The place was opened again; what is the same is left alone."""
    files = OptionFiles()
    files.write("mysql", _place(tmp_path / "h", port=1), run="r")
    path = tmp_path / "h.options" / "tcp" / "my.cnf"
    before = path.stat().st_ino
    files.write("mysql", _place(tmp_path / "h", port=1), run="r")
    assert path.stat().st_ino == before
    files.write("mysql", _place(tmp_path / "h", port=2), run="r")
    assert 'port="2"' in path.read_text()


def test_a_link_in_the_place_of_option_files_leads_nowhere(tmp_path: Path) -> None:
    """Code of the same user may have put it there."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "h.options").symlink_to(tmp_path / "mine")
    OptionFiles().write("mysql", _place(tmp_path / "h"), run="r")
    assert list((tmp_path / "mine").iterdir()) == []
    assert (tmp_path / "h.options" / "my.cnf").exists()


def test_option_files_go_with_the_run(tmp_path: Path) -> None:
    """And not before, whatever becomes of the handle."""
    files = OptionFiles()
    files.write("mysql", _place(tmp_path / "one"), run="over")
    files.write("mysql", _place(tmp_path / "two"), run="alive")
    files.tidy(lambda run: run == "alive")
    assert [path.name for path in tmp_path.iterdir()] == ["two.options"]
    files.write("mysql", _place(tmp_path / "one"), run="alive")
    assert (tmp_path / "one.options" / "my.cnf").exists()


def test_other_protocols_have_none(tmp_path: Path) -> None:
    """Their programs believe variables."""
    OptionFiles().write("redis", _place(tmp_path / "h", port=1), run="r")
    assert list(tmp_path.iterdir()) == []
