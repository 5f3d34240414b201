"""What opens the vault, changed in the panel: by a person who types a passphrase, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser.browser import open_notebook
from tests.support.browser.consent_dialog import ConnectionsPanel
from tests.support.browser.rest import PASSPHRASE

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

ANOTHER = "another horse, another battery"


def test_a_second_passphrase_opens_the_vault_until_it_is_removed(page: Page, lab: Lab) -> None:
    """Added, used, and the master key replaced by it; removed with the first one, which then is the only one again."""
    from playwright.sync_api import expect

    open_notebook(page, lab.server, lab.notebook("1"))
    panel = ConnectionsPanel(page).open().box
    try:
        panel.get_by_test_id("connvault-vault-open").click()
        rows = panel.locator('[data-testid^="connvault-slot-"][class*="grant"]')
        expect(rows).to_have_count(1)
        panel.get_by_test_id("connvault-slot-add").click()
        panel.get_by_test_id("connvault-proof").fill("a wrong guess of mine")
        for again in ("", "-again"):
            panel.get_by_test_id(f"connvault-passphrase{again}").fill(ANOTHER)
        panel.get_by_test_id("connvault-key-change-submit").click()
        expect(panel.get_by_text("passphrase is wrong")).to_be_visible()
        assert len(lab.rest.call("GET", "vault/slots")["slots"]) == 1

        panel.get_by_test_id("connvault-proof").fill(PASSPHRASE)
        for again in ("", "-again"):
            panel.get_by_test_id(f"connvault-passphrase{again}").fill(ANOTHER)
        panel.get_by_test_id("connvault-key-change-submit").click()
        expect(rows).to_have_count(2)
        expect(panel.get_by_test_id("connvault-keys-done")).to_be_visible()

        panel.get_by_test_id("connvault-back").click()
        panel.get_by_test_id("connvault-lock").click()
        panel.get_by_test_id("connvault-unlock-open").click()
        panel.get_by_test_id("connvault-unlock-passphrase").fill(ANOTHER)
        panel.get_by_test_id("connvault-unlock-submit").click()
        expect(panel.get_by_test_id("connvault-lock")).to_be_visible()

        panel.get_by_test_id("connvault-vault-open").click()
        panel.get_by_test_id("connvault-rotate").click()
        panel.get_by_test_id("connvault-proof").fill(ANOTHER)
        panel.get_by_test_id("connvault-key-change-submit").click()
        expect(panel.get_by_test_id("connvault-keys-done")).to_contain_text("Replaced")
    finally:
        added = lab.rest.call("GET", "vault/slots")["slots"][1:]
        for slot in added:
            lab.rest.call("POST", f"vault/slots/{slot['id']}/removal", {"proof": {"passphrase": PASSPHRASE}})
    expect(rows).to_have_count(1)
    assert len(added) == 1
    assert lab.rest.call("GET", "vault")["state"] == "unlocked"
