"""`jupyter connvault run`: whoever may start it for one command could start it for another."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import clean_environment, wait_until
from tests.support.canary import CANARY

FIELDS = {"host": "127.0.0.1", "port": 1, "sslmode": "disable"}
PROGRAM = f"#!{sys.executable}\nimport sys\nfrom connvault_jupyter.cli.main import main\nsys.exit(main())\n"


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Operator, Path, str]]:
    """The server's root is the home directory."""

    def rule(_question: dict[str, Any]) -> str:
        return "session"

    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        home = Path(name)
        with operated_broker(home, rule=rule) as (operator, path):
            operator.create("cache", "redis", FIELDS, {"password": CANARY})
            yield operator, home, path


def run(world: tuple[Operator, Path, str], program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    _, home, path = world
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, str(program), *words],
        env=clean_environment(home, {"CONNVAULT_SOCKET": path}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=home,
    )


PLACES = {
    "conda": ("miniconda3/bin/jupyter-connvault", "miniconda3/conda-meta"),
    "virtual environment": (".venv/bin/jupyter-connvault", ".venv/pyvenv.cfg"),
    "of the user": (".local/bin/jupyter-connvault", ""),
}


@pytest.mark.parametrize(("program", "mark"), PLACES.values(), ids=PLACES)
def test_the_launcher_gets_nothing_lasting(
    world: tuple[Operator, Path, str], program: str, mark: str
) -> None:
    """Or a yes for ever to one command would be a yes to all: the launcher is who asks, whatever it starts."""
    operator, home, _ = world
    if mark:
        (home / mark).mkdir(parents=True)
    done = run(world, home / program, "run", "cache", "--", "echo", "started")
    assert done.stdout == "started\n", done.stderr
    question = operator.asked[-1]
    assert question["requester"]["kind"] == "script"
    assert "always" not in question["durations"]
    assert "for" not in question["durations"]


def test_a_persons_own_script_may_get_something_lasting(world: tuple[Operator, Path, str]) -> None:
    """The positive control."""
    operator, home, _ = world
    done = run(world, home / "work" / "report.py", "run", "cache", "--", "echo", "started")
    assert done.stdout == "started\n", done.stderr
    assert "always" in operator.asked[-1]["durations"]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "cache", "--tcp", "--", "env"),
        ("run", "cache", "--", "cat", "/proc/self/environ"),
        ("env", "cache"),
        ("env", "cache", "--format", "json", "--tcp"),
    ],
    ids=" ".join,
)
def test_no_secret_is_in_what_a_command_gets(
    world: tuple[Operator, Path, str], words: tuple[str, ...]
) -> None:
    """In its environment, or in what is printed."""
    done = run(world, world[1] / "work" / "report.py", *words)
    assert CANARY not in done.stdout + done.stderr
    assert ("REDIS_URL" in done.stdout) == (words[0] == "run")


def test_a_handle_ends_with_the_command(world: tuple[Operator, Path, str]) -> None:
    """Nothing is left for what comes later."""
    words = ("run", "cache", "--", "sh", "-c", 'echo "$REDIS_SOCKET"')
    place = Path(run(world, world[1] / "work" / "report.py", *words).stdout.strip())
    assert place.is_absolute()
    wait_until(lambda: not place.exists(), deadline_s=15, what="the handle's place to go")
