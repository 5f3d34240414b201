"""The bootstrap repeats exactly what has changed, and says what it cannot get."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from setup_hooks import bootstrap

REQUIREMENTS = bootstrap.ROOT / "requirements"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    (tmp_path / "made").mkdir()
    (tmp_path / "lock").write_text("one")
    return tmp_path


def is_stale(checkout: Path) -> bool:
    with bootstrap.step(checkout / "made", "lock", [checkout / "lock"]) as stale:
        return stale


def test_a_step_done_once_is_not_repeated(checkout: Path) -> None:
    """First it is to be done, then it is done."""
    assert [is_stale(checkout), is_stale(checkout)] == [True, False]


def test_a_changed_input_repeats_its_step(checkout: Path) -> None:
    """The content counts, not the time stamp."""
    is_stale(checkout)
    (checkout / "lock").write_text("two")
    assert is_stale(checkout)


def test_a_failed_step_is_done_again(checkout: Path) -> None:
    """No stamp for what did not end well."""
    with (
        pytest.raises(RuntimeError),
        bootstrap.step(checkout / "made", "lock", [checkout / "lock"]),
    ):
        raise RuntimeError
    assert is_stale(checkout)


def test_a_missing_input_is_named(checkout: Path) -> None:
    """A checkout without its lock file is not complete, and the message says which file."""
    with (
        pytest.raises(bootstrap.Missing, match="absent"),
        bootstrap.step(checkout / "made", "x", [checkout / "absent"]),
    ):
        pass


def test_what_is_built_is_no_source(checkout: Path) -> None:
    """Else each build would make the next one necessary."""
    for name in ("node_modules/a.js", "lib/index.js", "src/index.ts", "tsconfig.tsbuildinfo"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
    found = {path.relative_to(checkout).as_posix() for path in bootstrap.files_below(checkout)}
    assert found == {"src/index.ts", "lock"}


def test_without_apt_the_message_names_package_and_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user learns what to install, and with which command."""
    absent = bootstrap.Program(("no-such-program",), "its-package", "the tests of it")
    monkeypatch.setattr(bootstrap, "can_apt", lambda: False)
    with pytest.raises(
        bootstrap.Missing, match=r"no-such-program \(the tests of it\).*apt-get install its-package"
    ):
        bootstrap.install_programs([absent], postgresql=False)


@pytest.mark.parametrize("version", ["v18.20.0", "nonsense", ""])
def test_an_old_node_is_not_taken(version: str, tmp_path: Path) -> None:
    """One that is too old, or answers strangely, counts as none."""
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    assert not bootstrap.node_works({"PATH": str(tmp_path)})


@pytest.mark.parametrize("lock", sorted(REQUIREMENTS.glob("*.lock")), ids=lambda path: path.name)
def test_a_lock_holds_names_and_versions_only(lock: Path) -> None:
    """No download address, no path, no option: each machine asks the index that it is set up for."""
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
