"""The tutorials run as they are shipped, cell by cell, against a real broker and a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from setup_hooks.postgresql import PostgresServer
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import clean_environment, wait_until
from tests.support.browser.rest import postgresql_fields
from tests.support.services.projects import Project

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


@pytest.mark.timeout(300)
def test_teams_runs_from_top_to_bottom(
    short_tmp_path: Path, postgres: PostgresServer, tmp_path: Path
) -> None:
    """In a project of its own, whose file it changes and puts back; one of two connections was accepted."""
    login = postgres.create_login("app_teams", database="shop")
    shop = Project(short_tmp_path / "shop")
    shop.root.mkdir()
    shop.put("w", name="warehouse", provider_id="postgresql", fields=postgresql_fields(login))
    shop.put("p", name="playground", provider_id="postgresql", fields=postgresql_fields(login))
    before = shop.file.read_bytes()
    notebook = shop.root / "teams.ipynb"
    notebook.write_bytes((NOTEBOOKS / "teams.ipynb").read_bytes())
    with operated_broker(short_tmp_path) as (operator, socket_path):
        found = operator.call("workspaces.list", {"paths": ["shop/teams.ipynb"]})["workspaces"][0]
        digest = next(one["digest"] for one in found["entries"] if one["id"] == "w")
        operator.call(
            "workspaces.accept",
            {
                "workspace": {"root": found["root"], "id": "w"},
                "digest": digest,
                "secrets": {"password": {"value": login.password}},
            },
        )
        environment = clean_environment(tmp_path, {"CONNVAULT_SOCKET": socket_path})
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", notebook.name],
            env=environment,
            cwd=shop.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with running:
            # As a server would: else it is a process without a notebook, which sees no project.
            row = {"kernel_id": "k", "pid": _kernel_below(running), "display_name": "Python 3"}
            document = {"path": "shop/teams.ipynb", "type": "notebook", "saved": True}
            operator.call("supervision.kernels", {"kernels": [{**row, "documents": [document]}]})
            out, _ = running.communicate(timeout=240)
        assert running.returncode == 0, out[-6000:]
        assert " skipped" not in out
        assert operator.asked, "the notebook asked for nothing"
    assert shop.file.read_bytes() == before
    postgres.drop_login(login)


def _kernel_below(running: subprocess.Popen[str]) -> int:
    """The pid of the kernel that this process starts."""

    def found() -> list[int]:
        return [
            one.pid
            for one in psutil.Process(running.pid).children(recursive=True)
            if any("ipykernel" in part for part in _arguments(one))
        ]

    wait_until(lambda: bool(found()), deadline_s=120, what="the kernel")
    return found()[0]


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
