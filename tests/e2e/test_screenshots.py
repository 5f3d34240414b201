"""The pictures of README and documentation, made from the real thing, so that they can't go stale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.jupyter_server import JupyterServer, StartJupyterServer
from tests.support.browser.rest import Rest, postgresql_fields

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"
ASK = (
    "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection\n\n"
    'warehouse = connection("warehouse", reason="monthly report")'
)
READ = (
    "import pandas as pd\n\n"
    'pd.read_sql("select ordered_on, product, quantity, price from orders limit 4", warehouse.engine())'
)
MISSPELT = 'connection("wharehouse")'
HANDLE = "warehouse"
REVEAL = 'with warehouse.reveal("password", reason="the tool wants it in a file"): pass'
NEW = "%connections new postgresql name=archive host=db.internal database=archive user=reader"
TWO = (
    "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor() as pool:\n"
    '    github, cache = pool.map(connection, ["github", "cache"])'
)


def furnished(server: JupyterServer, login: Login) -> Rest:
    """A vault with a few connections of each kind and state."""
    rest = Rest(server)
    rest.set_up()
    fields = postgresql_fields(login)
    rest.create("warehouse", "postgresql", fields, {"password": login.password}, reveal_allowed=True)
    rest.create("staging", "postgresql", {**fields, "database": "app"}, {})
    rest.create(
        "github", "http", {"base_url": "https://api.github.com", "auth": "bearer"}, {"token": "made-up"}
    )
    rest.create("signing-key", "secret", {}, {"value": "made-up"})
    rest.create("cache", "redis", {"host": "cache.internal", "sslmode": "require"}, {"password": "made-up"})
    return rest


def choose_theme(server: JupyterServer, theme: str) -> None:
    body = {"raw": f'{{"theme": "{theme}"}}'}
    answer = server.request("PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes", json=body)
    assert answer.ok, answer.text


@pytest.mark.parametrize(
    ("frontend", "theme"),
    [("lab", "JupyterLab Light"), ("lab", "JupyterLab Dark"), ("notebook", "JupyterLab Light")],
    ids=["lab-light", "lab-dark", "notebook-light"],
)
def test_each_screen_has_its_picture(
    request: pytest.FixtureRequest,
    start_jupyter_server: StartJupyterServer,
    page: Page,
    postgres: PostgresServer,
    postgres_login: Login,
    frontend: str,
    theme: str,
) -> None:
    """List, question, result, fix-it, form, picker and panel in the cell, as a person sees them."""
    orders = Path(__file__).resolve().parents[2] / "setup_hooks" / "orders.sql"
    postgres.execute(orders.read_text(), database=postgres_login.database)
    postgres.execute(f'grant select on orders to "{postgres_login.user}"', database=postgres_login.database)
    server = start_jupyter_server(app=frontend)
    choose_theme(server, theme)
    furnished(server, postgres_login)
    folder = PICTURES / request.node.callspec.id
    folder.mkdir(parents=True, exist_ok=True)

    def picture(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    cells = (ASK, READ, MISSPELT, "%connections", HANDLE, REVEAL, NEW, TWO)
    path = server.write_notebook("reports/monthly.ipynb", *cells)
    open_notebook(page, server, path, frontend=frontend)
    panel = ConnectionsPanel(page).open()
    expect(panel.row("warehouse")).to_be_visible()
    picture("list")
    run_cell(page, 0, wait=False)
    ConsentDialog(page).wait()
    picture("question")
    ConsentDialog(page).allow("session")
    wait_for_cell(page, 0)
    run_cell(page, 1)
    run_cell(page, 2)
    expect(cell(page, 2).get_by_test_id("connvault-fixit")).to_be_visible()
    panel.row("warehouse").click()
    picture("details")
    panel.box.get_by_test_id("connvault-tab-activity").click()
    expect(panel.box).to_contain_text("monthly.ipynb")
    picture("result")
    panel.box.get_by_test_id("connvault-tab-grants").click()
    expect(panel.box).to_contain_text("until kernel stops")
    picture("grants")
    panel.box.get_by_test_id("connvault-back").click()
    panel.box.get_by_test_id("connvault-new").click()
    picture("picker")
    panel.box.get_by_test_id("connvault-picker-search").fill("api")
    picture("picker-search")
    panel.box.get_by_test_id("connvault-picker-search").fill("")
    panel.box.get_by_test_id("connvault-provider-postgresql").click()
    expect(panel.box.get_by_test_id("connvault-form")).to_be_visible()
    picture("form")
    run_cell(page, 3)
    expect(cell(page, 3).get_by_test_id("connvault-panel")).to_be_visible()
    cell(page, 3).scroll_into_view_if_needed()
    picture("panel-in-cell")
    run_cell(page, 4)
    expect(cell(page, 4).get_by_test_id("connvault-handle")).to_contain_text("brokered, hand-over")
    picture("handle")
    run_cell(page, 5, wait=False)
    ConsentDialog(page).wait()
    picture("question-reveal")
    ConsentDialog(page).deny()
    run_cell(page, 6)
    expect(cell(page, 6).get_by_test_id("connvault-suggestion")).to_contain_text("reports/monthly.ipynb")
    cell(page, 6).scroll_into_view_if_needed()
    picture("suggestion")
    run_cell(page, 7, wait=False)
    expect(page.get_by_test_id("connvault-queue")).to_have_text("1 of 2")
    picture("questions")
