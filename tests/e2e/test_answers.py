"""What a person can answer, and what the cell then shows: a short line and a way on, never a traceback."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell, watch_errors
from tests.support.browser.consent_dialog import KEY_GUARD_MS, ConsentDialog

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.e2e

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"


def ask(name: str, more: str = "") -> str:
    return f'db = connection("{name}"{more})\nprint("got", db.connect().execute("select 40+2").fetchone()[0])'


def test_deny_shows_one_line_and_a_button(page: Page, lab: Lab, warehouse: str) -> None:
    """After a no the cell says so in a line, with a fix-it card and without a traceback; the record has the no."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).deny()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("AccessDenied")
    expect(cell(page, 1).get_by_test_id("connvault-fixit")).to_be_visible()
    expect(cell(page, 1)).not_to_contain_text("Traceback")
    assert "access:denied" in {row["type"] for row in lab.rest.audit()}


def test_nobody_answers_ends_in_a_time_out(page: Page, short_lab: Lab) -> None:
    """The broker's deadline closes the dialog and the cell gets `ConsentTimeout`, which is not a no."""
    lab = short_lab
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(lab.name(), ", timeout_s=60")))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    dialog = ConsentDialog(page).wait()
    dialog.gone()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("ConsentTimeout")
    assert lab.rest.audit()[0]["type"] == "access:expired"


def test_an_interrupt_closes_the_dialog_in_both_tabs(
    page: Page, browser: Browser, lab: Lab, warehouse: str
) -> None:
    """Interrupting the kernel withdraws the question everywhere, and the record says withdrawn."""
    path = lab.notebook(LOAD, ask(warehouse))
    open_notebook(page, lab.server, path)
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    second = context.new_page()
    errors = watch_errors(second)
    second.goto(lab.server.page_url(f"lab/workspaces/second/tree/{path}?reset"))
    second.locator("body[data-connvault-ready]").wait_for(state="attached")
    second.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).wait()
    ConsentDialog(second).wait()
    kernel = lab.server.request("GET", "api/kernels").json()[0]["id"]
    lab.server.request("POST", f"api/kernels/{kernel}/interrupt")
    ConsentDialog(page).gone()
    ConsentDialog(second).gone()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("KeyboardInterrupt")
    assert "access:withdrawn" in {row["type"] for row in lab.rest.audit()}
    context.close()
    assert not errors


def test_a_reload_brings_the_question_back(page: Page, lab: Lab, warehouse: str) -> None:
    """A page reload while the dialog is up loses nothing: it comes back and can be answered."""
    path = lab.notebook(LOAD, ask(warehouse))
    open_notebook(page, lab.server, path)
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).wait()
    page.on("dialog", lambda prompt: prompt.accept())
    page.reload()
    page.locator("body[data-connvault-ready]").wait_for(state="attached")
    ConsentDialog(page).allow()
    assert "access:granted" in {row["type"] for row in lab.rest.audit()}


def test_keys_typed_blindly_answer_nothing(page: Page, lab: Lab, warehouse: str) -> None:
    """Enter, space and Escape that were meant for the cell, held down or typed on, neither allow nor deny."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    for key in ("Enter", "Space", "Escape", "Tab", "Enter", "a"):
        page.keyboard.press(key)
    ConsentDialog(page).wait()
    for _ in range(6):
        for key in ("Enter", "Space", "Escape"):
            page.keyboard.press(key, delay=20)
    expect(page.get_by_test_id("connvault-dialog")).to_be_visible()
    page.keyboard.down("Enter")
    for _ in range(20):
        page.keyboard.down("Enter")  # auto-repeat
    page.keyboard.up("Enter")
    expect(page.get_by_test_id("connvault-dialog")).to_be_visible()
    assert len(lab.rest.questions()) == 1
    page.wait_for_timeout(KEY_GUARD_MS)
    page.keyboard.press("Enter")
    ConsentDialog(page).gone()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("AccessDenied")


def test_the_escape_key_denies(page: Page, lab: Lab, warehouse: str) -> None:
    """Once the hands are still, Escape is a no."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).wait()
    page.wait_for_timeout(KEY_GUARD_MS)
    page.keyboard.press("Escape")
    ConsentDialog(page).gone()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("AccessDenied")


def test_enter_allows_only_on_allow(page: Page, lab: Lab, warehouse: str) -> None:
    """Moving the focus to Allow first makes Enter a yes."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).wait()
    page.wait_for_timeout(KEY_GUARD_MS)
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("connvault-allow")).to_be_focused()
    page.wait_for_timeout(KEY_GUARD_MS)
    page.keyboard.press("Enter")
    ConsentDialog(page).gone()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("got 42")


def test_the_question_shows_above_select_kernel(page: Page, lab: Lab, warehouse: str) -> None:
    """JupyterLab's own dialog does not hold a question back, and is still there afterwards."""
    # The cell waits for a file, so that the other dialog is surely first.
    wait = (
        "import pathlib, time\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.05)\n"
        "pathlib.Path('go').unlink()\n"
    )
    open_notebook(page, lab.server, lab.notebook(LOAD, wait + ask(warehouse)))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-KernelName").click()
    select_kernel = page.locator(".jp-Dialog", has_text="Select Kernel")
    expect(select_kernel).to_be_visible()
    (lab.server.root / "go").touch()
    ConsentDialog(page).allow()
    expect(select_kernel).to_be_visible()
    select_kernel.get_by_role("button", name=re.compile("Cancel|No Kernel")).first.click()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("got 42")


def test_a_hundred_identical_requests_are_one_dialog(page: Page, lab: Lab, warehouse: str) -> None:
    """Simultaneous requests of one kernel are one question, one answer, and a hundred handles that work."""
    many = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(100) as pool:\n"
        f'    handles = list(pool.map(lambda i: connection("{warehouse}", reason=f"part {{i % 3}}"), range(100)))\n'
        'print("handles:", len(handles), handles[0].connect().execute("select 1").fetchone())'
    )
    open_notebook(page, lab.server, lab.notebook(LOAD, many))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("handles: 100 (1,)")
    rows = [row for row in lab.rest.audit() if row["connection"] == warehouse]
    assert [row["type"] for row in rows].count("access:asked") == 1


def test_a_loop_that_asks_after_every_no_does_not_bombard(page: Page, lab: Lab, warehouse: str) -> None:
    """After a no the same notebook waits: twenty tries are one dialog and nineteen typed errors."""
    loop = (
        "from connvault_jupyter.errors import AccessDenied\nreasons = []\n"
        "for _ in range(20):\n    try:\n"
        f'        connection("{warehouse}")\n'
        '    except AccessDenied as error:\n        reasons.append(error.details["reason"])\n'
        'print(reasons.count("denied"), reasons.count("cooldown"))'
    )
    open_notebook(page, lab.server, lab.notebook(LOAD, loop))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).deny()
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text(re.compile(r"1 19"))
    rows = [row for row in lab.rest.audit() if row["connection"] == warehouse]
    assert [row["type"] for row in rows].count("access:asked") == 1
