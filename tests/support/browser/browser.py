"""A real browser (the installed Chromium) on a real JupyterLab, and the few gestures that every browser test needs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from setup_hooks import bootstrap

from ..broker.processes import wait_until
from .jupyter_server import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

# Playwright's own browser would be a download; an installed one is a package like any other.
_PROGRAMS = (*bootstrap.CHROMIUM.names, "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",  # Chromium refuses to start as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Notebook throws these by itself, on every page: 7.6 the first two, 7.2 the third. Nothing else is forgiven.
_NOT_OURS = (
    re.compile(r"reading 'schema'"),
    re.compile(r"filebrowser:open-path"),
    re.compile(r"reading 'last_modified'"),
)

# A cold JupyterLab draws a notebook in 3-5 s on two busy cores.
READY_DEADLINE_MS = 60_000
# For what a page is waited for, a busy machine included.
PATIENCE_MS = 20_000
ARTEFACTS = Path(__file__).resolve().parents[3] / "build" / "e2e"

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
CELL = f"{PANEL} .jp-CodeCell"


def chromium_path() -> str:
    """The Chromium to drive: $CONNVAULT_CHROMIUM, or the first one installed."""
    named = os.environ.get("CONNVAULT_CHROMIUM")
    for program in [named] if named else _PROGRAMS:
        found = shutil.which(program)
        if found:
            return found
    pytest.fail(
        f"no Chromium is installed: run 'make e2e' as root, or install Debian's package '{bootstrap.CHROMIUM.package}'"
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser a worker; each test gets a page in a context of its own."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with its own cookies. An uncaught error in it fails the test.

    A failed test leaves a screenshot in build/e2e.
    """
    context = browser.new_context(viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors = watch_errors(page)
    failed_before = request.session.testsfailed
    yield page
    if errors or request.session.testsfailed > failed_before:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.-]+", "_", request.node.name)
        page.screenshot(path=ARTEFACTS / f"{name}.png")
    context.close()
    assert not errors, f"uncaught errors in the page: {errors}"


def watch_errors(page: Page) -> list[str]:
    """The list that fills with the page's uncaught errors, the known ones of Notebook 7 left out."""
    errors: list[str] = []

    def note(error: Exception) -> None:
        text = str(error)
        if not any(pattern.search(text) for pattern in _NOT_OURS):
            errors.append(text)

    page.on("pageerror", note)
    return errors


def open_page(page: Page, server: JupyterServer, path: str) -> None:
    """Opens `path` logged in, and waits until our labextension says that it is there."""
    page.goto(server.page_url(path))
    page.locator("body[data-connvault-ready]").wait_for(state="attached", timeout=READY_DEADLINE_MS)


def open_notebook(page: Page, server: JupyterServer, path: str, *, frontend: str = "lab") -> None:
    """Opens the notebook at `path` below the root, in `lab` or `notebook`, and waits for its idle kernel."""
    from playwright.sync_api import expect

    where = f"lab/tree/{path}?reset" if frontend == "lab" else f"notebooks/{path}"
    while not _opened_with_its_kernel(page, server, path, where):
        page.goto("about:blank")
        server.end_kernel(unquote(path))
    expect(page.locator(f"{PANEL} .jp-Toolbar-kernelName")).not_to_have_text(re.compile("No Kernel"))
    expect(page.locator(f'{PANEL} .jp-Notebook-ExecutionIndicator[data-status="idle"]')).to_be_visible()


def _opened_with_its_kernel(page: Page, server: JupyterServer, path: str, where: str) -> bool:
    """Whether the kernel came up by itself: the page never learns of one that was restarted meanwhile."""
    mark = server.log_file.stat().st_size
    open_page(page, server, where)
    page.locator(CELL).first.wait_for(timeout=READY_DEADLINE_MS)
    # JupyterLab calls a notebook idle before it has a kernel, and a cell that is run then is silently not run.
    wait_until(
        lambda: _has_idle_kernel(server, unquote(path)) or server.lost_a_port(since=mark),
        deadline_s=READY_DEADLINE_MS / 1000,
        what=f"the kernel of {path}",
    )
    return not server.lost_a_port(since=mark)


def _has_idle_kernel(server: JupyterServer, path: str) -> bool:
    """Whether a page is connected to the notebook's kernel, and the kernel waits for work."""
    kernels = [
        session["kernel"]
        for session in server.request("GET", "api/sessions").json()
        if session["path"] == path and session["kernel"]
    ]
    return any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels)


def cell(page: Page, index: int) -> Locator:
    """The code cell `index` of the visible notebook, counted from 0."""
    return page.locator(CELL).nth(index)


def run_cell(page: Page, index: int, *, wait: bool = True) -> Locator:
    """Runs a cell as a person does (click, Shift+Enter); `wait` until it has finished. Returns the cell."""
    target = cell(page, index)
    target.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    if wait:
        wait_for_cell(page, index)
    return target


def wait_for_cell(page: Page, index: int, *, timeout_ms: float = 30_000) -> None:
    """Waits until the cell has run: its prompt is a number, no longer `[ ]` or `[*]`."""
    from playwright.sync_api import expect

    prompt = cell(page, index).locator(".jp-InputPrompt")
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=timeout_ms)
