"""The panel with 1,000 connections, in a real Chromium: drawn, opened, and told of one more."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from tests.support.browser.browser import open_page
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest

from .figures import Figure, Plan
from .list_thousand import COUNT, config, thousand
from .page import bench_page
from .sample import SECRETS, fields

if TYPE_CHECKING:
    from playwright.sync_api import Page

IDS = ("panel_1000_ms", "panel_1000_open_ms", "panel_1000_new_ms")

_PANEL = "#connvault-connections"
_ROWS = f"{_PANEL} [data-testid^=connvault-row-]"

# All rows are in the page and the last one takes up room in it: a hidden panel has its rows too.
_SHOWN = f"""() => {{
  const rows = document.querySelectorAll('{_ROWS}');
  return rows.length >= {COUNT} && rows[rows.length - 1].offsetHeight > 0;
}}"""

# From the time that the browser gives to the press on the side bar's tab, whenever the driver got around to it.
_OPENED = f"""() => {{
  window.benchOpened = new Promise(resolve => document.addEventListener('pointerdown', press => {{
    const began = performance.timeOrigin + press.timeStamp;
    window.benchPaintedWhen({_SHOWN}).then(time => resolve(time - began));
  }}, {{ capture: true, once: true }}));
}}"""

# Of a list that has no row now, all 1,000 are made and drawn.
_DRAWN = f"""() => {{
  const search = document.querySelector('{_PANEL} [data-testid=connvault-search]');
  const began = window.benchNow();
  const painted = window.benchPaintedWhen({_SHOWN});
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(search, '');
  search.dispatchEvent(new Event('input', {{ bubbles: true }}));
  return painted.then(time => time - began);
}}"""

# From the moment at which this very page knows that it has stored (the panel's own way) to the new row painted.
_NEW = """async ([url, body, row]) => {
  const xsrf = document.cookie.match(/_xsrf=([^;]*)/)?.[1] ?? '';
  const painted = window.benchPaintedWhen(() => !!document.querySelector(row));
  const answer = await fetch(url, {
    method: 'POST', headers: { 'X-XSRFToken': xsrf, 'Content-Type': 'application/json' }, body: JSON.stringify(body)
  });
  if (!answer.ok) throw new Error(await answer.text());
  const stored = window.benchNow();
  return (await painted) - stored;
}"""


def measure(plan: Plan) -> Iterator[Figure]:
    rounds = plan.rounds_or(9)
    with thousand(plan.home):
        pass
    with serve(plan.home / "server", config=config(plan.home)) as server, bench_page() as page:
        rest = Rest(server)
        rest.set_up()
        opened, drawn = [], []
        # The first page of a server compiles what the others find in the cache.
        for index in range(-1, rounds):
            opened.append(_opened(page, server, index))
            drawn.append(_drawn(page))
        new = [_new(page, rest, index) for index in range(rounds + 1)]
    yield Figure("panel_1000_ms", median(drawn[1:]))
    yield Figure("panel_1000_open_ms", median(opened[1:]))
    yield Figure("panel_1000_new_ms", median(new[1:]))


def _opened(page: Page, server: JupyterServer, index: int) -> float:
    """Opens the panel in a fresh page. Its rows were made unseen when the list came; showing them is what is left."""
    # A workspace of its own: another one would restore the panel that the round before has opened.
    open_page(page, server, f"lab/workspaces/round{index + 1}")
    page.locator(_ROWS).nth(COUNT - 1).wait_for(state="attached")
    page.evaluate(_OPENED)
    page.get_by_role("tab", name="Connections").click()
    return float(page.evaluate("() => window.benchOpened"))


def _drawn(page: Page) -> float:
    """Draws the whole list anew: a search that finds nothing is cleared."""
    page.locator(_PANEL).get_by_test_id("connvault-search").fill("no such connection")
    page.locator(_ROWS).first.wait_for(state="detached")
    return float(page.evaluate(_DRAWN))


def _new(page: Page, rest: Rest, index: int) -> float:
    """One more connection, stored by REST; ms until its row is painted. Taken away again."""
    name = f"another_{index}"
    body = {
        "provider_id": "postgresql",
        "name": name,
        "fields": fields(),
        "secrets": {field: {"value": value} for field, value in SECRETS.items()},
    }
    row = f"{_PANEL} [data-testid=connvault-row-{name}]"
    taken: float = page.evaluate(_NEW, ["/connvault/api/v1/connections", body, row])
    connection = rest.named(name)["connection"]
    rest.call("DELETE", f"connections/{connection['id']}", revision=connection["revision"])
    page.locator(row).wait_for(state="detached")
    return taken
