"""A process that is killed at each write of a change of the vault leaves all of the old state or all of the new one.

Here at a few writes of each. `make crash` tries all of them, and writes how many there were into build/crash.txt.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.errors import ConnvaultError
from tests.support.canary import CANARY
from tests.support.services.crash_points import CONNECTIONS, OPERATIONS, cases, killed, made, performed, state
from tests.support.services.kill_points import ROOT, chosen, kill_points

ALL = "CONNVAULT_CRASH_POINTS" in os.environ
FEW = 4

# Each write is synced, in a process of its own for each of them: on a busy disk that takes its time.
pytestmark = pytest.mark.timeout(3600 if ALL else 600)

REPORT = ROOT / "build" / "crash.txt"


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one: a killed process loses nothing that it has written, and each sync of a
    disk takes its time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("crash")
        return
    with TemporaryDirectory(dir="/dev/shm", prefix="connvault-crash-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def vaults(memory: Path) -> dict[ConnectionStoreKind, Path]:
    return {store: made(memory / store, store) for store in ("sqlite", "json")}


@pytest.fixture
def out(memory: Path) -> Iterator[Path]:
    folder = memory / "out"
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("name", "store"), cases(), ids=lambda word: word)
def test_wherever_it_is_killed_all_is_old_or_all_is_new(
    vaults: dict[ConnectionStoreKind, Path], out: Path, name: str, store: ConnectionStoreKind
) -> None:
    """What opened the vault before, or what opens it after, opens it; connections, secrets, permissions and the record
    are those of then; and what was killed is done by doing it again."""
    steps = kill_points(killed, vaults[store], out, name, store, most=None if ALL else FEW)
    assert "COMMIT" in steps
    old = state(Path(shutil.copytree(vaults[store], out / "base")))
    new = state(out / str(len(steps)))
    assert [secrets for *_, secrets in old["connections"]] == [{"password": CANARY}] * len(CONNECTIONS)
    assert old["delivered"] == CANARY
    assert old != new
    became_new = None
    tried = [at for at in range(len(steps)) if (out / str(at)).exists()]
    for at in tried:
        again = Path(shutil.copytree(out / str(at), out / "again"))
        found = state(out / str(at))
        assert found in (old, new), (at, steps[at])
        if became_new is None and found == new:
            became_new = at
        # It becomes new once, and is never old again after that.
        assert (found == new) is (became_new is not None), (at, steps[at])
        _done_again(again, name, store, done=found == new, new=new)
        shutil.rmtree(again)
        shutil.rmtree(out / str(at))
    # At the commit, not before and not long after.
    decided = max(at for at, step in enumerate(steps) if step == "COMMIT")
    assert became_new is None or became_new > decided, steps[became_new:]
    if ALL:
        _report(name, store, len(tried))


def _done_again(folder: Path, name: str, store: ConnectionStoreKind, *, done: bool, new: object) -> None:
    """Raises: AssertionError: what was killed can't be done, or leaves something half when it is done twice."""
    if not done:
        performed(folder, name, store)
        assert state(folder) == new
        # Of what was begun to be written, nothing is left.
        assert not [*folder.glob("*.part")]
        return
    if OPERATIONS[name].again:
        performed(folder, name, store)
    else:
        with pytest.raises((ConnvaultError, ValueError)):
            performed(folder, name, store)
    state(folder)


def _report(name: str, store: str, points: int) -> None:
    REPORT.parent.mkdir(exist_ok=True)
    # Several processes may do so at once.
    with REPORT.open("a") as report:
        report.write(f"{points:4} {name}, {store}\n")


def test_a_few_points_are_those_around_the_commit_and_others() -> None:
    """So that none is tried twice, and with more than there are, all are."""
    steps = ["INSERT"] * 20 + ["COMMIT", "os.replace", "os.fsync"]
    assert chosen(steps, 4) == [0, 20, 21, 22]
    assert chosen(steps, 6) == [0, 4, 7, 20, 21, 22]
    assert chosen(steps, 100) == [*range(23)]
    assert chosen(["INSERT", "COMMIT"], 1) == [1]
