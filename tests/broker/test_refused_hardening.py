"""A system that refuses what the broker closes itself with: it serves, and says so to the person."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.broker.processes import clean_environment

# Closed from the start by what may be executed only, it would need no prctl; so that way is taken from it.
STARTED = """
import sys
from pathlib import Path
from connvault_jupyter.broker import spawn
from tests.support.broker.operator import operated_broker
from tests.support.broker.seccomp import refuse_prctl
spawn.unreadable_loader = lambda: None
refuse_prctl(*map(int, sys.argv[2:]))
with operated_broker(Path(sys.argv[1])) as (operator, _):
    print(operator.broker.ready.result(30).non_dumpable)
    print(operator.call("vault.state")["hardening_detail"])
"""

# <linux/prctl.h>.
PDEATHSIG, GET_DUMPABLE, SET_DUMPABLE = 1, 3, 4


def said_with(home: Path, *refused: int) -> list[str]:
    """(whether it is closed, what it says of that)"""
    done = subprocess.run(
        [sys.executable, "-c", STARTED, str(home), *map(str, refused)],
        env={**clean_environment(home), "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:2]


def test_where_nothing_is_refused_nothing_is_said(short_tmp_path: Path) -> None:
    """Another option than those that it uses."""
    assert said_with(short_tmp_path, 999) == ["True", ""]


@pytest.mark.parametrize("refused", [(SET_DUMPABLE,), (GET_DUMPABLE,), (GET_DUMPABLE, SET_DUMPABLE)])
def test_a_memory_that_can_not_be_closed_is_told_in_the_panel(
    short_tmp_path: Path, refused: tuple[int, ...]
) -> None:
    """Also where it can't be told whether it is."""
    closed, said = said_with(short_tmp_path, *refused)
    assert closed == "False"
    assert "could not protect its memory" in said
    assert "prctl" in said


def test_an_end_that_may_come_late_is_told_too(short_tmp_path: Path) -> None:
    closed, said = said_with(short_tmp_path, PDEATHSIG)
    assert closed == "True"
    assert "after the server is killed" in said
    assert "memory" not in said
