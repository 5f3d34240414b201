"""One warm JupyterLab a worker with a protected vault; each test brings its own connections and notebooks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from setup_hooks.postgresql import Login
from tests.support.broker.in_clear import WITH_PROVIDERS
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest

# Questions time out quickly enough for a test, and slowly enough for a busy machine to draw and answer one.
CONSENT_TIMEOUT_S = 20


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab whose vault is unlocked, with its REST door."""

    server: JupyterServer
    rest: Rest
    suffix: str = field(default_factory=lambda: secrets.token_hex(3))

    def notebook(self, *cells: str, name: str = "report") -> str:
        """A saved notebook of this test's own."""
        return self.server.write_notebook(f"{name}_{self.suffix}.ipynb", *cells)

    def name(self, base: str = "warehouse") -> str:
        return f"{base}_{self.suffix}"

    def end_kernels(self) -> None:
        for kernel in self.server.request("GET", "api/kernels").json():
            self.server.request("DELETE", f"api/kernels/{kernel['id']}")
        wait_until(
            lambda: not self.server.request("GET", "api/kernels").json(),
            deadline_s=20,
            what="the kernels' end",
        )


@pytest.fixture(scope="session")
def warm_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    config = {"ConnvaultExtension": {"consent_timeout_s": CONSENT_TIMEOUT_S}}
    with serve(tmp_path_factory.mktemp("lab"), config=config, env=WITH_PROVIDERS) as server:
        Rest(server).set_up()
        yield server


@pytest.fixture
def lab(warm_lab: JupyterServer) -> Iterator[Lab]:
    """The warm server, unlocked; afterwards without the test's connections, kernels and questions."""
    lab = Lab(warm_lab, Rest(warm_lab))
    lab.rest.set_up()
    yield lab
    lab.end_kernels()
    lab.rest.set_up()
    lab.rest.delete_all()


@pytest.fixture
def warehouse(lab: Lab, postgres_login: Login) -> str:
    """A ready PostgreSQL connection; its name."""
    name = lab.name()
    lab.rest.create_postgresql(name, postgres_login)
    return name


@pytest.fixture(scope="session")
def short_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server whose questions and lasting grants are over within seconds, for tests that wait for the end."""
    config = {"ConnvaultExtension": {"consent_timeout_s": 4, "for_s": 16}}
    with serve(tmp_path_factory.mktemp("short"), config=config) as server:
        Rest(server).set_up()
        yield server


@pytest.fixture
def short_lab(short_server: JupyterServer, postgres_login: Login) -> Iterator[Lab]:
    """Like `lab`, on the short server, with a ready PostgreSQL connection called `lab.name()`."""
    lab = Lab(short_server, Rest(short_server))
    lab.rest.set_up()
    lab.rest.create_postgresql(lab.name(), postgres_login)
    yield lab
    lab.end_kernels()
    lab.rest.delete_all()
