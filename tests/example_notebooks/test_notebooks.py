"""The tutorials run as they are shipped, cell by cell, against a real broker and a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from setup_hooks.postgresql import PostgresServer
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import clean_environment
from tests.support.browser.rest import postgresql_fields

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.mark.timeout(300)
def test_first_steps_runs_from_top_to_bottom(
    short_tmp_path: Path, postgres: PostgresServer, tmp_path: Path
) -> None:
    """A person by rule answers; every cell of the notebook gives what is stored in it."""
    login = postgres.create_login("app_first_steps", database="shop")
    postgres.execute((NOTEBOOKS.parent / "setup_hooks" / "orders.sql").read_text(), database="shop")
    with operated_broker(short_tmp_path) as (operator, socket_path):
        operator.create("warehouse", "postgresql", postgresql_fields(login), {"password": login.password})
        environment = clean_environment(tmp_path, {"CONNVAULT_SOCKET": socket_path})
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "--nbval",
                "-p",
                "no:cacheprovider",
                str(NOTEBOOKS / "first_steps.ipynb"),
            ],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert " skipped" not in done.stdout
        assert operator.asked, "the notebook asked for nothing"
    postgres.drop_login(login)
