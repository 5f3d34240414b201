"""A real Jupyter Server in a process of its own, with folders of its own, reached with its token only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import pytest
import requests

from setup_hooks.postgresql import free_port

from ..broker.processes import clean_environment, running, wait_until

App: TypeAlias = Literal["lab", "server", "notebook"]
Config: TypeAlias = Mapping[str, Mapping[str, Any]]

# A cold start with JupyterLab takes 2-4 s on two busy cores.
READY_DEADLINE_S = 60.0


@dataclass(frozen=True)
class JupyterServer:
    """Where a running server is and how to talk to it. `env` is what it was started with."""

    url: str
    token: str = field(repr=False)
    pid: int
    root: Path
    home: Path
    log_file: Path
    env: Mapping[str, str] = field(repr=False)

    @property
    def data_dir(self) -> Path:
        return Path(self.env["JUPYTER_DATA_DIR"])

    @property
    def runtime_dir(self) -> Path:
        return Path(self.env["JUPYTER_RUNTIME_DIR"])

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        token: bool | str = True,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> requests.Response:
        """One HTTP request, no redirect followed. `token=False` sends none, a string sends that one."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"token {self.token if token is True else token}"
        kwargs.setdefault("timeout", 30)
        kwargs.setdefault("allow_redirects", False)
        return requests.request(method, self.url + path.lstrip("/"), json=json, headers=sent, **kwargs)  # noqa: S113 (set above)

    def page_url(self, path: str) -> str:
        """The address to open in a fresh browser: it logs in by the token once."""
        mark = "&" if "?" in path else "?"
        return f"{self.url}{path.lstrip('/')}{mark}token={self.token}"

    def write_notebook(self, name: str, *cells: str) -> str:
        """A notebook with these code cells in the server's root; returns its path below the root, for URLs."""
        document = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{index}",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": source,
                }
                for index, source in enumerate(cells)
            ],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document))
        return quote(name)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def lost_a_port(self, *, since: int) -> bool:
        """Whether, since the log had this many bytes, a kernel found a port taken that Jupyter had chosen for it.

        Jupyter asks the system for free ports, and the kernel binds them a second later. It is restarted with
        others, and a page or WebSocket that was about to connect never hears of it.
        """
        with self.log_file.open("rb") as log:
            log.seek(since)
            return b"ZMQError: Address already in use" in log.read()

    def end_kernel(self, path: str) -> None:
        """Ends the sessions of the notebook at `path` below the root, and their kernels."""
        for session in self.request("GET", "api/sessions").json():
            if session["path"] == path:
                self.request("DELETE", f"api/sessions/{session['id']}")


@contextmanager
def serve(
    home: Path,
    *,
    app: App = "lab",
    config: Config | None = None,
    env: Mapping[str, str] | None = None,
    inside: Sequence[str] = (),
    launched: bool = False,
) -> Iterator[JupyterServer]:
    """Starts `jupyter <app>` with everything it keeps below `home`; ready when it answers, ended by pid.

    `config` is laid over the server's JSON configuration, class by class. `env` is added to the clean environment.
    `inside` is a command that executes its last arguments in its own place (`unshare -m`). `launched`: by
    `jupyter connvault`.
    """
    token, port = secrets.token_hex(24), free_port()
    folders = {name: home / name for name in ("config", "data", "runtime", "ipython", "root")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    folders["runtime"].chmod(0o700)
    environment = clean_environment(
        home,
        {
            "JUPYTER_CONFIG_DIR": str(folders["config"]),
            "JUPYTER_DATA_DIR": str(folders["data"]),
            "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
            "IPYTHONDIR": str(folders["ipython"]),
            "JUPYTER_PLATFORM_DIRS": "1",
            **(env or {}),
        },
    )
    _configure(folders["config"], folders["root"], port=port, token=token, extra=config or {})
    log_file = home / "server.log"
    url = f"http://127.0.0.1:{port}/"
    with running(
        [*inside, "jupyter", *(["connvault"] if launched else []), app],
        log_file=log_file,
        env=environment,
        cwd=folders["root"],
    ) as process:
        server = JupyterServer(url, token, process.pid, folders["root"], home, log_file, environment)
        wait_until(
            lambda: _answers(server),
            deadline_s=READY_DEADLINE_S,
            what=f"jupyter {app} at {url}",
            process=process,
            log_file=log_file,
        )
        yield server


def _configure(config_dir: Path, root: Path, *, port: int, token: str, extra: Config) -> None:
    settings: dict[str, dict[str, Any]] = {
        "Application": {"log_level": "DEBUG"},
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "allow_root": True,
            "root_dir": str(root),
            "allow_unauthenticated_access": False,
            "disable_check_xsrf": False,
        },
        "IdentityProvider": {"token": token},
    }
    for name, traits in extra.items():
        settings[name] = {**settings.get(name, {}), **traits}
    # In a file, not in argv: arguments are for everyone on the machine to read.
    target = config_dir / "jupyter_server_config.json"
    target.touch(mode=0o600)
    target.write_text(json.dumps(settings))
    # Otherwise a first start asks whether to fetch news, in a notification that covers other things.
    quiet = config_dir / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True, exist_ok=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )


def _answers(server: JupyterServer) -> bool:
    try:
        return server.request("GET", "api/status", timeout=5).status_code == 200
    except (requests.ConnectionError, requests.Timeout):
        return False


StartJupyterServer: TypeAlias = Callable[..., JupyterServer]


@pytest.fixture(scope="session")
def jupyter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """One warm `jupyter lab` a worker, for tests that leave it as they found it."""
    with serve(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture
def start_jupyter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartJupyterServer]:
    """Starts a server of the test's own: `start_jupyter_server(app=..., config=..., env=..., home=...)`.

    With an earlier server's `home` it is that server started again: same vault, same root.
    """
    with ExitStack() as started:

        def start(*, home: Path | None = None, **kwargs: Any) -> JupyterServer:
            return started.enter_context(serve(home or tmp_path_factory.mktemp("jupyter"), **kwargs))

        yield start
