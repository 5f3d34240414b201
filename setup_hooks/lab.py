"""`make lab`: JupyterLab on the first steps, with a database to try them on, and nothing of it left when it ends.

The demo keeps its Jupyter folders, a copy of the notebooks and its vault in build/lab, so the person's own settings are
neither read nor changed. The database's login is drawn anew each time and shown in this terminal only: in a notebook
it would be what this project is there to prevent. $CONNVAULT_LAB_ARGS is handed to `jupyter lab`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from setup_hooks.postgresql import Login, PostgresServer, PostgresUnavailable  # noqa: E402 (run as a script)

HOME = ROOT / "build" / "lab"
NOTEBOOK = Path("notebooks") / "first_steps.ipynb"
TABLE = ROOT / "setup_hooks" / "orders.sql"
KIND = ROOT / "connvault_jupyter" / "providers" / "catalogue" / "postgresql.json"


def main() -> int:
    environment = fresh_home()
    try:
        with PostgresServer(log_file=HOME / "postgres.log") as database:
            login = database.create_login("analyst", database="shop")
            database.execute(TABLE.read_text(), database=login.database)
            introduce(login)
            return run_lab(environment)
    except PostgresUnavailable as exc:
        print(f"make lab: {exc}", file=sys.stderr)
        return 1


def fresh_home() -> dict[str, str]:
    """An empty build/lab with a copy of the notebooks; the environment that makes Jupyter keep to it."""
    shutil.rmtree(HOME, ignore_errors=True)
    folders = {
        "JUPYTER_CONFIG_DIR": HOME / "config",
        "JUPYTER_DATA_DIR": HOME / "data",
        "JUPYTER_RUNTIME_DIR": HOME / "runtime",
        "IPYTHONDIR": HOME / "ipython",
    }
    for folder in folders.values():
        folder.mkdir(parents=True)
    folders["JUPYTER_RUNTIME_DIR"].chmod(0o700)
    root = HOME / "root"
    root.mkdir()
    if (ROOT / "notebooks").is_dir():
        shutil.copytree(
            ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
        )
    # A question about news, on top of the first dialog that anybody should see here.
    quiet = folders["JUPYTER_CONFIG_DIR"] / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    return {**os.environ, **{name: str(folder) for name, folder in folders.items()}}


def introduce(login: Login) -> None:
    """Prints the login in the words and the order of the form, which come from the same file."""
    kind = json.loads(KIND.read_text())
    values = {
        "host": login.host,
        "port": str(login.port),
        "database": login.database,
        "user": login.user,
        "password": login.password,
        "sslmode": "disable",
    }
    lines = [("Name used in code", "warehouse")]
    for name, value in values.items():
        field = kind["fields"]["properties"][name]
        titles = {option["const"]: option["title"] for option in field.get("oneOf", [])}
        lines.append((field["title"], titles.get(value, value)))
    width = max(len(title) for title, _ in lines)
    form = "\n".join(f"      {title:<{width}}  {value}" for title, value in lines)
    print(
        f"""
  A {kind["name"]} to try it on, until JupyterLab ends. It has one table: orders.
  In JupyterLab: Connections (the shield at the left), New, {kind["name"]}, and then

{form}
""",
        flush=True,
    )


def run_lab(environment: Mapping[str, str]) -> int:
    """Runs JupyterLab until it ends; Ctrl+C is its own to answer, and it asks before it stops."""
    argv = [
        sys.executable,
        "-m",
        "connvault_jupyter.cli.main",
        "lab",
        f"--ServerApp.root_dir={HOME / 'root'}",
    ]
    # Warnings only: the login above is to stay in sight. The address is printed all the same.
    argv += ["--log-level=WARN", "--LabApp.log_level=WARN", "--ConnvaultExtension.log_level=WARN"]
    if os.geteuid() == 0:
        argv.append("--allow-root")
    argv += shlex.split(os.environ.get("CONNVAULT_LAB_ARGS", ""))
    if (HOME / "root" / NOTEBOOK).exists():
        # In the address that is printed, too: the browser may be on another machine.
        argv += [f"--LabApp.default_url=/lab/tree/{NOTEBOOK}", str(HOME / "root" / NOTEBOOK)]

    def leave_it_to_jupyterlab(_number: int, _frame: FrameType | None) -> None:
        """The terminal sends Ctrl+C to both; this process must outlive JupyterLab to stop the database."""

    signal.signal(signal.SIGINT, leave_it_to_jupyterlab)
    lab = subprocess.Popen(argv, env=dict(environment), cwd=HOME / "root")

    def end_jupyterlab(_number: int, _frame: FrameType | None) -> None:
        lab.terminate()

    signal.signal(signal.SIGTERM, end_jupyterlab)
    signal.signal(signal.SIGHUP, end_jupyterlab)
    return lab.wait()


if __name__ == "__main__":
    sys.exit(main())
