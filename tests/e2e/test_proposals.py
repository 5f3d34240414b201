"""Who fills a form: the person, and code by a suggestion that says whose it is. Never a document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import Login
from tests.support.broker.processes import wait_until
from tests.support.browser.browser import cell, open_notebook, open_page, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.rest import postgresql_fields

from .conftest import Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e

LOAD = "%load_ext connvault_jupyter\nfrom connvault_jupyter import connection"
EVIL = "db.evil.test"

# All that a document could say of a form, in every shape in which a form has ever taken it.
FILLING = {
    "new": "postgresql",
    "name": "warehouse",
    "host": EVIL,
    **{
        key: {"host": EVIL, "user": "ada", "name": "warehouse", "fields": {"host": EVIL}}
        for key in ("prefill", "fields", "values", "proposal", "data", "place")
    },
}


def values_of(form: Locator) -> str:
    """What is in the inputs."""
    found: list[str] = form.locator("input, textarea, select").evaluate_all(
        "all => all.map(one => one.value)"
    )
    return json.dumps(found)


def written(lab: Lab, name: str, **changes: Any) -> str:
    """A notebook as an attacker writes it; its path."""
    path = lab.notebook(LOAD, name=name)
    file = Path(lab.server.root, path)
    document = json.loads(file.read_text())
    for key, value in changes.items():
        document[key] = value if key == "cells" else {**document[key], **value}
    file.write_text(json.dumps(document))
    return path


def new_command(name: str, login: Login, **changes: str) -> str:
    fields = {**postgresql_fields(login), **changes}
    words = " ".join(f"{field}={value}" for field, value in fields.items())
    return f"%connections new postgresql name={name} {words}"


def test_what_code_suggests_is_looked_at_completed_and_used(
    page: Page, lab: Lab, postgres_login: Login
) -> None:
    """The whole way: a magic, the form in its output, a look at the destination, the password, a query."""
    name = lab.name()
    use = f'print("got", connection("{name}").connect().execute("select 40+2").fetchone()[0])'
    path = lab.notebook(LOAD, new_command(name, postgres_login), use)
    open_notebook(page, lab.server, path)
    run_cell(page, 0)
    run_cell(page, 1)
    form = cell(page, 1).get_by_test_id("connvault-form")
    expect(form.get_by_test_id("connvault-suggestion")).to_contain_text(f"the notebook {path}")
    place = f"{postgres_login.host}:{postgres_login.port}"
    expect(form.get_by_test_id("connvault-suggestion")).to_contain_text(place)
    expect(form.get_by_test_id("connvault-goes-to")).to_contain_text(place)
    expect(form.get_by_test_id("connvault-field-name")).to_have_value(name)
    password = form.get_by_test_id("connvault-field-password")
    expect(password).to_be_disabled()
    form.get_by_test_id("connvault-confirm-destination").click()
    password.fill(postgres_login.password)
    form.get_by_test_id("connvault-save-test").click()
    expect(cell(page, 1)).to_contain_text("Connected in")
    run_cell(page, 2, wait=False)
    ConsentDialog(page).allow()
    wait_for_cell(page, 2)
    expect(cell(page, 2)).to_contain_text("got 42")
    assert "connection:proposed" in [row["type"] for row in lab.rest.audit()]


def saved_document(path: Path, before: bytes) -> dict[str, Any] | None:
    """A notebook that was saved, once it is there as a whole."""
    try:
        document: dict[str, Any] | None = (
            json.loads(path.read_bytes()) if path.read_bytes() != before else None
        )
    except ValueError:
        return None
    return document


def test_a_suggestion_in_a_saved_notebook_has_expired_when_the_kernel_is_gone(
    page: Page, lab: Lab, postgres_login: Login
) -> None:
    """Neither the file nor an address has a value of the form, and the id in both opens an empty one."""
    path = lab.notebook(LOAD, new_command(lab.name(), postgres_login, host=EVIL), name="saved")
    open_notebook(page, lab.server, path)
    run_cell(page, 0)
    run_cell(page, 1)
    expect(cell(page, 1).get_by_test_id("connvault-field-host")).to_have_value(EVIL)
    saved = lab.server.root / path
    before = saved.read_bytes()
    cell(page, 0).locator(".cm-content").click()
    page.keyboard.press("Control+s")
    document = wait_until(lambda: saved_document(saved, before), deadline_s=20, what="the saved notebook")
    rest = json.dumps([document["metadata"], [one["outputs"] for one in document["cells"]]])
    assert EVIL not in rest
    link = document["cells"][1]["outputs"][0]["data"]["text/plain"]
    link = "".join(link).rpartition("/lab?connvault=")[2]
    lab.end_kernels()
    open_page(page, lab.server, f"lab?reset&connvault={link}")
    panel = ConnectionsPanel(page)
    expect(panel.box.get_by_test_id("connvault-expired")).to_contain_text(
        "This suggestion has expired. Run the cell again."
    )
    panel.box.get_by_test_id("connvault-empty-form").click()
    panel.box.get_by_test_id("connvault-provider-postgresql").click()
    expect(panel.box.get_by_test_id("connvault-form")).to_be_visible()
    assert EVIL not in values_of(panel.box)


def test_a_link_of_a_live_suggestion_opens_it_with_whose_it_is(
    page: Page, lab: Lab, postgres_login: Login
) -> None:
    """Its address has an id and nothing else; for a plain terminal it is all there is."""
    made = "from connvault_jupyter.kernel.api import propose\n"
    made += f"print(propose(provider='postgresql', name='linked', fields={{'host': {EVIL!r}}}))"
    path = lab.notebook(LOAD, made, name="linker")
    open_notebook(page, lab.server, path)
    run_cell(page, 0)
    run_cell(page, 1)
    link = cell(page, 1).locator(".jp-OutputArea-output").inner_text().strip()
    open_page(page, lab.server, f"lab?reset&connvault={link}")
    form = ConnectionsPanel(page).box.get_by_test_id("connvault-form")
    expect(form.get_by_test_id("connvault-suggestion")).to_contain_text(f"the notebook {path}")
    expect(form.get_by_test_id("connvault-field-host")).to_have_value(EVIL)
    expect(form.get_by_test_id("connvault-field-password")).to_be_disabled()
    expect(page).not_to_have_url(re.compile(re.escape(link)))


def test_a_command_link_of_an_untrusted_notebook_fills_nothing(page: Page, lab: Lab) -> None:
    """It opens the panel, as it may; whatever it says of the form, the form is empty."""
    link = (
        "<button data-commandlinker-command='connvault:open' "
        f"data-commandlinker-args='{json.dumps(FILLING)}'>Click here to continue</button>"
    )
    markdown = {"cell_type": "markdown", "id": "evil", "metadata": {}, "source": link}
    code: dict[str, Any] = {
        "cell_type": "code",
        "id": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": "1",
    }
    path = written(lab, "linked", cells=[markdown, code])
    open_notebook(page, lab.server, path)
    page.get_by_role("button", name="Click here to continue").click()
    panel = ConnectionsPanel(page)
    form = panel.box.get_by_test_id("connvault-form")
    # JupyterLab asks since 4.5; before that a click was enough.
    asked = page.get_by_role("button", name="Run Once")
    expect(asked.or_(form)).to_be_visible()
    if asked.is_visible():
        asked.click()
    expect(form).to_be_visible()
    expect(panel.field("host")).to_have_value("")
    expect(panel.field("name")).to_have_value("")
    assert EVIL not in page.locator("#connvault-connections").inner_html() + values_of(panel.box)


@pytest.mark.parametrize(
    "mime", ["application/vnd.connvault.fixit+json", "application/vnd.connvault.handle+json"]
)
def test_a_card_that_somebody_wrote_fills_nothing(page: Page, lab: Lab, mime: str) -> None:
    """Its button opens a screen; a handle's card has none."""
    card = {
        "code": "connection_not_found",
        "error": "ConnectionNotFound",
        "title": "One more step.",
        "message": "",
        "actions": [{"label": "Continue", "command": "connvault:open", "args": FILLING}],
        "name": "warehouse",
        "kind": "PostgreSQL",
        "mode": "brokered",
        "destination": EVIL,
        **FILLING,
    }
    output = {"output_type": "display_data", "metadata": {}, "data": {mime: card}}
    code: dict[str, Any] = {
        "cell_type": "code",
        "id": "evil",
        "metadata": {},
        "outputs": [output],
        "execution_count": 1,
        "source": "1",
    }
    open_notebook(page, lab.server, written(lab, "carded", cells=[code]))
    if mime.startswith("application/vnd.connvault.fixit"):
        cell(page, 0).get_by_test_id("connvault-fixit-action").click()
        panel = ConnectionsPanel(page)
        expect(panel.box.get_by_test_id("connvault-form")).to_be_visible()
    else:
        expect(cell(page, 0).get_by_test_id("connvault-handle")).to_be_visible()
        panel = ConnectionsPanel(page).open()
        panel.pick("postgresql")
    assert EVIL not in values_of(panel.box)


def test_a_widget_state_that_somebody_wrote_fills_nothing(page: Page, lab: Lab) -> None:
    """A saved form, also of the versions that had values in it, comes up empty."""
    model_id = uuid4().hex
    state = {
        "model_module": "connvault-jupyter",
        "model_module_version": "*",
        "model_name": "ConnectionFormModel",
        "state": {
            "_model_module": "connvault-jupyter",
            "_model_module_version": "*",
            "_model_name": "ConnectionFormModel",
            "_view_module": "connvault-jupyter",
            "_view_module_version": "*",
            "_view_name": "ConnectionFormView",
            "provider": "postgresql",
            "state": "open",
            "connection": "",
            **{key: value for key, value in FILLING.items() if key != "new"},
        },
    }
    widgets = {
        "application/vnd.jupyter.widget-state+json": {
            "version_major": 2,
            "version_minor": 0,
            "state": {model_id: state},
        }
    }
    view = {
        "application/vnd.jupyter.widget-view+json": {
            "version_major": 2,
            "version_minor": 0,
            "model_id": model_id,
        }
    }
    code: dict[str, Any] = {
        "cell_type": "code",
        "id": "evil",
        # As the page marks what a person has trusted: else no widget is drawn at all.
        "metadata": {"trusted": True},
        "outputs": [{"output_type": "display_data", "metadata": {}, "data": view}],
        "execution_count": 1,
        "source": "1",
    }
    path = written(lab, "stateful", cells=[code], metadata={"widgets": widgets})
    assert lab.server.request("POST", f"api/contents/{path}/trust").ok
    open_notebook(page, lab.server, path)
    form = cell(page, 0).get_by_test_id("connvault-form")
    expect(form).to_be_visible()
    expect(form.get_by_test_id("connvault-field-host")).to_have_value("")
    expect(form.get_by_test_id("connvault-field-name")).to_have_value("")
    assert EVIL not in values_of(form)


@pytest.mark.parametrize(
    "address", ["connvault=new&host={evil}&prefill={args}&fields={args}", "connvault={args}"]
)
def test_an_address_fills_nothing(page: Page, lab: Lab, address: str) -> None:
    """Whatever else is in it."""
    args = quote(json.dumps(FILLING))
    open_page(page, lab.server, "lab?reset&" + address.replace("{evil}", EVIL).replace("{args}", args))
    panel = ConnectionsPanel(page)
    panel.box.get_by_test_id("connvault-back").click()
    panel.pick("postgresql")
    assert EVIL not in values_of(panel.box)
