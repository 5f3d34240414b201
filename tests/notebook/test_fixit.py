"""Typed errors in a real shell and in a real kernel: one line, a card, and still an error."""

from __future__ import annotations

import html
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from connvault_jupyter import errors
from connvault_jupyter.errors import ConnvaultError, every_error
from connvault_jupyter.notebook.fixit import FIXIT_MIME, bundle, card
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.browser.shell import Shell
from tests.support.canary import CANARY, found_in


@pytest.fixture
def handles(scripted_broker: ScriptedBroker) -> Handles:
    return Handles(fields={}, secrets={"password": CANARY}).install(scripted_broker)


def test_an_error_is_one_line(shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a traceback of forty."""
    shell.run("connection('wharehouse')")
    assert capsys.readouterr().out.strip() == (
        "ConnectionNotFound: No connection is called “wharehouse”. Did you mean “warehouse”?"
    )


def test_verbose_shows_the_traceback_without_secret_and_ref(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who wants frames gets them; the secret and the ref are in none of their variables."""
    shell.run("handle = connection('warehouse')")
    handles.refusal = errors.VaultLocked()
    shell.ip.run_line_magic("xmode", "Verbose")
    shell.run("handle._handle_ref.deliver()")
    out = capsys.readouterr().out
    assert "Traceback" in out
    assert "VaultLocked: The vault is locked" in out
    assert found_in(out) == []
    assert not any(ref in out for ref in handles.refs)


def test_an_argument_that_is_refused_is_one_line(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """A password among the arguments is a newcomer's first try; it is told what there is, and no frame shows it."""
    shell.run("from connvault_jupyter.kernel.client_arguments import check_arguments")
    result = shell.run(f"check_arguments({{'password': {CANARY!r}}}, frozenset({{'autocommit'}}))")
    assert isinstance(result.error_in_exec, TypeError)
    out = capsys.readouterr().out
    assert out.strip() == (
        "ArgumentRefused: 'password' is not accepted: it sets the user or the way to log in, which come from the "
        "connection. Accepted are autocommit."
    )


def test_the_cell_stays_an_error(shell: Shell, handles: Handles) -> None:
    """For nbconvert, papermill and the red prompt."""
    result = shell.run("connection('zebra')")
    assert not result.success
    assert isinstance(result.error_in_exec, errors.ConnectionNotFound)


def test_a_card_follows_with_text_and_html(shell: Shell, handles: Handles) -> None:
    """For front ends with and without the labextension."""
    shell.run("connection('zebra')")
    (output,) = shell.published.outputs
    assert set(output["data"]) == {FIXIT_MIME, "text/plain", "text/html"}
    assert output["data"][FIXIT_MIME] == {
        "code": "connection_not_found",
        "error": "ConnectionNotFound",
        "title": "No connection is called “zebra”.",
        "message": "Create it in the Connections panel.",
        "actions": [{"label": "Create “zebra”", "command": "connvault:open", "args": {"new": True}}],
        "instead": True,
    }
    assert output["data"]["text/plain"] == "In JupyterLab's Connections panel: Create “zebra”."


def test_a_similar_name_is_offered_first(shell: Shell, handles: Handles) -> None:
    """A slip is more likely than a connection that nobody has made yet."""
    shell.run("connection('wharehouse')")
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["message"] == "Did you mean “warehouse”?"
    assert [(action["label"], action["args"]) for action in found["actions"]] == [
        ("Show “warehouse”", {"name": "warehouse"}),
        ("Create “wharehouse”", {"new": True}),
    ]


def test_in_a_notebook_the_name_is_suggested_and_its_id_is_in_the_card(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card is part of the notebook, and no form takes its values from one. Suggested once a failed cell."""
    monkeypatch.setattr(shell.ip, "kernel", object(), raising=False)
    shell.run("connection('zebra')")
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["actions"][-1]["args"] == {"proposal": handles.proposal}
    asked = [body for name, body in scripted_broker.asked if name == "connections.propose"]
    assert asked == [{"provider_id": None, "name": "zebra", "fields": {}}]


def test_a_suggestion_that_is_not_taken_leaves_an_empty_form(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card's own error counts more."""

    def refuse(body: dict[str, object]) -> dict[str, object]:
        raise errors.TooManyProposals

    monkeypatch.setattr(shell.ip, "kernel", object(), raising=False)
    scripted_broker.answers["connections.propose"] = refuse
    shell.run("connection('zebra')")
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["title"] == "No connection is called “zebra”."
    assert found["actions"][-1]["args"] == {"new": True}


def test_in_a_terminal_a_card_without_a_button_adds_nothing(shell: Shell, handles: Handles) -> None:
    """The line says what happened and what to do."""
    handles.refusal = errors.AccessDenied(reason="denied")
    shell.run("connection('warehouse')")
    assert shell.published.outputs == []


def test_beside_a_traceback_the_card_takes_no_lines_place(shell: Shell, handles: Handles) -> None:
    """Who asked for frames, or whose library wrapped the error, sees them."""
    shell.run("try: connection('zebra')\nexcept Exception as exc: raise RuntimeError('wrapped') from exc")
    shell.ip.run_line_magic("xmode", "Verbose")
    shell.run("connection('zebra')")
    assert [found["instead"] for found in shell.bundles(FIXIT_MIME)] == [False, False]


def test_an_error_that_one_of_ours_caused_has_the_card(shell: Shell, handles: Handles) -> None:
    """A library may wrap what the broker said."""
    shell.run("try: connection('zebra')\nexcept Exception as exc: raise RuntimeError('wrapped') from exc")
    assert len(shell.bundles(FIXIT_MIME)) == 1


@pytest.mark.parametrize("cell", ["1 / 0", "x = 1", "raise KeyboardInterrupt", "def"])
def test_other_cells_get_no_card(shell: Shell, handles: Handles, cell: str) -> None:
    """Only our own errors."""
    shell.run(cell)
    assert shell.published.outputs == []


@pytest.mark.parametrize(
    ("error", "label", "args"),
    [
        (errors.ConnectionNotFound(connection="w"), "Create “w”", {"new": True}),
        (errors.VaultLocked(connection="w"), "Unlock", {"screen": "unlock"}),
        (errors.CustodianUnavailable(), "Unlock", {"screen": "unlock"}),
        (errors.VaultNotSetUp(), "Set up", {"screen": "setup"}),
        (errors.SecretMissing(connection="w"), "Enter the secret", {"name": "w", "screen": "secret"}),
        (errors.SecretInvalid(connection="w"), "Replace secret", {"name": "w", "screen": "secret"}),
        (errors.UpstreamAuthFailed(connection="w"), "Replace secret", {"name": "w", "screen": "secret"}),
        (errors.ConnectionNotReady(connection="w"), "Edit connection", {"name": "w", "screen": "edit"}),
        (errors.UpstreamTlsFailed(connection="w"), "Edit connection", {"name": "w", "screen": "edit"}),
        (errors.UpstreamUnreachable(connection="w"), "Edit connection", {"name": "w", "screen": "edit"}),
        (
            errors.AccessDenied(connection="w", reason="never"),
            "Who may use it",
            {"name": "w", "tab": "grants"},
        ),
        (errors.TooManyQuestions(connection="w"), "Show the requests", {"screen": "questions"}),
        (
            errors.HandleInvalid(connection="w", reason="revoked"),
            "Who may use it",
            {"name": "w", "tab": "grants"},
        ),
        (errors.HandleInvalid(connection="w", reason="changed"), "Show the connection", {"name": "w"}),
        (errors.HandleInvalid(connection="w", reason="deleted"), "Create “w”", {"new": True}),
        (errors.ProviderNotFound(), "Show all kinds", {"new": True}),
        (errors.SecretInCode(provider="http"), "Open the form", {"new": "http"}),
    ],
)
def test_each_error_leads_to_its_screen(error: ConnvaultError, label: str, args: dict[str, object]) -> None:
    """A button may only open something; it never acts."""
    assert card(error)["actions"] == [{"label": label, "command": "connvault:open", "args": args}]


@pytest.mark.parametrize(
    "error",
    [
        errors.AccessDenied(connection="w", reason="denied"),
        errors.ConsentTimeout(connection="w"),
        errors.NoApprover(connection="w"),
        errors.HandleInvalid(connection="w", reason="expired"),
        errors.UpstreamUnreachable(),
        errors.ConnectionNotFound(),
    ],
)
def test_where_nothing_is_to_be_opened_there_is_no_button(error: ConnvaultError) -> None:
    """One that leads nowhere would only be tried in vain."""
    assert card(error)["actions"] == []


def test_after_a_no_the_card_says_how_long_to_wait() -> None:
    """The seconds are known."""
    error = errors.AccessDenied(
        "Access was denied a moment ago. Wait a little, then run the cell again.",
        reason="cooldown",
        retry_after_s=27,
    )
    assert card(error)["message"] == "Wait 27 s, then run the cell again."


@pytest.mark.parametrize("kind", every_error().values(), ids=lambda kind: kind.code)
def test_every_error_has_a_card(kind: type[ConnvaultError]) -> None:
    """What happened, what to do, each said once, and its buttons."""
    found = card(kind())
    assert (found["code"], found["error"]) == (kind.code, kind.__name__)
    assert " ".join(part for part in (found["title"], found["message"]) if part) == kind.default_message
    assert {action["command"] for action in found["actions"]} <= {"connvault:open"}


def test_a_name_with_a_full_stop_stays_in_one_piece() -> None:
    """Names may have them, and blanks may not be in names."""
    found = card(errors.ConnectionNotFound("No connection is called “a.b”. Did you mean “a.c”?"))
    assert (found["title"], found["message"]) == ("No connection is called “a.b”.", "Did you mean “a.c”?")


def test_an_unknown_code_is_kept() -> None:
    """From a newer broker."""
    assert card(errors.from_problem({"code": "brand_new", "detail": "New."}))["code"] == "brand_new"


def test_words_from_outside_are_cleaned() -> None:
    """A message may have passed through a broker of another version."""
    found = bundle(errors.VaultLocked("locked\u202e\x1b[31m<b>"))
    assert found[FIXIT_MIME]["title"] == "locked[31m<b>"
    assert html.escape("<b>") not in found["text/plain"]


def test_in_a_kernel_the_cell_fails_and_the_card_is_there(scripted_broker: ScriptedBroker) -> None:
    """What nbconvert and papermill see, from a real ipykernel."""
    Handles(fields={}, secrets={}).install(scripted_broker)
    sources = [
        "%load_ext connvault_jupyter",
        "warehouse = connection('warehouse')\nwarehouse",
        "%connections",
        "connection('wharehouse')",
    ]
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    with pytest.raises(CellExecutionError, match="Did you mean “warehouse”"):
        NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    shown, panel, failed = (cell.outputs for cell in notebook.cells[1:])
    assert shown[0].data["application/vnd.connvault.handle+json"]["name"] == "warehouse"
    assert "application/vnd.jupyter.widget-view+json" in panel[0].data
    assert "warehouse" in panel[0].data["text/html"]
    error, the_card = failed
    assert error.output_type == "error"
    assert len("\n".join(error.traceback).splitlines()) == 1
    assert the_card.data[FIXIT_MIME]["code"] == "connection_not_found"


LOST = "class OperationalError(Exception): pass\nraise OperationalError({!r})"
# What libpq says of the place that the script has for its handles.
LOSS = LOST.format('connection to server on socket "/run/h/.s.PGSQL.5432" failed: No such file or directory')
UNRELATED = [
    LOST.format("server closed the connection unexpectedly"),
    LOST.format('connection to server on socket "/run/h2/.s.PGSQL.5432" failed: No such file or directory'),
    LOST.format("HTTPConnectionPool(host='127.0.0.1', port=50124): Max retries exceeded with url: /"),
    LOST.format("Cannot connect to host 10.127.0.0.1:50123 ssl:default"),
    "raise ConnectionResetError(104, 'Connection reset by peer')",
    "import socket\nsocket.create_connection(('127.0.0.1', 1))",
    "raise TimeoutError",
    "1/0",
]


def opened(shell: Shell) -> None:
    """A handle that something in this kernel knows the place of."""
    shell.run("handle = connection('warehouse'); place = handle._handle_ref.open(tcp=True)")


@pytest.mark.parametrize(
    ("refusal", "title", "message", "labels"),
    [
        (
            errors.HandleInvalid(reason="revoked"),
            "its permission was revoked",
            'Call connection("warehouse") to ask again.',
            ["Who may use it"],
        ),
        (
            errors.HandleInvalid(reason="expired"),
            "its permission expired",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="evicted"),
            "it made room for a newer handle",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="kernel_gone"),
            "its kernel has ended",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="foreign"),
            "it belongs to another process",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="changed"),
            "the connection was changed",
            'Call connection("warehouse") to ask again.',
            ["Show the connection"],
        ),
        (
            errors.HandleInvalid(reason="deleted"),
            "the connection was deleted",
            "Create it again in the Connections panel.",
            ["Create “warehouse”"],
        ),
        (
            errors.HandleInvalid(reason="unknown"),
            "its permission has ended",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.VaultLocked(),
            "the vault was locked",
            "Unlock it, then run the cell again.",
            ["Unlock"],
        ),
    ],
)
def test_a_lost_connection_that_the_broker_has_ended_says_why(
    shell: Shell, handles: Handles, refusal: ConnvaultError, title: str, message: str, labels: list[str]
) -> None:
    """The library only knows that it is gone; its own error stays, and the card tells the rest."""
    opened(shell)
    handles.refusal = refusal
    result = shell.run(LOSS)
    assert type(result.error_in_exec).__name__ == "OperationalError"
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["title"] == f"The open clients of “warehouse” were closed: {title}."
    assert (found["message"], found["instead"]) == (message, False)
    assert [action["label"] for action in found["actions"]] == labels


@pytest.mark.parametrize(
    "said",
    [
        "HTTPConnectionPool(host='127.0.0.1', port=50123): Max retries exceeded with url: /",
        "Cannot connect to host 127.0.0.1:50123 ssl:default [Connect call failed ('127.0.0.1', 50123)]",
        'connection to server at "127.0.0.1", port 50123 failed: Connection refused',
        "Error 2 connecting to unix:///run/h/s. No such file or directory.",
        "postgresql://ada@/sales?host=%2Frun%2Fh&port=5432 is lost",
    ],
)
def test_an_error_that_names_a_handles_place_is_about_it(shell: Shell, handles: Handles, said: str) -> None:
    """Whatever library it is of: it was given the handle's address."""
    opened(shell)
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(LOST.format(said))
    assert len(shell.bundles(FIXIT_MIME)) == 1


@pytest.mark.parametrize(
    "wrapped", ["raise RuntimeError('no data') from exc", "raise RuntimeError('no data')"]
)
def test_an_error_that_a_library_made_of_it_is_about_it(shell: Shell, handles: Handles, wrapped: str) -> None:
    """The chain is what a traceback shows."""
    opened(shell)
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(f"try: raise OSError(2, 'gone', '/run/h/s')\nexcept OSError as exc: {wrapped}")
    assert len(shell.bundles(FIXIT_MIME)) == 1
    shell.run(
        "try: raise OSError(2, 'gone', '/run/h/s')\nexcept OSError: raise RuntimeError('no data') from None"
    )
    assert len(shell.bundles(FIXIT_MIME)) == 1


@pytest.mark.parametrize("cell", UNRELATED)
def test_an_error_of_something_else_has_no_card(shell: Shell, handles: Handles, cell: str) -> None:
    """Also when a handle has ended just now: nobody is asked, and nothing is blamed."""
    opened(shell)
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(cell)
    assert shell.bundles(FIXIT_MIME) == []


def test_a_lost_connection_of_a_good_handle_has_no_card(shell: Shell, handles: Handles) -> None:
    """It was the server, or the network."""
    opened(shell)
    shell.run(LOSS)
    assert shell.bundles(FIXIT_MIME) == []


def test_what_gave_out_an_address_is_known_though_its_handle_is_dropped(
    shell: Shell, handles: Handles
) -> None:
    """Somebody may use it."""
    shell.run("lease = connection('warehouse')._handle_ref; lease.open(); lease.give_out(); del lease")
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(LOSS)
    assert len(shell.bundles(FIXIT_MIME)) == 1


class Two(Handles):
    """`warehouse` and `lake`, each with a place of its own, and refused for its own reason."""

    def __init__(self) -> None:
        super().__init__(fields={}, secrets={})
        self.of: dict[str, str] = {}
        self.why: dict[str, ConnvaultError] = {}

    def request(self, body: dict[str, Any]) -> dict[str, Any]:
        given = super().request({**body, "connection": "warehouse"})
        self.of[given["ref"]] = body["connection"]
        return {**given, "connection": body["connection"]}

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        directory = f"/run/{self.of[body['ref']]}"
        return {**super().open(body), "directory": directory, "socket": f"{directory}/s"}

    def _refuse(self, body: dict[str, Any]) -> None:
        self.refusal = self.why.get(self.of[body["ref"]])
        super()._refuse(body)


@pytest.fixture
def two(shell: Shell, scripted_broker: ScriptedBroker) -> Two:
    made = Two()
    made.install(scripted_broker)
    shell.run("one, other = connection('warehouse'), connection('lake')")
    shell.run("one._handle_ref.open(); other._handle_ref.open()")
    return made


OF_ONE = LOST.format("Error 2 connecting to unix:///run/warehouse/s. No such file or directory.")


def test_the_card_is_about_the_connection_that_was_lost(shell: Shell, two: Two) -> None:
    """Not about another one that has ended too, before or after it: that one is beside it, and told once."""
    two.why["lake"] = errors.HandleInvalid(reason="expired")
    shell.run(OF_ONE)
    assert shell.bundles(FIXIT_MIME) == []
    two.why["warehouse"] = errors.HandleInvalid(reason="revoked")
    shell.run(OF_ONE)
    shell.run(OF_ONE)
    said = [(found["title"], found["message"]) for found in shell.bundles(FIXIT_MIME)]
    title = "The open clients of “warehouse” were closed: its permission was revoked."
    assert said == [
        (title, "So were those of “lake”: its permission expired. Call connection() for each to ask again."),
        (title, 'Call connection("warehouse") to ask again.'),
    ]


def test_those_that_have_ended_for_one_reason_are_listed_together(shell: Shell, two: Two) -> None:
    """As after a lock, or after a revoke of all."""
    for name in ("warehouse", "lake"):
        two.why[name] = errors.VaultLocked()
    shell.run(OF_ONE)
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["title"] == "The open clients of “warehouse” and “lake” were closed: the vault was locked."
    assert [action["label"] for action in found["actions"]] == ["Unlock"]
