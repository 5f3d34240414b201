"""axe-core on everything that is ours, in JupyterLab's light and dark theme: no violations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.support.broker.in_clear import IN_CLEAR
from tests.support.browser.browser import cell, open_notebook, open_page, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.jupyter_server import JupyterServer, StartJupyterServer
from tests.support.browser.rest import PASSPHRASE

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e

AXE = Path(__file__).resolve().parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"

# Without the first axe takes everything in JupyterLab for scrolled out of sight and checks no contrast at all; the
# second are the shadows at the ends of what scrolls, behind which it can't tell the background.
SCROLLABLE = "html,body{overflow:visible!important} .jp-connvault-consent *{background-image:none!important}"

# JupyterLab's own violations are not ours: only the given root is looked at. `region` is about whole pages.
RUN = """
async root => {
  const found = await axe.run(root, { rules: { region: { enabled: false } } });
  return {
    violations: found.violations.map(rule => ({
      rule: rule.id, help: rule.help,
      where: rule.nodes.map(node => `${node.target.join(' ')} | ${node.any.map(check => check.message).join('; ')}`),
    })),
    // What axe could not decide about contrast counts as not checked.
    undecided: found.incomplete.filter(rule => rule.id === 'color-contrast')
      .flatMap(rule => rule.nodes.map(node => `${node.target.join(' ')} | ${node.any[0]?.message}`)),
    passes: found.passes.map(rule => rule.id),
  };
}
"""

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"
THEMES = ("JupyterLab Light", "JupyterLab Dark")


@pytest.fixture(params=THEMES)
def theme(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def wear(page: Page, server: JupyterServer, theme: str) -> None:
    """Sets the theme as a person's setting; the next page has it."""
    answer = server.request(
        "PUT",
        "lab/api/settings/@jupyterlab/apputils-extension:themes",
        json={"raw": f'{{"theme": "{theme}", "adaptive-theme": false}}'},
    )
    assert answer.status_code == 204, answer.text


@pytest.fixture
def themed(lab: Lab, page: Page, theme: str) -> Iterator[Lab]:
    wear(page, lab.server, theme)
    yield lab
    wear(page, lab.server, THEMES[0])


def accessible(root: Locator, *, contrast: bool = True) -> None:
    """Fails with every violation below `root`, and if axe had nothing to look at."""
    page = root.page
    if not page.evaluate("() => 'axe' in window"):
        page.add_style_tag(content=SCROLLABLE)
        page.add_script_tag(path=AXE)
    expect(root).to_be_visible()
    found: dict[str, Any] = root.evaluate(RUN)
    assert found["violations"] == []
    assert found["undecided"] == []
    assert not contrast or "color-contrast" in found["passes"]


def is_dark(page: Page) -> bool:
    return page.locator("body").get_attribute("data-jp-theme-light") == "false"


def opened(page: Page, lab: Lab, theme: str, *cells: str) -> ConnectionsPanel:
    open_notebook(page, lab.server, lab.notebook(*cells))
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    assert is_dark(page) == ("Dark" in theme)
    return ConnectionsPanel(page).open()


def test_the_list_and_a_detail_are_accessible(page: Page, themed: Lab, warehouse: str, theme: str) -> None:
    """The list with a ready and an unfinished connection, and all tabs of a detail after a use."""
    use = f'connection("{warehouse}", reason="report").connect().close()'
    themed.rest.create(themed.name("draft"), "http", {"base_url": "https://api.test", "auth": "bearer"}, {})
    panel = opened(page, themed, theme, LOAD, use)
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow("always")
    wait_for_cell(page, 1)
    panel.open()
    expect(panel.row(warehouse)).to_be_visible()
    accessible(panel.box)
    panel.row(warehouse).click()
    view = themed.rest.named(warehouse)["connection"]
    expect(panel.box.get_by_test_id("connvault-reveal-off")).to_be_visible()
    accessible(panel.box)
    on = {"reveal_allowed": True}
    themed.rest.call("PATCH", f"connections/{view['id']}", on, revision=view["revision"])
    expect(panel.box.get_by_test_id("connvault-reveal-on")).to_be_visible()
    panel.box.get_by_test_id("connvault-back").click()
    expect(panel.row(warehouse)).to_contain_text("may be revealed")
    accessible(panel.box)
    panel.row(warehouse).click()
    for tab in ("details", "grants", "activity"):
        panel.box.get_by_test_id(f"connvault-tab-{tab}").click()
        accessible(panel.box)


def test_the_check_would_notice_what_is_not_accessible(
    page: Page, themed: Lab, warehouse: str, theme: str
) -> None:
    """Pale text and a field without a name are found, so silence means something."""
    panel = opened(page, themed, theme, LOAD)
    panel.pick("postgresql")
    accessible(panel.box)
    page.add_style_tag(
        content="[data-testid=connvault-form] *{color:#888!important;background:#999!important}"
    )
    with pytest.raises(AssertionError, match="color-contrast"):
        accessible(panel.box)
    panel.field("host").evaluate("input => { input.removeAttribute('id'); }")
    with pytest.raises(AssertionError, match="'label"):
        accessible(panel.box)


def test_the_picker_and_the_form_are_accessible(page: Page, themed: Lab, warehouse: str, theme: str) -> None:
    """Choosing a kind, an empty form, and one with problems beside its fields."""
    panel = opened(page, themed, theme, LOAD)
    panel.box.get_by_test_id("connvault-new").click()
    accessible(panel.box)
    panel.box.get_by_test_id("connvault-picker-search").fill("data")
    expect(panel.box.locator(".jp-connvault-tile[data-first]")).to_have_count(1)
    accessible(panel.box)
    panel.box.get_by_test_id("connvault-picker-search").fill("")
    panel.box.get_by_test_id("connvault-provider-postgresql").click()
    accessible(panel.box.get_by_test_id("connvault-form"))
    panel.field("name").fill(warehouse)
    panel.field("port").fill("none")
    panel.box.get_by_test_id("connvault-save").click()
    expect(panel.box.get_by_test_id("connvault-form")).to_contain_text("Enter the database to connect to.")
    accessible(panel.box.get_by_test_id("connvault-form"))


def test_a_suggestion_is_accessible(page: Page, themed: Lab, theme: str) -> None:
    """A form that code has filled, before and after the look at its destination; and one that has expired."""
    new = "%connections new postgresql name=archive host=db.internal database=archive user=reader"
    opened(page, themed, theme, LOAD, new)
    run_cell(page, 0)
    run_cell(page, 1)
    form = cell(page, 1).get_by_test_id("connvault-form")
    expect(form.get_by_test_id("connvault-suggested")).to_have_count(4)
    accessible(form)
    form.get_by_test_id("connvault-confirm-destination").click()
    accessible(form)
    open_page(page, themed.server, f"lab?reset&connvault=proposal-{'x' * 43}")
    expect(page.get_by_test_id("connvault-expired")).to_be_visible()
    accessible(ConnectionsPanel(page).box)


@pytest.mark.parametrize("mode", ["brokered", "in_clear", "reveal"])
def test_the_dialog_is_accessible(page: Page, themed: Lab, warehouse: str, theme: str, mode: str) -> None:
    """The question for what is brokered, the one with an amber line, and the louder one for plain text."""
    name = warehouse
    found = themed.rest.named(warehouse)["connection"]
    if mode == "in_clear":
        name = themed.name("ledger")
        themed.rest.create(name, IN_CLEAR, found["fields"], {"password": "made-up"})
    if mode == "reveal":
        on = {"reveal_allowed": True}
        themed.rest.call("PATCH", f"connections/{found['id']}", on, revision=found["revision"])
    asking = f'h = connection("{name}", reason="a report")'
    opened(page, themed, theme, LOAD, asking, "with h.reveal('password', reason='to look at it'): pass")
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    if mode == "reveal":
        ConsentDialog(page).allow("session")
        wait_for_cell(page, 1)
        run_cell(page, 2, wait=False)
    dialog = ConsentDialog(page).wait()
    expect(page.get_by_test_id(f"connvault-mode-{mode}")).to_be_visible()
    accessible(dialog.box)
    dialog.deny()


def test_several_questions_are_accessible(page: Page, themed: Lab, warehouse: str, theme: str) -> None:
    """Two at once, each with how its secret would travel."""
    ledger = themed.name("ledger")
    fields = themed.rest.named(warehouse)["connection"]["fields"]
    themed.rest.create(ledger, IN_CLEAR, fields, {"password": "made-up"})
    asking = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        f'with ThreadPoolExecutor() as pool: list(pool.map(connection, ["{warehouse}", "{ledger}"]))'
    )
    opened(page, themed, theme, LOAD, asking)
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    dialog = ConsentDialog(page).wait()
    expect(page.get_by_test_id("connvault-queue")).to_have_text("1 of 2")
    waiting = dialog.box.get_by_role("list", name="Waiting requests")
    expect(waiting).to_contain_text(f"{warehouse}brokered")
    expect(waiting).to_contain_text(f"{ledger}in the clear")
    accessible(dialog.box)
    page.get_by_test_id("connvault-deny").click()
    expect(page.get_by_test_id("connvault-queue")).to_have_count(0)
    dialog.deny()


def test_the_cards_in_a_notebook_are_accessible(page: Page, themed: Lab, warehouse: str, theme: str) -> None:
    """The card beside an error, the card of a handle, and the panel in a cell's output."""
    opened(
        page,
        themed,
        theme,
        LOAD,
        'connection("nowhere")',
        f'h = connection("{warehouse}")\nh',
        "%connections",
    )
    run_cell(page, 0)
    run_cell(page, 1)
    accessible(cell(page, 1).get_by_test_id("connvault-fixit"))
    run_cell(page, 2, wait=False)
    ConsentDialog(page).allow()
    wait_for_cell(page, 2)
    accessible(cell(page, 2).get_by_test_id("connvault-handle"))
    run_cell(page, 3)
    accessible(cell(page, 3).get_by_test_id("connvault-panel"))


def test_a_locked_vault_is_accessible(page: Page, themed: Lab, warehouse: str, theme: str) -> None:
    """Its line in the panel, what opens it and how that is changed, and the way to unlock it."""
    panel = opened(page, themed, theme, LOAD)
    panel.box.get_by_test_id("connvault-vault-open").click()
    accessible(panel.box.get_by_test_id("connvault-vault-pane"))
    panel.box.get_by_test_id("connvault-slot-add").click()
    accessible(panel.box.get_by_test_id("connvault-key-change"))
    panel.box.get_by_test_id("connvault-back").click()
    for button, screen in (("export-all", "export-screen"), ("import", "import-screen")):
        panel.box.get_by_test_id(f"connvault-{button}").click()
        accessible(panel.box.get_by_test_id(f"connvault-{screen}"))
        panel.box.get_by_test_id("connvault-back").click()
    panel.box.get_by_test_id("connvault-back").click()
    themed.rest.call("POST", "vault/lock", {})
    expect(panel.box.get_by_test_id("connvault-vault")).to_have_attribute("data-state", "locked")
    accessible(panel.box)
    panel.box.get_by_test_id("connvault-unlock-open").click()
    accessible(panel.box.get_by_test_id("connvault-unlock"))


@pytest.mark.parametrize("theme", THEMES)
def test_the_first_run_is_accessible(
    start_jupyter_server: StartJupyterServer, page: Page, theme: str
) -> None:
    """Choosing a passphrase, its strength, and what is said when the two differ."""
    server = start_jupyter_server()
    wear(page, server, theme)
    open_page(page, server, "lab")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    panel = ConnectionsPanel(page).open()
    setup = panel.box.get_by_test_id("connvault-setup")
    accessible(setup)
    setup.get_by_test_id("connvault-passphrase").fill(PASSPHRASE)
    setup.get_by_test_id("connvault-passphrase-again").fill("another one")
    setup.get_by_test_id("connvault-setup-submit").click()
    accessible(setup)
