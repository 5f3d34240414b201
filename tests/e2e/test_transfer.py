"""A vault's connections leave as one file, and come back into another vault: in the panel, by two people's hands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser.browser import open_page
from tests.support.browser.consent_dialog import ConnectionsPanel
from tests.support.browser.rest import PASSPHRASE

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e

OF_THE_FILE = "another horse for the file"


def choose_passphrase(panel: Locator, passphrase: str) -> None:
    for again in ("", "-again"):
        panel.get_by_test_id(f"connvault-passphrase{again}").fill(passphrase)


def test_a_connection_is_exported_with_its_secret_deleted_and_imported(
    page: Page, lab: Lab, warehouse: str, tmp_path: Path
) -> None:
    """It may not be revealed, so its secret goes along only when it is named; then it works as before."""
    from playwright.sync_api import expect

    # What an earlier test had open is not restored: the click below would close it again.
    open_page(page, lab.server, "lab?reset")
    panel = ConnectionsPanel(page).open().box
    panel.get_by_test_id("connvault-vault-open").click()
    panel.get_by_test_id("connvault-export-all").click()
    panel.get_by_test_id("connvault-export-secrets").check()
    for withheld in (True, False):
        panel.get_by_test_id("connvault-proof").fill(PASSPHRASE)
        choose_passphrase(panel, OF_THE_FILE)
        panel.get_by_test_id("connvault-export-submit").click()
        if withheld:
            expect(panel.get_by_test_id("connvault-export-withheld")).to_contain_text(warehouse)
            panel.get_by_test_id("connvault-export-include").click()
    expect(panel.get_by_test_id("connvault-export-withheld")).to_have_count(0)
    with page.expect_download() as download:
        panel.get_by_test_id("connvault-export-save").click()
    file = tmp_path / "moved.connvault"
    download.value.save_as(file)
    assert warehouse not in file.read_text()

    lab.rest.delete_all()
    panel.get_by_test_id("connvault-import").click()
    panel.get_by_test_id("connvault-import-file").set_input_files(file)
    panel.get_by_test_id("connvault-import-passphrase").fill("a wrong guess of mine")
    panel.get_by_test_id("connvault-import-look").click()
    expect(panel.locator(".jp-connvault-problem")).to_be_visible()
    panel.get_by_test_id("connvault-import-passphrase").fill(OF_THE_FILE)
    panel.get_by_test_id("connvault-import-look").click()
    expect(panel.get_by_test_id(f"connvault-import-{warehouse}")).to_contain_text("New")
    panel.get_by_test_id("connvault-import-submit").click()
    expect(panel.get_by_test_id("connvault-imported")).to_be_visible()

    view = lab.rest.named(warehouse)
    assert view["connection"]["status"] == "ready"
    assert lab.rest.call("POST", f"connections/{view['connection']['id']}/test", {})["ok"] is True
