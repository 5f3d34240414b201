"""A project's connections in the panel: accepted by a person who sees where they lead, and not used once the file says
something else."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from setup_hooks.postgresql import Login
from tests.support.browser.browser import cell, open_notebook, run_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.rest import postgresql_fields

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


def test_a_pulled_connection_is_accepted_used_and_stopped_when_the_project_changes_it(
    page: Page, lab: Lab, postgres_login: Login
) -> None:
    """The card and the banner lead to the review, which shows the destination whole, and both when they differ."""
    from playwright.sync_api import expect

    name, folder = lab.name("pulled"), f"project_{lab.suffix}"
    file = lab.server.root / folder / ".connvault" / "connections.json"
    file.parent.mkdir(parents=True)
    block: dict[str, Any] = {
        "name": name,
        "display_name": "",
        "provider_id": "postgresql",
        "fields": postgresql_fields(postgres_login),
    }

    def pull() -> None:
        known = {"connections": {secrets_id: block}, "format": "connvault-workspace", "version": 1}
        file.write_text(json.dumps(known, indent=2))

    secrets_id = secrets.token_urlsafe(16)
    pull()
    ask = f'from connvault_jupyter import connection\nh = connection("{name}")'
    rows = 'h.connect().execute("select 41 + 1").fetchone()[0]'
    notebook = lab.server.write_notebook(
        f"{folder}/report.ipynb", "%load_ext connvault_jupyter", ask, ask + "\n" + rows, ask
    )
    open_notebook(page, lab.server, notebook)
    run_cell(page, 0)
    expect(run_cell(page, 1).get_by_test_id("connvault-fixit")).to_contain_text("not accepted it yet")

    panel = ConnectionsPanel(page).open().box
    panel.get_by_test_id("connvault-workspaces-open").click()
    entry = panel.get_by_test_id(f"connvault-entry-{secrets_id}")
    expect(entry.get_by_test_id("connvault-entry-destination")).to_contain_text(postgres_login.host)
    entry.get_by_test_id("connvault-entry-accept").click()
    panel.get_by_test_id("connvault-field-password").fill(postgres_login.password)
    panel.get_by_test_id("connvault-replace-password-save").click()
    expect(panel.get_by_test_id("connvault-detail").get_by_text("Ready")).to_be_visible()
    run_cell(page, 2, wait=False)
    ConsentDialog(page).allow()
    expect(cell(page, 2)).to_contain_text("42")

    block["fields"] = {**block["fields"], "host": "db.elsewhere.example"}
    pull()
    expect(run_cell(page, 3).get_by_test_id("connvault-fixit")).to_contain_text("has changed this connection")
    panel.get_by_test_id("connvault-back").click()
    panel.get_by_test_id("connvault-workspaces-open").click()
    expect(entry.get_by_test_id("connvault-entry-moved")).to_be_visible()
    expect(entry).to_contain_text("db.elsewhere.example")
    expect(entry).to_contain_text(postgres_login.host)
    entry.get_by_test_id("connvault-entry-accept").click()
    expect(panel.get_by_test_id("connvault-field-password")).to_be_visible()
    assert lab.rest.named(name)["secrets"] == {}
    file.unlink()
