"""`jupyter connvault`: other programs use a connection, in a notebook by variables, in a terminal by `run`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.cli.main import written
from setup_hooks.postgresql import Login
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import clean_environment
from tests.support.browser.rest import postgresql_fields

_NAME = "warehouse"


@pytest.fixture
def notebooks(short_tmp_path: Path, postgres_login: Login) -> Iterator[Notebooks]:
    with operated_broker(short_tmp_path) as (operator, socket_path):
        operator.create(
            _NAME, "postgresql", postgresql_fields(postgres_login), {"password": postgres_login.password}
        )
        yield Notebooks(operator, home=short_tmp_path, socket_path=socket_path)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "connvault_jupyter.cli.main", *words]


def _run(notebooks: Notebooks, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(home, {"CONNVAULT_SOCKET": notebooks.socket_path})
    return subprocess.run(
        _command(*words), env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_when_run_in_a_terminal_the_command_uses_the_connection(
    notebooks: Notebooks, short_tmp_path: Path, postgres_login: Login
) -> None:
    """psql gets a session and no password; the question said that a script asked."""
    done = _run(
        notebooks,
        short_tmp_path,
        "run",
        _NAME,
        "--reason",
        "count",
        "--",
        "psql",
        "-Atc",
        "select current_user",
    )
    assert done.stdout.strip() == postgres_login.user, done.stderr
    assert postgres_login.password not in done.stdout + done.stderr
    assert notebooks.asked()[0]["mode"] == "brokered"
    assert notebooks.asked()[0]["reasons"] == ["count"]


def test_when_used_in_a_notebook_its_shell_gets_the_variables(
    notebooks: Notebooks, short_tmp_path: Path, postgres_login: Login
) -> None:
    """A shell that a cell starts asks as the notebook, and what it starts may use what it got."""
    script = f'eval "$({" ".join(_command("env", _NAME))})" && psql -Atc "select current_database()"'
    code = (
        "__import__('subprocess').run(['sh', '-c', " + repr(script) + "], capture_output=True, text=True, "
        "env={**__import__('os').environ, 'JPY_PARENT_PID': '1'}).stdout.strip()"
    )
    with notebooks.open("report.ipynb") as kernel:
        assert kernel.run(code) == postgres_login.database
    assert [question["requester"]["label"] for question in notebooks.asked()] == ["report.ipynb"]


def test_env_in_a_terminal_says_what_to_do(notebooks: Notebooks, short_tmp_path: Path) -> None:
    """The variables would lead nowhere: whoever asked has ended when they are used."""
    done = _run(notebooks, short_tmp_path, "env", _NAME)
    assert done.returncode == 77
    assert done.stdout == ""
    assert "jupyter connvault run" in done.stderr


def test_a_command_that_is_refused_its_connection_does_not_run(
    notebooks: Notebooks, short_tmp_path: Path
) -> None:
    """An unknown name, and its reason on standard error."""
    mark = short_tmp_path / "ran"
    done = _run(notebooks, short_tmp_path, "run", "warehaus", "--", "touch", str(mark))
    assert done.returncode == 77
    assert "warehouse" in done.stderr
    assert not mark.exists()


@pytest.mark.parametrize("words", [("--", "no-such-program-here"), ("--",), ()])
def test_a_command_that_is_not_there_is_told(
    notebooks: Notebooks, short_tmp_path: Path, words: tuple[str, ...]
) -> None:
    """As a shell does: 127."""
    assert _run(notebooks, short_tmp_path, "run", _NAME, *words).returncode == 127


def test_variables_written_for_a_shell_execute_nothing() -> None:
    """Values are quoted, whatever they hold."""
    value = "a'b $(touch x) `y` \n \\"
    done = subprocess.run(
        ["sh", "-c", written({"VALUE": value}, "shell") + '\nprintf "%s" "$VALUE"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == value
    assert json.loads(written({"VALUE": value}, "json")) == {"VALUE": value}
