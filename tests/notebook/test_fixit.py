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
        *(
            (error, "Review the project's connections", {"screen": "workspaces"})
            for error in (
                errors.WorkspaceNotAccepted(connection="w"),
                errors.WorkspaceFileInvalid(),
                errors.NameClash(connection="w"),
                errors.ConnectionNotReady(connection="w", reason="workspace_changed"),
            )
        ),
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
