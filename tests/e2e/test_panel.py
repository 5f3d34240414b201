"""The panel beside the main story: locking, plain text, other tabs, deep links, forms in cells, the system keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.browser import cell, open_notebook, open_page, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.jupyter_server import StartJupyterServer
from tests.support.browser.rest import PASSPHRASE, Rest
from tests.support.servers.echo_api import echo_api
from tests.support.servers.secret_service import SecretService

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"


def test_a_locked_vault_leads_to_unlock_and_on(page: Page, lab: Lab, warehouse: str) -> None:
    """Lock in the panel, a card in the cell, its button, the passphrase, and the same cell runs."""
    use = 'print("got", db.connect().execute("select 40+2").fetchone()[0])'
    open_notebook(page, lab.server, lab.notebook(LOAD, f'db = connection("{warehouse}")', use))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow("session")
    wait_for_cell(page, 1)
    panel = ConnectionsPanel(page).open()
    panel.box.get_by_test_id("connvault-lock").click()
    expect(panel.box.get_by_test_id("connvault-vault")).to_have_attribute("data-state", "locked")
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("VaultLocked")
    cell(page, 2).get_by_test_id("connvault-fixit-action").click()
    panel.box.get_by_test_id("connvault-unlock-passphrase").fill("not the passphrase at all")
    panel.box.get_by_test_id("connvault-unlock-submit").click()
    expect(panel.box).to_contain_text("The passphrase is wrong")
    panel.box.get_by_test_id("connvault-unlock-passphrase").fill(PASSPHRASE)
    panel.box.get_by_test_id("connvault-unlock-submit").click()
    expect(panel.box.get_by_test_id("connvault-vault")).to_have_attribute("data-state", "unlocked")
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("got 42")


def test_plain_text_is_a_louder_question_each_time(page: Page, lab: Lab) -> None:
    """Revealing asks in words of its own, offers no duration, and asks again the next time."""
    name = lab.name("key")
    lab.rest.create(name, "secret", {}, {"value": "plain-text-of-a-test"})
    reveal = "with handle.reveal('value') as text: print('shown:', str(text))"
    open_notebook(page, lab.server, lab.notebook(LOAD, f'handle = connection("{name}")', reveal))
    run_cell(page, 0)
    run_cell(page, 1)
    run_cell(page, 2, wait=False)
    dialog = ConsentDialog(page).wait()
    expect(dialog.box).to_contain_text("Plain text")
    expect(page.get_by_test_id("connvault-duration-session")).to_have_count(0)
    expect(page.get_by_test_id("connvault-deny")).to_be_focused()
    dialog.allow()
    wait_for_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("shown: plain-text-of-a-test")
    run_cell(page, 2, wait=False)
    dialog.deny()
    wait_for_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("AccessDenied")
    own = [row["type"] for row in lab.rest.audit() if row["connection"] == name]
    assert own.count("access:revealed") == 1


def test_an_api_is_defined_in_the_form_and_used(page: Page, lab: Lab) -> None:
    """The HTTP form shows the token's field only for a bearer token; the request carries it, the page never."""
    name = lab.name("api")
    with echo_api() as api:
        use = f'print(connection("{name}").session().get("/user/repos").status_code)'
        open_notebook(page, lab.server, lab.notebook(LOAD, use))
        panel = ConnectionsPanel(page).open()
        panel.pick("http")
        panel.field("name").fill(name)
        panel.field("base_url").fill(api.origin)
        panel.field("allow_http").check()
        expect(panel.field("token")).to_be_visible()
        panel.field("token").fill("token-of-a-test")
        panel.box.get_by_test_id("connvault-save").click()
        expect(panel.box).to_contain_text("Ready")
        run_cell(page, 0)
        run_cell(page, 1, wait=False)
        ConsentDialog(page).allow()
        wait_for_cell(page, 1)
        expect(cell(page, 1)).to_contain_text("200")
        assert api.headers_of("/user/repos")["Authorization"] == "Bearer token-of-a-test"
        assert "token-of-a-test" not in page.content()


def test_a_deep_link_opens_the_connection(page: Page, lab: Lab, warehouse: str) -> None:
    """`?connvault=<id>` shows that connection, `?connvault=new` the picker."""
    connection_id = lab.rest.named(warehouse)["connection"]["id"]
    open_page(page, lab.server, f"lab?reset&connvault={connection_id}")
    panel = ConnectionsPanel(page)
    expect(panel.box.get_by_test_id("connvault-detail")).to_contain_text(warehouse)
    open_page(page, lab.server, "lab?reset&connvault=new")
    expect(panel.box.get_by_test_id("connvault-provider-postgresql")).to_be_visible()


def test_a_revoke_in_the_panel_takes_the_permission(page: Page, lab: Lab, warehouse: str) -> None:
    """Who may use it, one click, and the next use asks."""
    open_notebook(page, lab.server, lab.notebook(LOAD, f'db = connection("{warehouse}")'))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow("always")
    wait_for_cell(page, 1)
    panel = ConnectionsPanel(page).open()
    panel.row(warehouse).click()
    panel.box.get_by_test_id("connvault-tab-grants").click()
    granted = lab.rest.grants()[0]["grant"]
    panel.box.get_by_test_id(f"connvault-revoke-{granted['id']}").click()
    expect(panel.box.get_by_test_id(f"connvault-revoke-{granted['id']}")).to_have_count(0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).deny()


def test_never_is_kept_and_can_be_undone(page: Page, lab: Lab, warehouse: str) -> None:
    """A stored no answers by itself; undoing it in the panel lets the notebook ask again."""
    open_notebook(page, lab.server, lab.notebook(LOAD, f'db = connection("{warehouse}")'))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).never()
    wait_for_cell(page, 1)
    run_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("AccessDenied")
    assert lab.rest.questions() == []
    stored = lab.rest.grants()[0]["grant"]
    assert stored["decision"] == "deny_always"
    panel = ConnectionsPanel(page).open()
    panel.row(warehouse).click()
    panel.box.get_by_test_id("connvault-tab-grants").click()
    panel.box.get_by_test_id(f"connvault-revoke-{stored['id']}").click()
    expect(panel.box.get_by_test_id(f"connvault-revoke-{stored['id']}")).to_have_count(0)
    assert lab.rest.grants() == []


def test_a_form_in_a_cell_is_saved_while_the_kernel_is_busy(page: Page, lab: Lab) -> None:
    """Values and secret go straight to the server, so the form needs no kernel."""
    name = lab.name("key")
    form = "from connvault_jupyter.widgets import ConnectionForm\nConnectionForm(provider='secret')"
    open_notebook(page, lab.server, lab.notebook(LOAD, form, "import time; time.sleep(60)"))
    run_cell(page, 0)
    run_cell(page, 1)
    run_cell(page, 2, wait=False)
    in_cell = cell(page, 1).get_by_test_id("connvault-form")
    in_cell.get_by_test_id("connvault-field-name").fill(name)
    in_cell.get_by_test_id("connvault-field-value").fill("value-of-a-test")
    cell(page, 1).get_by_test_id("connvault-save").click()
    # The form shows the name too; what is saved is shown by its detail.
    expect(cell(page, 1).get_by_test_id("connvault-detail")).to_contain_text(name)
    assert lab.rest.named(name)["connection"]["status"] == "ready"


def test_with_a_system_keyring_nothing_is_asked_first(
    secret_service: SecretService, start_jupyter_server: StartJupyterServer, page: Page
) -> None:
    """A real Secret Service answers: the panel offers it by name, and no passphrase is needed, also after a restart."""
    bus = {name: secret_service.env[name] for name in ("DBUS_SESSION_BUS_ADDRESS", "HOME", "XDG_RUNTIME_DIR")}
    server = start_jupyter_server(env=bus)
    open_page(page, server, "lab?reset")
    panel = ConnectionsPanel(page).open()
    expect(panel.box.get_by_test_id("connvault-setup")).to_contain_text("keyring")
    panel.box.get_by_test_id("connvault-setup-submit").click()
    expect(panel.box.get_by_test_id("connvault-vault")).to_contain_text("keyring")
    Rest(server).create("key", "secret", {}, {"value": "kept-by-the-keyring"})
    expect(panel.row("key")).to_contain_text("Ready")
