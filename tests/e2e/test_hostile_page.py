"""What a notebook's output runs in the page: it can't press the dialog's buttons, but can pretend to be the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConsentDialog
from tests.support.canary import CANARY

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

# Clicks, and presses keys, as often as it can: `attempts` counts.
CLICKS = """
from IPython.display import Javascript
Javascript('''
window.attempts = 0;
window.attack = setInterval(() => {
  const allow = document.querySelector('[data-testid="connvault-allow"]');
  if (!allow) return;
  window.attempts += 1;
  allow.disabled = false;
  allow.focus();
  allow.click();
  for (const type of ["pointerdown", "mousedown", "pointerup", "mouseup", "click"])
    allow.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, composed: true}));
  for (const type of ["keydown", "keypress", "keyup"])
    allow.dispatchEvent(new KeyboardEvent(type, {key: "Enter", code: "Enter", bubbles: true, cancelable: true}));
}, 20);
''')
"""

# Asks the server as the page does: the cookie goes along, the XSRF token is there to be read.
PRETENDS = """
from IPython.display import Javascript
Javascript('''
const base = JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl + "connvault/api/v1/";
const xsrf = document.cookie.match(/_xsrf=([^;]*)/)[1];
const timer = setInterval(async () => {
  const found = (await (await fetch(base + "access-requests")).json()).access_requests;
  if (!found.length) return;
  clearInterval(timer);
  await fetch(base + "access-requests/" + found[0].id + "/decision", {
    method: "POST",
    headers: {"X-XSRFToken": xsrf, "Content-Type": "application/json"},
    body: JSON.stringify({decision: "session", digest: found[0].digest}),
  });
}, 50);
''')
"""

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"


@pytest.fixture
def api(lab: Lab) -> str:
    """A connection; its name."""
    name = lab.name("api")
    lab.rest.create(name, "http", {"base_url": "https://api.test", "auth": "bearer"}, {"token": CANARY})
    return name


def test_output_code_can_not_press_allow(page: Page, lab: Lab, api: str) -> None:
    """Only a person's own click or key counts, however often the page's code tries."""
    open_notebook(page, lab.server, lab.notebook(LOAD, CLICKS, f"connection({api!r})", name="hostile"))
    run_cell(page, 0)
    run_cell(page, 1)
    run_cell(page, 2, wait=False)
    ConsentDialog(page).wait()
    # At 20 ms each that is twice as long as keys are ignored anyway.
    page.wait_for_function("window.attempts > 60", timeout=20_000)
    expect(ConsentDialog(page).box).to_be_visible()
    assert len(lab.rest.questions()) == 1
    page.evaluate("clearInterval(window.attack)")
    ConsentDialog(page).deny()
    wait_for_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("AccessDenied")


def test_output_code_can_pretend_to_be_the_page(page: Page, lab: Lab, api: str) -> None:
    """Not stopped at this tier: it has the page's cookie. The record has the question and the answer."""
    open_notebook(page, lab.server, lab.notebook(LOAD, PRETENDS, f"connection({api!r})", name="pretender"))
    run_cell(page, 0)
    run_cell(page, 1)
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("until kernel stops")
    types = [row["type"] for row in lab.rest.audit() if row["connection"] == api]
    assert types[:2] == ["access:granted", "access:asked"]
