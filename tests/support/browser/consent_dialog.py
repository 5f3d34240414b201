"""The consent dialog and the panel as a person meets them: locators and gestures, no expectations about rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# Keys are ignored until half a second after drawing and after the last key (the dialog appears under typing hands).
KEY_GUARD_MS = 600


@dataclass(frozen=True)
class ConsentDialog:
    """The one dialog of a page."""

    page: Page

    @property
    def box(self) -> Locator:
        return self.page.get_by_test_id("connvault-dialog")

    def wait(self) -> ConsentDialog:
        expect(self.box).to_be_visible(timeout=20_000)
        return self

    def gone(self) -> None:
        expect(self.box).to_have_count(0, timeout=10_000)

    def allow(self, duration: str | None = None) -> None:
        self.wait()
        if duration:
            self.page.get_by_test_id(f"connvault-duration-{duration}").click()
        self.page.get_by_test_id("connvault-allow").click()
        self.gone()

    def deny(self) -> None:
        self.wait()
        self.page.get_by_test_id("connvault-deny").click()
        self.gone()

    def never(self) -> None:
        self.wait()
        self.page.get_by_test_id("connvault-never").click()
        self.gone()


@dataclass(frozen=True)
class ConnectionsPanel:
    """The panel in the side bar."""

    page: Page

    @property
    def box(self) -> Locator:
        return self.page.locator("#connvault-connections").get_by_test_id("connvault-panel")

    def open(self) -> ConnectionsPanel:
        """By its tab in JupyterLab's side bar; Notebook 7, which has none, has a button in the notebook's toolbar."""
        if not self.box.is_visible():
            button = self.page.locator('[data-command="connvault:open"]')
            self.page.get_by_role("tab", name="Connections").or_(button).first.click()
        expect(self.box).to_be_visible()
        return self

    def set_up(self, passphrase: str) -> None:
        """First run: typed twice."""
        self.box.get_by_test_id("connvault-passphrase").fill(passphrase)
        self.box.get_by_test_id("connvault-passphrase-again").fill(passphrase)
        self.box.get_by_test_id("connvault-setup-submit").click()
        expect(self.box.get_by_test_id("connvault-setup")).to_have_count(0)

    def row(self, name: str) -> Locator:
        return self.box.get_by_test_id(f"connvault-row-{name}")

    def pick(self, provider_id: str) -> None:
        self.box.get_by_test_id("connvault-new").click()
        self.box.get_by_test_id(f"connvault-provider-{provider_id}").click()
        expect(self.box.get_by_test_id("connvault-form")).to_be_visible()

    def field(self, name: str) -> Locator:
        """The input of the provider's field with this name (`name` itself is the connection's)."""
        return self.box.get_by_test_id(f"connvault-field-{name}")
