"""A browser page for measuring: one Chromium, one page, and a script that notes when something is painted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.browser.browser import _FLAGS, chromium_path

if TYPE_CHECKING:
    from playwright.sync_api import Page

# `paintedWhen(test)` resolves with the wall clock (ms) just after the frame in which `test()` was first true: the
# callback of requestAnimationFrame runs before its frame is painted, a message posted there arrives after it.
# `performance.now()` has a far finer grain than Date.now(); the origin maps it to the clock that a kernel reads.
_NOTES = """
window.benchNow = () => performance.timeOrigin + performance.now();
window.benchPaintedWhen = test => new Promise(resolve => {
  const observer = new MutationObserver(look);
  function look() {
    if (!test()) return;
    observer.disconnect();
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => resolve(window.benchNow());
      port2.postMessage(null);
    });
  }
  observer.observe(document, { subtree: true, childList: true, attributes: true });
  look();
});
"""


@contextmanager
def bench_page() -> Iterator[Page]:
    """A page that stays the same for the whole measurement. Reduced motion, as in the browser tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(_FLAGS))
        context = browser.new_context(viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
        context.add_init_script(_NOTES)
        page = context.new_page()
        page.set_default_timeout(60_000)
        try:
            yield page
        finally:
            browser.close()


def clock_error_ms(page: Page) -> float:
    """How far the page's fine clock is from its wall clock (Date.now(), whole ms): to add to the fine one."""
    return float(
        page.evaluate(
            """() => {
              let error = Infinity;
              // Date.now() is rounded down, so the truth is at the start of a new ms.
              for (let last = Date.now(), n = 0; n < 20; ) {
                const now = Date.now();
                if (now === last) continue;
                last = now; n += 1;
                const off = now - window.benchNow();
                if (Math.abs(off) < Math.abs(error)) error = off;
              }
              return error;
            }"""
        )
    )
