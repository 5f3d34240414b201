"""Two people and one git repository: what one commits in the panel, the other accepts in theirs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import Login
from tests.support.browser.browser import open_notebook, run_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.jupyter_server import JupyterServer, StartJupyterServer
from tests.support.browser.rest import Rest, postgresql_fields

from .conftest import Lab
from .test_screenshots import PICTURES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.e2e

FILE = ".connvault/connections.json"
ASK = '%load_ext connvault_jupyter\nfrom connvault_jupyter import connection\nh = connection("sales")'
READ = 'h.connect().execute("select 41 + 1").fetchone()[0]'


class Person:
    """Somebody's clone, in their own JupyterLab, on a page of their own."""

    def __init__(self, page: Page, server: JupyterServer, origin: Path, folder: str) -> None:
        self.page = page
        self.server = server
        self.rest = Rest(server)
        self.folder = folder
        self.clone = server.root / folder
        _git(server.root, "clone", "--quiet", str(origin), folder)
        self.notebook = server.write_notebook(f"{folder}/report.ipynb", ASK, READ, ASK)

    def open(self) -> Locator:
        """The panel, beside the project's notebook."""
        open_notebook(self.page, self.server, self.notebook)
        return ConnectionsPanel(self.page).open().box

    def commits(self) -> None:
        _git(self.clone, "add", FILE)
        _git(self.clone, "commit", "--quiet", "--message", "Connections")
        _git(self.clone, "push", "--quiet", "origin", "HEAD:main")

    def pulls(self) -> None:
        _git(self.clone, "pull", "--quiet", "origin", "main")

    def picture(self, name: str) -> None:
        folder = PICTURES / "teams"
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png", animations="disabled")


def test_two_people_share_a_connection_and_no_secret(
    page: Page,
    browser: Browser,
    lab: Lab,
    start_jupyter_server: StartJupyterServer,
    postgres_login: Login,
    tmp_path: Path,
) -> None:
    """Made in one panel and accepted in the other; moved by one, and not used by the other before they have looked."""
    origin = tmp_path / "project.git"
    _git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    with browser.new_context() as context:
        ada = Person(page, lab.server, origin, f"ada_{lab.suffix}")
        ben = Person(context.new_page(), start_jupyter_server(), origin, "project")
        ben.rest.set_up()
        fields = postgresql_fields(postgres_login)
        # Of his own, by a name that the project is about to have.
        ben.rest.create("sales", "secret", {}, {"value": "made-up"})

        panel = ada.open()
        _make(panel, ada.folder, fields, postgres_login.password, ada.picture)
        written = (ada.clone / FILE).read_text()
        assert postgres_login.host in written
        assert postgres_login.password not in written
        ada.commits()

        ben.pulls()
        panel = ben.open()
        panel.get_by_test_id("connvault-workspaces-open").click()
        entry = panel.locator(".jp-connvault-entry")
        expect(entry).to_contain_text("Name is taken")
        expect(entry.get_by_test_id("connvault-entry-accept")).to_have_count(0)
        ben.picture("same-name")
        ben.rest.delete_all()
        expect(entry).to_contain_text("Needs your own secret")
        expect(entry.get_by_test_id("connvault-entry-destination")).to_contain_text(postgres_login.host)
        ben.picture("new")
        entry.get_by_test_id("connvault-entry-accept").click()
        panel.get_by_test_id("connvault-field-password").fill(postgres_login.password)
        panel.get_by_test_id("connvault-replace-password-save").click()
        expect(panel.get_by_test_id("connvault-detail").get_by_text("Ready")).to_be_visible()
        run_cell(ben.page, 0, wait=False)
        ConsentDialog(ben.page).allow("session")
        expect(run_cell(ben.page, 1)).to_contain_text("42")

        _move(ConnectionsPanel(ada.page).box, "db.elsewhere.example")
        ada.commits()
        ben.pulls()
        expect(run_cell(ben.page, 2)).to_contain_text("has changed this connection")
        expect(panel.get_by_test_id("connvault-review")).to_be_visible()
        ben.picture("detail")
        panel.get_by_test_id("connvault-review").click()
        expect(entry.get_by_test_id("connvault-entry-moved")).to_be_visible()
        ben.picture("moved")
        entry.get_by_test_id("connvault-entry-accept").click()
        expect(panel.get_by_test_id("connvault-field-password")).to_be_visible()
        assert ben.rest.named("sales")["secrets"] == {}
        assert ben.rest.grants() == []
    shutil.rmtree(ada.clone)


def _make(
    panel: Locator, folder: str, fields: dict[str, object], password: str, picture: Callable[[str], None]
) -> None:
    panel.get_by_test_id("connvault-new").click()
    panel.get_by_test_id("connvault-provider-postgresql").click()
    panel.get_by_test_id("connvault-field-name").fill("sales")
    panel.get_by_test_id("connvault-field-project").select_option(folder)
    expect(panel.get_by_test_id("connvault-form")).to_contain_text(f"{folder}/{FILE}")
    for name in ("host", "port", "database", "user"):
        panel.get_by_test_id(f"connvault-field-{name}").fill(str(fields[name]))
    panel.get_by_test_id("connvault-field-sslmode").select_option(label="None (a database on this machine)")
    panel.get_by_test_id("connvault-field-password").fill(password)
    picture("form")
    panel.get_by_test_id("connvault-save-test").click()
    expect(panel.get_by_test_id("connvault-last-test")).to_contain_text("Connected")
    picture("saved")


def _move(panel: Locator, host: str) -> None:
    panel.get_by_test_id("connvault-edit").click()
    expect(panel.get_by_test_id("connvault-form-project")).to_be_visible()
    panel.get_by_test_id("connvault-field-host").fill(host)
    panel.get_by_test_id("connvault-save").click()
    expect(panel.get_by_test_id("connvault-detail")).to_be_visible()


def _git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True)
