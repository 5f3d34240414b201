"""The canary: one secret is typed, stored, used and made to fail in every way, then every sink is searched for it.

In the same run another secret is typed into `ipywidgets.Password`, and is found: the search can find.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.broker_of import broker_of
from tests.support.broker.process_sinks import memory
from tests.support.broker.processes import wait_until
from tests.support.browser.browser import cell, open_notebook, run_cell, wait_for_cell
from tests.support.browser.consent_dialog import ConnectionsPanel, ConsentDialog
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest
from tests.support.canary import CANARY, found_in
from tests.support.servers.echo_api import EchoApi, echo_api
from tests.support.sinks import PageSinks, files_below, hits, of_processes

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# No word of it stands in a server's memory by itself.
SPOKEN = "Sittich-Voliere 4711 zirpt leise"

CONTROL = "Papagei/laut+5 %&'\\\"w7Yk-sichtbar"

LOUD = """\
%load_ext connvault_jupyter
%xmode Verbose
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
for name in ("urllib3", "sqlalchemy.engine", "sqlalchemy.pool", "psycopg", "psycopg.pool", "connvault_jupyter"):
    logging.getLogger(name).setLevel(logging.DEBUG)
from connvault_jupyter import connection, connections
import sqlalchemy, pandas"""

CELLS = (
    LOUD,
    'db = connection("warehouse", reason="canary")\ndb',
    """\
with db.connect() as c: print(c.execute('select 40 + 2').fetchone(), c)
engine = db.engine()
print(pandas.read_sql('select 1 as one', engine), engine, engine.url, engine.pool.status())""",
    "db.engine().connect().execute(sqlalchemy.text('select * from not_there'))",
    """\
api = connection("api", reason="canary")
session = api.session()
answer = session.get('/fine')
print(answer, answer.text, answer.request.headers, session.headers)
api""",
    "session.get('/fails').raise_for_status()",
    "print(session.get('/moved').url)",
    "session.get('/silent')",
    "session.get('https://elsewhere.test/x')",
    (
        "print(repr(db), f'{db}', dir(db), db.env(), connections())\n"
        "%connections show warehouse\n%connections audit\n%history"
    ),
    "%connections",
    "import ipywidgets\nbox = ipywidgets.Password(description='control')\nbox",
    'db = connection("warehouse", reason="another database")\ndb.connect()',
    "db.engine().connect()",
    "db.connect()",
    'db = connection("warehouse", reason="again")\ndb.connect()',
    "db.engine().connect()",
)
ASKS = {1, 4, 12, 15}
FAILS = {
    3: "UndefinedTable",
    5: r"HTTPError(.|\s)*self = <Response \[500\]>",
    7: "UpstreamUnreachable",
    8: "NotAllowed",
    12: "UpstreamRefused",
    13: "UpstreamRefused",
    14: "UpstreamAuthFailed",
    15: "UpstreamTlsFailed",
    16: "UpstreamTlsFailed",
}

# The one way in: what a person types goes from the page to the server in the bodies of these, sealed to the broker.
WAYS_IN = [
    ("POST", "/connvault/api/v1/vault/setup"),
    ("POST", "/connvault/api/v1/connections"),
    ("POST", "/connvault/api/v1/connections"),
    ("PUT", "/connvault/api/v1/connections/*/secrets/password"),
]

# As a page has it that is not on a secure origin.
NO_SUBTLE = "Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined })"


@pytest.fixture
def login(postgres: PostgresServer, postgres_login: Login) -> Login:
    """A database user whose password is the canary."""
    return postgres.set_password(postgres_login, CANARY)


@pytest.fixture
def loud_server(tmp_path: Path) -> Iterator[JupyterServer]:
    """Logs at DEBUG (all test servers do), keeps its temporary files below its home, and saves widget state. Its memory
    may be looked at."""
    settings = tmp_path / "config" / "lab" / "user-settings"
    for plugin, values in (
        ("@jupyter-widgets/jupyterlab-manager/plugin", {"saveState": True}),
        ("@jupyterlab/notebook-extension/tracker", {"windowingMode": "none"}),
    ):
        target = settings / f"{plugin}.jupyterlab-settings"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(values))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    config = {"ConnvaultExtension": {"non_dumpable_server": False}}
    with serve(tmp_path, config=config, env={"TMPDIR": str(temporary)}) as server:
        yield server


# What no page of ours does, to see that the search would notice.
LEAVE_EVERYWHERE = """
async secret => {
  localStorage.setItem('control', secret);
  sessionStorage.setItem('control', JSON.stringify({secret}));
  await new Promise((done, failed) => {
    const opening = indexedDB.open('control');
    opening.onupgradeneeded = () => opening.result.createObjectStore('rows').put({secret}, 1);
    opening.onsuccess = () => { opening.result.close(); done(); };
    opening.onerror = failed;
  });
  console.log(secret);
}
"""


def define(page: Page, login: Login, api: EchoApi) -> None:
    """Types both connections into the form, with the canary as password and as token."""
    panel = ConnectionsPanel(page).open()
    panel.set_up(SPOKEN)
    panel.pick("postgresql")
    for name, value in (
        ("name", "warehouse"),
        ("host", login.host),
        ("port", str(login.port)),
        ("user", login.user),
        ("database", login.database),
    ):
        panel.field(name).fill(value)
    panel.field("password").press_sequentially(CANARY)
    panel.field("sslmode").select_option(label="None (a database on this machine)")
    panel.box.get_by_test_id("connvault-save-test").click()
    expect(panel.box.get_by_test_id("connvault-last-test")).to_contain_text("Connected in")
    panel.box.get_by_test_id("connvault-back").click()
    panel.pick("http")
    panel.field("name").fill("api")
    panel.field("base_url").fill(api.origin)
    panel.field("allow_http").check()
    panel.field("token").press_sequentially(CANARY)
    panel.box.get_by_test_id("connvault-save").click()
    expect(panel.box.get_by_test_id("connvault-detail")).to_be_visible()


def run(page: Page, index: int) -> None:
    """Runs a cell, allows what it asks, and looks whether it failed as it must."""
    run_cell(page, index, wait=False)
    if index in ASKS:
        ConsentDialog(page).allow("session")
    wait_for_cell(page, index)
    if index in FAILS:
        expect(cell(page, index)).to_contain_text(re.compile(FAILS[index]))
    else:
        complaints = cell(page, index).locator(".jp-RenderedText[data-mime-type*=stderr]")
        assert complaints.all_inner_texts() == []


def to_another_database(rest: Rest) -> None:
    """One that is not there. The password stays, as it goes to the same place; a person is asked again."""
    found = rest.named("warehouse")["connection"]
    fields = {**found["fields"], "database": "not_there"}
    rest.call("PATCH", f"connections/{found['id']}", {"fields": fields}, revision=found["revision"])


def to_demanded_tls(page: Page, rest: Rest, login: Login) -> None:
    """What the server can't do; the password has to be typed again, into the detail's own form."""
    found = rest.named("warehouse")["connection"]
    fields = {**found["fields"], "database": login.database, "sslmode": "require"}
    rest.call("PATCH", f"connections/{found['id']}", {"fields": fields}, revision=found["revision"])
    panel = ConnectionsPanel(page).open()
    panel.box.get_by_test_id("connvault-back").click()
    panel.row("warehouse").click()
    panel.box.get_by_test_id("connvault-replace-password").click()
    panel.field("password").press_sequentially(CANARY)
    panel.box.get_by_test_id("connvault-replace-password-save").click()
    expect(panel.box.get_by_test_id("connvault-replace-password-save")).to_have_count(0)
    panel.box.get_by_test_id("connvault-test").click()
    expect(panel.box.get_by_test_id("connvault-last-test")).to_contain_text("does not offer encryption")


def type_the_control(page: Page) -> None:
    box = cell(page, 11).locator("input[type=password]")
    box.click()
    box.press_sequentially(CONTROL)
    expect(box).to_have_value(CONTROL)


def save(page: Page, server: JupyterServer) -> Path:
    """Saves by the keyboard; the notebook on disk, once it has the widgets' state."""
    page.keyboard.press("Control+s")
    notebook = server.root / "canary.ipynb"
    wait_until(
        lambda: "ConnectionsPanelModel" in notebook.read_text(), deadline_s=20, what="the saved notebook"
    )
    wait_until(
        lambda: list((server.root / ".ipynb_checkpoints").glob("canary*")),
        deadline_s=20,
        what="the checkpoint",
    )
    return notebook


def without_id(path: str) -> str:
    return re.sub(r"/connections/[^/]+/", "/connections/*/", path)


def test_a_typed_secret_is_nowhere_but_in_the_vault(
    loud_server: JupyterServer, page: Page, postgres: PostgresServer, login: Login
) -> None:
    """0 hits in every sink and every encoding, where the control is found."""
    sinks, server, rest = PageSinks(page), loud_server, Rest(loud_server)
    with echo_api() as api, echo_api() as elsewhere:
        api.failing.add("/fails")
        api.silent.add("/silent")
        api.redirects["/moved"] = f"{elsewhere.origin}/landed"
        open_notebook(page, server, server.write_notebook("canary.ipynb", *CELLS))
        define(page, login, api)
        assert hits(sinks.document(), CANARY) == []
        for index in range(12):
            run(page, index)
        type_the_control(page)
        to_another_database(rest)
        for index in (12, 13):
            run(page, index)
        postgres.set_password(login)
        run(page, 14)
        to_demanded_tls(page, rest, login)
        for index in (15, 16):
            run(page, index)
        notebook = save(page, server)
        assert api.headers_of("/fine")["Authorization"] == f"Bearer {CANARY}"
        assert "Authorization" not in elsewhere.headers_of("/landed")

    searched = [
        *sinks.frames,
        *sinks.bodies(),
        *sinks.addresses(),
        *sinks.console,
        *sinks.storage(),
        *sinks.document(),
        *files_below(server.home),
        *of_processes(server.pid),
    ]
    assert hits(searched, CANARY) == []
    # What brought it in can't be read by whoever passes it on: no body has it, and the server's process never had it.
    requests = sinks.requests()
    sealed = [sent for sent in requests if sent.content.startswith(b'{"sealed":')]
    assert [(sent.method, without_id(sent.path)) for sent in sealed] == WAYS_IN
    for secret in (CANARY, SPOKEN):
        assert [sent.path for sent in requests if found_in(sent.content, secret)] == []
        assert hits(memory(server.pid), secret) == []

    names = {sink.name for sink in searched}
    for expected in (
        "file server.log",
        "file data/connvault/connvault.db",
        "file data/connvault/connvault.db-wal",
        "file data/connvault/connvault.db-shm",
        "file data/connvault/reserve",
        "file ipython/profile_default/history.sqlite",
        "file root/canary.ipynb",
        "received on /connvault/api/v1/events",
        "body of GET /connvault/api/v1/connections",
        "body of GET /connvault/api/v1/audit",
    ):
        assert expected in names, expected
    arguments = "\n".join(name for name in names if name.startswith("arguments of"))
    for process in ("jupyter-lab", "connvault_jupyter.broker", "ipykernel_launcher"):
        assert process in arguments
    assert "connvault.broker]" in server.log()

    # The control, in the same sinks with the same search.
    assert hits(sinks.kernel_frames("sent"), CONTROL)
    assert hits(sinks.kernel_frames("received"), CONTROL)
    assert found_in(notebook.read_bytes(), CONTROL)
    assert len(hits(files_below(server.root), CONTROL)) == 2, "the notebook and its checkpoint"
    assert [sent.path for sent in sinks.requests() if found_in(sent.content, CONTROL)] == [
        "/api/contents/canary.ipynb"
    ]
    assert hits(sinks.document(), CONTROL)
    page.evaluate(LEAVE_EVERYWHERE, CONTROL)
    assert len(hits(sinks.storage(), CONTROL)) == 3
    assert hits(sinks.console, CONTROL)


@pytest.mark.parametrize("seals", [True, False])
def test_while_a_secret_is_on_its_way_the_server_can_read_it_only_where_the_page_can_not_seal(
    loud_server: JupyterServer, page: Page, *, seals: bool
) -> None:
    """The broker stands still, so the server has what was sent in its hands; without the browser's cryptography the
    page says so, and the same search finds the canary there."""
    sinks, server = PageSinks(page), loud_server
    if not seals:
        page.add_init_script(NO_SUBTLE)
    open_notebook(page, server, server.write_notebook("canary.ipynb", "pass"))
    panel = ConnectionsPanel(page).open()
    said = panel.box.get_by_test_id("connvault-not-sealed")
    expect(said).to_have_count(0 if seals else 1)
    panel.set_up(SPOKEN)
    panel.pick("secret")
    expect(said).to_have_count(0 if seals else 1)
    panel.field("name").fill("key")
    panel.field("value").press_sequentially(CANARY)
    broker = broker_of(server)
    os.kill(broker, signal.SIGSTOP)
    try:
        panel.box.get_by_test_id("connvault-save").click()
        body = wait_until(lambda: sent_to(sinks, "connections"), deadline_s=20, what="the request")
        sealed = json.loads(body)["sealed"]["ciphertext"].encode() if seals else b""
        wait_until(
            lambda: (
                any(sealed in area.content for area in memory(server.pid))
                if seals
                else hits(memory(server.pid), CANARY)
            ),
            deadline_s=20,
            what="it in the server's memory",
        )
        assert bool(hits(memory(server.pid), CANARY)) is not seals
    finally:
        os.kill(broker, signal.SIGCONT)
    expect(panel.box.get_by_test_id("connvault-detail")).to_be_visible()
    for secret, path in ((CANARY, "connections"), (SPOKEN, "vault/setup")):
        carried = [sent.path for sent in sinks.requests() if found_in(sent.content, secret)]
        assert carried == ([] if seals else [f"/connvault/api/v1/{path}"])
    # Wherever it passed through, it is kept nowhere.
    assert hits([*sinks.bodies(), *sinks.addresses(), *files_below(server.home)], CANARY) == []


def sent_to(sinks: PageSinks, path: str) -> bytes | None:
    """The body of the last request to this route."""
    found = [sent.content for sent in sinks.requests() if sent.path == f"/connvault/api/v1/{path}"]
    return found[-1] if found else None
