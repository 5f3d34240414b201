"""How long a yes holds: this time, until the kernel stops, for a while, always for this notebook; and what ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import Login
from tests.support.broker.processes import wait_until
from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConsentDialog
from tests.support.servers.echo_api import echo_api

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"


def ask(name: str) -> str:
    return f'db = connection("{name}")\nprint("got", db.connect().execute("select 40+2").fetchone()[0])'


def grant(page: Page, duration: str) -> None:
    """Runs the asking cell and answers with `duration`."""
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow(duration)
    wait_for_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("got 42")


def runs_unasked(page: Page) -> None:
    """The asking cell goes through without a question."""
    run_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("got 42")


def asks_again(page: Page) -> None:
    run_cell(page, 1, wait=False)
    ConsentDialog(page).deny()
    wait_for_cell(page, 1)


def restart_kernel(page: Page) -> None:
    """As a person does, so that the page knows when the new kernel is there."""
    page.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(page.get_by_role("button", name="Confirm Kernel Restart")).to_have_count(0)
    run_cell(page, 0, wait=False)
    expect(cell(page, 0).locator(".jp-InputPrompt")).to_have_text("[1]:")


def test_after_this_time_the_next_call_asks_again(page: Page, lab: Lab, warehouse: str) -> None:
    """*This time* is one handle; the next call asks, with *until kernel stops* preselected."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    grant(page, "once")
    run_cell(page, 1, wait=False)
    dialog = ConsentDialog(page).wait()
    expect(page.get_by_test_id("connvault-duration-session")).to_be_checked()
    assert lab.rest.questions()[0]["preselected"] == "session"
    dialog.deny()


def test_session_holds_until_the_kernel_restarts(page: Page, lab: Lab, warehouse: str) -> None:
    """*Until kernel stops* needs no further answer, and ends with a restart."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    grant(page, "session")
    runs_unasked(page)
    restart_kernel(page)
    asks_again(page)


def test_always_survives_a_restart_but_not_another_notebook(page: Page, lab: Lab, warehouse: str) -> None:
    """*Always* belongs to this notebook file, whatever kernel it has."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    grant(page, "always")
    restart_kernel(page)
    runs_unasked(page)
    lab.end_kernels()
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse), name="other"))
    run_cell(page, 0)
    asks_again(page)


def test_always_does_not_survive_a_notebook_made_anew(page: Page, lab: Lab, warehouse: str) -> None:
    """A notebook that was deleted and made again under its name is another notebook."""
    path = lab.notebook(LOAD, ask(warehouse))
    open_notebook(page, lab.server, path)
    run_cell(page, 0)
    grant(page, "always")
    lab.end_kernels()
    assert lab.server.request("DELETE", f"api/contents/{path}").status_code == 204
    lab.notebook(LOAD, ask(warehouse))
    open_notebook(page, lab.server, path)
    run_cell(page, 0)
    asks_again(page)


def test_a_permission_for_a_while_ends(page: Page, short_lab: Lab) -> None:
    """A grant for a while holds over a kernel restart and is over when its time is."""
    lab = short_lab
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(lab.name())))
    run_cell(page, 0)
    grant(page, "for")
    assert [found["grant"]["decision"] for found in lab.rest.grants()] == ["for"]
    restart_kernel(page)
    runs_unasked(page)
    # Once it is over it is swept away.
    wait_until(
        lambda: not any(found["counts"] for found in lab.rest.grants()),
        deadline_s=30,
        what="the end of the grant",
    )
    asks_again(page)


def test_a_changed_host_needs_the_secret_and_a_new_yes(
    page: Page, lab: Lab, warehouse: str, postgres_login: Login
) -> None:
    """Another destination voids the grant and the stored secret."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse)))
    run_cell(page, 0)
    grant(page, "session")
    view = lab.rest.named(warehouse)["connection"]
    fields = {**view["fields"], "host": "localhost"}
    lab.rest.call("PATCH", f"connections/{view['id']}", {"fields": fields}, revision=view["revision"])
    run_cell(page, 1)
    expect(cell(page, 1)).to_contain_text("SecretMissing")
    assert lab.rest.grants(view["id"]) == []
    lab.rest.call("PUT", f"connections/{view['id']}/secrets/password", {"value": postgres_login.password})
    asks_again(page)


def test_a_revoke_bites_at_the_next_checkout(page: Page, lab: Lab, warehouse: str) -> None:
    """A pooled engine works until the grant is taken back in the panel's list, then says so."""
    make = f'handle = connection("{warehouse}")\nengine = handle.engine()\nfrom sqlalchemy import text'
    use = 'with engine.connect() as c: print("got", c.execute(text("select 40+2")).scalar())'
    open_notebook(page, lab.server, lab.notebook(LOAD, make, use))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow("session")
    wait_for_cell(page, 1)
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("got 42")
    granted = lab.rest.grants(lab.rest.named(warehouse)["connection"]["id"])[0]["grant"]
    lab.rest.call("DELETE", f"grants/{granted['id']}")
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("HandleInvalid")


def test_a_revoke_bites_at_the_next_request(page: Page, lab: Lab) -> None:
    """An HTTP session works until the grant is taken back, then says so and sends nothing."""
    with echo_api() as api:
        name = lab.name("api")
        lab.rest.create(
            name,
            "http",
            {"base_url": api.origin, "auth": "bearer", "allow_http": True},
            {"token": "t0ken-of-a-test"},
        )
        make = f'session = connection("{name}").session()\nprint(session.get("/ping").status_code)'
        open_notebook(page, lab.server, lab.notebook(LOAD, make, 'print(session.get("/ping").status_code)'))
        run_cell(page, 0)
        run_cell(page, 1, wait=False)
        ConsentDialog(page).allow("session")
        wait_for_cell(page, 1)
        expect(cell(page, 1)).to_contain_text("200")
        granted = lab.rest.grants(lab.rest.named(name)["connection"]["id"])[0]["grant"]
        lab.rest.call("DELETE", f"grants/{granted['id']}")
        run_cell(page, 2)
        expect(cell(page, 2)).to_contain_text("HandleInvalid")
        assert len(api.requests) == 1
