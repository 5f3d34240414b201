"""What people see of *brokered*: the question, the handle, the record; and that taking it back ends what is open."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"
SLEEP = 'db.connect().execute("select pg_sleep(30)")'

# From the click to the cell's end, on two busy cores with a browser: the cut itself takes 0.1 s.
CUT_S = 5


def ask(name: str) -> str:
    return f'db = connection("{name}", reason="monthly report")\ndb'


def granted(page: Page, lab: Lab, name: str, *more: str, duration: str = "session") -> None:
    """A notebook that holds a handle in `db`, with the cells `more` from the third on."""
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(name), *more))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow(duration)
    wait_for_cell(page, 1)


def sleeping(postgres: PostgresServer, user: str) -> bool:
    """Whether the server runs this user's `pg_sleep`."""
    rows = postgres.execute(
        f"select 1 from pg_stat_activity where usename = '{user}' and state = 'active' and query like "
        "'%pg_sleep%'"
    )
    return bool(rows)


def test_the_question_and_the_handle_say_brokered(page: Page, lab: Lab, warehouse: str) -> None:
    """The dialog's line, the handle's card, `%connections show` and the text of the handle name it, with the way."""
    open_notebook(
        page, lab.server, lab.notebook(LOAD, ask(warehouse), "print(db)", f"%connections show {warehouse}")
    )
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    dialog = ConsentDialog(page).wait()
    line = page.get_by_test_id("connvault-mode-brokered")
    expect(line).to_have_text("Brokered: connvault logs in; the password never enters the notebook.")
    expect(dialog.box).not_to_contain_text("In the clear")
    dialog.allow()
    wait_for_cell(page, 1)
    expect(cell(page, 1).get_by_test_id("connvault-handle")).to_contain_text("brokered, hand-over")
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("brokered, hand-over")
    run_cell(page, 3)
    expect(cell(page, 3)).to_contain_text("brokered, hand-over")


def test_over_tls_the_handle_says_relay(page: Page, lab: Lab, warehouse: str) -> None:
    """An encrypted upstream can't be handed over; nobody has to log in to be told so."""
    view = lab.rest.named(warehouse)["connection"]
    lab.rest.call(
        "PATCH",
        f"connections/{view['id']}",
        {"fields": {**view["fields"], "sslmode": "require"}, "secrets": {"password": {"value": "made-up"}}},
        revision=view["revision"],
    )
    granted(page, lab, warehouse)
    expect(cell(page, 1).get_by_test_id("connvault-handle")).to_contain_text("brokered, relay")
    panel = ConnectionsPanel(page).open()
    panel.row(warehouse).click()
    expect(panel.box.get_by_test_id("connvault-how-brokered")).to_contain_text("brokered, relay")
    expect(panel.box.get_by_test_id("connvault-how-in_clear")).to_have_count(0)


def test_the_record_and_the_permission_say_brokered(page: Page, lab: Lab, warehouse: str) -> None:
    """After a query the panel tells it in each of its tabs."""
    query = 'print("got", db.connect().execute("select 40+2").fetchone()[0])'
    granted(page, lab, warehouse, query)
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("got 42")
    panel = ConnectionsPanel(page).open()
    panel.row(warehouse).click()
    expect(panel.box.get_by_test_id("connvault-how-brokered")).to_contain_text("brokered, hand-over")
    panel.box.get_by_test_id("connvault-tab-grants").click()
    expect(panel.box).to_contain_text("until kernel stops · brokered, hand-over")
    panel.box.get_by_test_id("connvault-tab-activity").click()
    expect(panel.box.get_by_test_id("connvault-event-access:used").first).to_contain_text("brokered")
    rows = [row for row in lab.rest.audit() if row["connection"] == warehouse]
    modes = {row["mode"] for row in rows if row["type"].startswith("access:")}
    assert modes == {"brokered"}


@pytest.mark.parametrize("by", ["revoke", "lock"])
def test_taking_it_back_ends_a_running_query(
    page: Page, lab: Lab, warehouse: str, postgres: PostgresServer, by: str
) -> None:
    """A click in the panel, while the kernel waits for the server: the cell ends at once, and says why."""
    user = lab.rest.named(warehouse)["connection"]["fields"]["user"]
    granted(page, lab, warehouse, SLEEP)
    panel = ConnectionsPanel(page).open()
    panel.row(warehouse).click()
    panel.box.get_by_test_id("connvault-tab-grants").click()
    permission = lab.rest.grants()[0]["grant"]
    revoke = panel.box.get_by_test_id(f"connvault-revoke-{permission['id']}")
    expect(revoke).to_be_visible()
    if by == "lock":
        panel.box.get_by_test_id("connvault-back").click()
    run_cell(page, 2, wait=False)
    wait_until(lambda: sleeping(postgres, user), deadline_s=20, what="the running query")
    began = time.monotonic()
    (revoke if by == "revoke" else panel.box.get_by_test_id("connvault-lock")).click()
    wait_for_cell(page, 2)
    assert time.monotonic() - began < CUT_S
    why = "its permission was revoked" if by == "revoke" else "the vault was locked"
    expect(cell(page, 2).get_by_test_id("connvault-fixit")).to_contain_text(
        f"The open clients of “{warehouse}” were closed: {why}."
    )


def test_other_programs_use_it_without_a_password(
    page: Page, lab: Lab, warehouse: str, postgres: PostgresServer
) -> None:
    """`handle.env()` is enough for psql, in a `!` line and as a subprocess; so is the command line's, in a shell.

    No variable is a password.
    """
    psql = postgres.programs / "psql"
    shell = f"import os\nos.environ.update(db.env())\n!{psql} -Atc \"select 'shell:' || 40+2\""
    process = (
        "import os, subprocess\n"
        f'told = subprocess.run(["{psql}", "-Atc", "select \'process:\' || 40+2"], env={{**os.environ, **db.env()}},\n'
        "                      capture_output=True, text=True, check=True)\n"
        'print(told.stdout, sorted(name for name in db.env() if "PASS" in name.upper()))'
    )
    other = (
        f"%%bash -s {sys.executable}\n"
        f'eval "$($1 -m connvault_jupyter.cli.main env {warehouse} --reason shell)"\n'
        f"{psql} -Atc \"select 'bash:' || 40+2\"\n{psql} -Atc \"select 'again:' || 40+2\""
    )
    granted(page, lab, warehouse, shell, process, other)
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("shell:42")
    run_cell(page, 3)
    expect(cell(page, 3)).to_contain_text(re.compile(r"process:42\s*\[\]"))
    # The permission is the notebook's, so what it starts is not asked again; the variables outlive the command.
    run_cell(page, 4)
    expect(cell(page, 4)).to_contain_text("bash:42")
    expect(cell(page, 4)).to_contain_text("again:42")


def test_plain_text_is_off_until_it_is_allowed_in_the_form(page: Page, lab: Lab, warehouse: str) -> None:
    """`.reveal()` is refused without a question, and says where to allow it; list and details show which it is."""
    reveal = "with db.reveal('password', reason='to look at it') as text: print('shown')"
    open_notebook(page, lab.server, lab.notebook(LOAD, ask(warehouse), reveal))
    run_cell(page, 0)
    run_cell(page, 1, wait=False)
    ConsentDialog(page).allow("session")
    wait_for_cell(page, 1)
    run_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("edit the connection in the Connections panel")
    assert lab.rest.questions() == []
    panel = ConnectionsPanel(page).open()
    expect(panel.row(warehouse)).not_to_contain_text("may be revealed")
    panel.row(warehouse).click()
    expect(panel.box.get_by_test_id("connvault-reveal-off")).to_be_visible()
    panel.box.get_by_test_id("connvault-edit").click()
    box = panel.field("reveal_allowed")
    expect(box).not_to_be_checked()
    box.check()
    panel.box.get_by_test_id("connvault-save").click()
    expect(panel.box.get_by_test_id("connvault-reveal-on")).to_be_visible()
    panel.box.get_by_test_id("connvault-back").click()
    expect(panel.row(warehouse)).to_contain_text("may be revealed")
    run_cell(page, 1)
    run_cell(page, 2, wait=False)
    ConsentDialog(page).allow()
    wait_for_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("shown")


def test_inserted_code_stands_below_the_extension(page: Page, lab: Lab, warehouse: str) -> None:
    """With the cursor above it, in a title; and below the active cell where that is further down."""
    open_notebook(page, lab.server, lab.notebook("# before", LOAD, "print('after')"))
    panel = ConnectionsPanel(page).open()
    panel.row(warehouse).click()
    cell(page, 0).locator(".cm-content").click()
    panel.box.get_by_test_id("connvault-insert-code").click()
    expect(cell(page, 1)).to_contain_text("%load_ext")
    expect(cell(page, 2)).to_contain_text(f'connection("{warehouse}"')
    cell(page, 3).locator(".cm-content").click()
    panel.box.get_by_test_id("connvault-insert-code").click()
    expect(cell(page, 4)).to_contain_text(f'connection("{warehouse}"')
    run_cell(page, 1)
    run_cell(page, 2, wait=False)
    dialog = ConsentDialog(page).wait()
    # Nobody has given a reason, so none is put into the code's mouth.
    expect(dialog.box).not_to_contain_text("The code says")
    dialog.allow()
    wait_for_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("PostgreSQL")
