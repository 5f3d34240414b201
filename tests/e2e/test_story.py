"""The main job as a person does it, in JupyterLab and once in Notebook 7: define, ask, answer, use, look back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.jupyter_server import StartJupyterServer
from tests.support.browser.rest import PASSPHRASE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

LOAD = "%load_ext connvault_jupyter"
ASK = 'from connvault_jupyter import connection\ndb = connection("warehouse", reason="monthly report")'
BY_ENGINE = (
    "from sqlalchemy import text\n"
    "with db.engine().connect() as c: print('engine:', c.execute(text('select count(*) from orders')).scalar())"
)
SHOW = "print(db)\nget_ipython().run_line_magic('connections', 'show warehouse')"
QUERY = "with db.connect() as c: print(c.execute(\"select 'rows:' || count(*) from orders\").fetchone()[0])"


@pytest.mark.parametrize("frontend", ["lab", "notebook"])
def test_a_person_gets_from_an_empty_vault_to_rows_in_a_cell(
    start_jupyter_server: StartJupyterServer,
    page: Page,
    postgres: PostgresServer,
    postgres_login: Login,
    frontend: str,
) -> None:
    """From an empty vault to rows in a cell and a row in the record, every step through the page."""
    postgres.execute(
        "create table orders as select generate_series(1, 7) as id", database=postgres_login.database
    )
    postgres.execute(f'grant select on orders to "{postgres_login.user}"', database=postgres_login.database)
    server = start_jupyter_server(app="lab" if frontend == "lab" else "notebook")
    path = server.write_notebook("first_steps.ipynb", LOAD, QUERY, BY_ENGINE, SHOW)
    open_notebook(page, server, path, frontend=frontend)

    panel = ConnectionsPanel(page).open()
    expect(panel.box).to_contain_text("Protect your secrets")
    panel.set_up(PASSPHRASE)

    panel.pick("postgresql")
    panel.field("name").fill("warehouse")
    panel.field("host").fill(postgres_login.host)
    panel.field("port").fill(str(postgres_login.port))
    panel.field("user").fill(postgres_login.user)
    panel.field("password").fill(postgres_login.password)
    panel.field("sslmode").select_option(label="None (a database on this machine)")
    panel.box.get_by_test_id("connvault-save-test").click()
    expect(panel.box.get_by_test_id("connvault-form")).to_contain_text("Enter the database to connect to.")
    panel.field("database").fill(postgres_login.database)
    panel.box.get_by_test_id("connvault-save-test").click()
    expect(panel.box.get_by_test_id("connvault-last-test")).to_contain_text("Connected in")
    expect(panel.box).to_contain_text("Ready")

    cell(page, 0).locator(".cm-content").click()
    panel.box.get_by_test_id("connvault-insert-code").click()
    expect(cell(page, 1)).to_contain_text('connection("warehouse"')
    cell(page, 1).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(ASK)

    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    dialog = ConsentDialog(page).wait()
    expect(dialog.box).to_contain_text("first_steps.ipynb")
    expect(dialog.box).to_contain_text("warehouse")
    expect(dialog.box).to_contain_text(
        f"{postgres_login.user}@{postgres_login.host}:{postgres_login.port}/{postgres_login.database}"
    )
    expect(dialog.box).to_contain_text("monthly report")
    expect(page.get_by_test_id("connvault-mode-brokered")).to_have_text(
        "Brokered: connvault logs in; the password never enters the notebook."
    )
    expect(page.get_by_test_id("connvault-deny")).to_be_focused()
    dialog.allow()
    wait_for_cell(page, 1)
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("rows:7")
    run_cell(page, 3)
    expect(cell(page, 3)).to_contain_text("engine: 7")
    run_cell(page, 4)
    expect(cell(page, 4)).to_contain_text(re.compile("<warehouse: .*brokered, hand-over.*"))
    expect(cell(page, 4).locator("table")).to_contain_text("brokered, hand-over")

    panel.open()
    panel.box.get_by_test_id("connvault-tab-activity").click()
    expect(panel.box).to_contain_text("first_steps.ipynb")
    # The newest is a checkout of the pool, told with the logins before it.
    expect(panel.box.get_by_test_id("connvault-event-access:checked").first).to_contain_text("brokered")
    panel.box.get_by_test_id("connvault-tab-grants").click()
    expect(panel.box).to_contain_text("this time · brokered, hand-over")
