"""From a kernel's request to the consent dialog painted in a real Chromium that shows the notebook."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from tests.support.broker.processes import wait_until
from tests.support.browser.browser import open_notebook
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import Rest

from .children import Kernel
from .figures import Figure, Plan, percentile
from .page import bench_page, clock_error_ms
from .sample import NAME, SECRETS, fields

if TYPE_CHECKING:
    from playwright.sync_api import Page

IDS = ("dialog_drawn_ms", "dialog_drawn_p95_ms")

_OPEN = "() => !!document.querySelector('[data-testid=connvault-dialog]')"

# Just before the request, in the process that makes it; the connection to the broker is there already, as it is from
# the second request of any kernel on.
_ASK = f"""
began = time.time()
handle = connection({NAME!r})
"""


def measure(plan: Plan) -> Iterator[Figure]:
    rounds = plan.rounds_or(21)
    with serve(plan.home, config={"Application": {"log_level": "INFO"}}) as server, bench_page() as page:
        rest = Rest(server)
        rest.set_up()
        rest.create(NAME, "postgresql", fields(), SECRETS)
        # The page starts the notebook's kernel; it is spoken to beside the page, so that no cell is drawn meanwhile.
        open_notebook(page, server, server.write_notebook("report.ipynb", ""))
        session = server.request("GET", "api/sessions").json()[0]
        kernel = Kernel(server, session["path"])
        kernel.value("0", "import time; from connvault_jupyter import connection")
        taken = [_drawn_ms(kernel, page, rest) for _ in range(rounds + 1)][1:]
        kernel.close()
    yield Figure("dialog_drawn_ms", median(taken))
    yield Figure("dialog_drawn_p95_ms", percentile(taken, 0.95))


def _drawn_ms(kernel: Kernel, page: Page, rest: Rest) -> float:
    """One request; answered "this time", so that the next one asks again."""
    error = clock_error_ms(page)
    page.evaluate(f"() => {{ window.benchDrawn = window.benchPaintedWhen({_OPEN}) }}")
    ticket = kernel.begin(_ASK, "began")
    drawn: float = page.evaluate("() => window.benchDrawn")
    for question in rest.questions():
        answer = rest.decide(question, "once")
        assert answer.ok, answer.text
    began: float = kernel.answer(ticket)
    page.get_by_test_id("connvault-dialog").wait_for(state="detached")
    wait_until(lambda: not rest.questions(), deadline_s=10, what="the question's end")
    return drawn + error - began * 1000
