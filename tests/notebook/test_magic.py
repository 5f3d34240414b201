"""%connections in a real shell, against a scripted broker."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.errors import AccessDenied, ConnectionNotFound, ProviderNotFound
from connvault_jupyter.kernel.handle import HANDLE_MIME, Handle
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.browser.shell import Shell

PLAIN = "text/plain"


@pytest.fixture
def handles(scripted_broker: ScriptedBroker) -> Handles:
    return Handles(fields={}, secrets={}).install(scripted_broker)


def test_load_offers_the_two_functions(shell: Shell) -> None:
    """A cell needs no import."""
    assert shell.run("connection, connections").error_in_exec is None


def test_load_leaves_the_notebooks_own_names_alone(shell: Shell) -> None:
    """Somebody's variable is called connection."""
    shell.run("connection = 3")
    shell.ip.run_line_magic("reload_ext", "connvault_jupyter")
    assert shell.ip.user_ns["connection"] == 3


def test_unload_takes_everything_back(shell: Shell, handles: Handles) -> None:
    """Magic, names, completion, hook and rendering."""
    shell.ip.run_line_magic("unload_ext", "connvault_jupyter")
    assert "connections" not in shell.ip.magics_manager.magics["line"]
    assert "connection" not in shell.ip.user_ns
    assert not hasattr(AccessDenied, "_render_traceback_")
    shell.run("raise __import__('connvault_jupyter.errors').errors.AccessDenied")
    assert shell.published.outputs == []
    assert "use" not in shell.complete("%connections us")
    shell.ip.run_line_magic("load_ext", "connvault_jupyter")


def test_reload_does_not_double_anything(shell: Shell, handles: Handles) -> None:
    """The old hook would show a second card."""
    shell.ip.run_line_magic("reload_ext", "connvault_jupyter")
    shell.ip.run_line_magic("reload_ext", "connvault_jupyter")
    shell.run("connection('zebra')")
    assert len(shell.published.outputs) == 1


def test_bare_lists_with_a_link_where_no_widget_can_be_drawn(shell: Shell, handles: Handles) -> None:
    """A plain terminal."""
    shell.run("%connections")
    (text,) = shell.bundles(PLAIN)
    assert "warehouse" in text
    assert "/lab?connvault=new" in text


def test_list_shows_the_table(shell: Shell, handles: Handles) -> None:
    """The same as connections()."""
    shell.run("%connections list")
    assert "app@db.internal:5432/sales" in shell.bundles(PLAIN)[0]


def test_use_assigns_the_handle(shell: Shell, scripted_broker: ScriptedBroker, handles: Handles) -> None:
    """And shows it."""
    shell.run("%connections use warehouse --reason monthly report")
    assert isinstance(shell.ip.user_ns["warehouse"], Handle)
    assert shell.bundles(HANDLE_MIME)[0]["name"] == "warehouse"
    assert scripted_broker.last("access.request")["reason"] == "monthly report"


def test_use_as_assigns_to_that_variable(shell: Shell, handles: Handles) -> None:
    """The name may be no Python name."""
    shell.run("%connections use warehouse as w")
    assert isinstance(shell.ip.user_ns["w"], Handle)
    assert "warehouse" not in shell.ip.user_ns


def test_use_overwrites_handles_only(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data frame of the same name survives, and nobody is asked."""
    shell.run("warehouse = [1, 2]")
    shell.run("%connections use warehouse")
    assert shell.ip.user_ns["warehouse"] == [1, 2]
    assert "as VARIABLE" in capsys.readouterr().err
    assert scripted_broker.count("access.request") == 0
    shell.run("%connections use warehouse as w")
    shell.run("%connections use warehouse as w")
    assert scripted_broker.count("access.request") == 2


def test_use_of_an_unknown_name_is_the_typed_error(shell: Shell, handles: Handles) -> None:
    """With the suggestion, and no variable."""
    result = shell.run("%connections use wharehouse")
    assert isinstance(result.error_in_exec, ConnectionNotFound)
    assert "wharehouse" not in shell.ip.user_ns


def test_show_tells_state_and_destination(shell: Shell, handles: Handles) -> None:
    """Without asking anyone."""
    shell.run("%connections show warehouse")
    shown = shell.bundles(PLAIN)[0]
    assert "PostgreSQL" in shown
    assert "ready" in shown


@pytest.mark.parametrize(
    ("delivery", "words"),
    [
        ("hand_over", "brokered, hand-over"),
        ("relay", "brokered, relay"),
        ("login", "in the clear"),
        ("reveal", "plain text only"),
    ],
)
def test_show_tells_how_it_is_delivered(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, delivery: str, words: str
) -> None:
    """In the words of the handle and of the panel."""
    (known,) = scripted_broker.answers["connections.list"]({})["connections"]
    scripted_broker.answers["connections.list"] = lambda body: {
        "vault": "unlocked",
        "connections": [{**known, "delivery": delivery}],
    }
    shell.run("%connections show warehouse")
    assert shell.bundles(PLAIN)[0].splitlines()[-1].split(None, 1) == ["delivery", words]


@pytest.mark.parametrize(
    ("released", "words"), [(0, "has no permission"), (1, "1 permission "), (2, "2 permissions ")]
)
def test_revoke_tells_how_many(
    shell: Shell,
    scripted_broker: ScriptedBroker,
    handles: Handles,
    capsys: pytest.CaptureFixture[str],
    released: int,
    words: str,
) -> None:
    """And what it does not do."""
    scripted_broker.answers["access.revoke_own"] = lambda body: {"released": released}
    shell.run("%connections revoke warehouse")
    assert words in capsys.readouterr().out


def test_audit_shows_this_notebooks_rows(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles
) -> None:
    """In the panel's words, newest first; a question and its answer are one row, one that waits is another."""

    def row(kind: str, second: int, **more: object) -> dict[str, object]:
        return {
            "sequence": second, "at": f"2026-11-24T07:00:{second:02}Z", "type": kind, "outcome": "ok", "code": None,
            "connection": "warehouse", "mode": "in_clear", "decision": None, "reason_claim": None, **more,
        }  # fmt: skip

    rows = [
        row("access:asked", 9),
        row("access:expired", 8, outcome="refused", code="consent_timeout"),
        row("access:asked", 7),
        row("grant:revoked", 5, decision="session"),
        row("access:used", 4, decision="session"),
        row("access:granted", 3, decision="session"),
        row("access:asked", 2),
    ]
    scripted_broker.answers["audit.list_own"] = lambda body: {"events": rows, "next_before": None}
    shell.run("%connections audit warehouse")
    shown = [line.split(None, 2)[-1] for line in shell.bundles(PLAIN)[0].splitlines()[1:]]
    assert [" ".join(line.split()) for line in shown] == [
        "warehouse asked waiting in the clear",
        "warehouse asked no answer in the clear",
        "warehouse permission revoked until this kernel stops in the clear",
        "warehouse used until this kernel stops in the clear",
        "warehouse asked allowed, until this kernel stops in the clear",
    ]
    assert scripted_broker.last("audit.list_own") == {"connection": "warehouse", "limit": 50}


def test_help_and_the_question_mark_show_the_commands(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """One text for both."""
    shell.run("%connections help")
    assert "%connections use NAME" in capsys.readouterr().out
    assert "%connections use NAME" in shell.ip.find_line_magic("connections").__doc__


def test_a_wrong_command_is_a_usage_error(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """Short, with the way out."""
    shell.run("%connections lst")
    err = capsys.readouterr().err
    assert err.startswith(
        "UsageError: Usage: %connections, alone for the panel, or with one of: list, new, use"
    )
    assert "Traceback" not in err


def test_new_without_a_page_says_where(shell: Shell, handles: Handles) -> None:
    """The link carries no values, links end up in logs: it has the id of what was suggested."""
    shell.run("%connections new postgresql name=warehouse host=db.internal")
    text = shell.bundles(PLAIN)[0]
    assert f"/lab?connvault={handles.proposal}" in text
    assert "db.internal" not in text


def test_new_without_values_suggests_nothing(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles
) -> None:
    """An empty form has nothing to say of where it is from."""
    shell.run("%connections new postgresql")
    assert "/lab?connvault=new" in shell.bundles(PLAIN)[0]
    assert scripted_broker.count("connections.propose") == 0


def test_new_with_a_name_that_no_connection_can_have_is_a_usage_error(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said at once, with the rule."""
    shell.run("%connections new postgresql name=1st")
    assert "UsageError: A name starts with a letter" in capsys.readouterr().err
    assert scripted_broker.count("connections.propose") == 0


def test_new_of_an_unknown_kind_names_the_known(shell: Shell, handles: Handles) -> None:
    """Typed, for the button."""
    result = shell.run("%connections new oracle")
    assert isinstance(result.error_in_exec, ProviderNotFound)
    assert "postgresql" in str(result.error_in_exec)


def test_new_with_an_unknown_field_names_the_known_and_forgets_the_line(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """`pasword=...` would be a secret with a slip in its name."""
    shell.run("%connections new postgresql pasw=hunter2hunter2")
    assert "host, port, database, user, sslmode" in capsys.readouterr().err
    assert "hunter2" not in repr(shell.ip.user_ns["In"])


def test_new_shows_the_form_where_widgets_are(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the id of the plain values, which go to the broker."""
    from connvault_jupyter.notebook.magic import ConnectionsMagic

    shown: list[Any] = []
    monkeypatch.setattr(ConnectionsMagic, "_draws_widgets", lambda self: True)
    monkeypatch.setattr(ConnectionsMagic, "_display", lambda self, value: shown.append(value))
    shell.run("%connections new postgresql name=warehouse host=db.internal port=5433")
    shell.run("%connections")
    form, panel = shown
    assert (form.provider, form.proposal) == ("postgresql", handles.proposal)
    assert scripted_broker.last("connections.propose") == {
        "provider_id": "postgresql",
        "name": "warehouse",
        "fields": {"host": "db.internal", "port": "5433"},
    }
    assert panel.selected == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%connections ", {"list", "new", "use", "show", "revoke", "audit", "help"}),
        ("%connections us", {"use"}),
        ("%connections use wa", {"warehouse"}),
        ("%connections show ", {"warehouse"}),
        ("%connections use warehouse ", {"as", "--reason"}),
        ("%connections new post", {"postgresql"}),
        ("%connections new postgresql ho", {"host="}),
        ("%connections new postgresql pass", set()),
    ],
)
def test_tab_completes(shell: Shell, handles: Handles, text: str, expected: set[str]) -> None:
    """Sub-commands, names, kinds and plain fields."""
    found = set(shell.complete(text))
    assert found >= expected
    assert expected or not found & {"password="}


def test_tab_without_a_broker_is_quiet_and_quick(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never raises, and does not wait for one to start."""
    from connvault_jupyter.kernel import api

    waited: list[float] = []
    monkeypatch.setattr(api.broker(), "_locate", lambda: "/tmp/connvault-nobody-listens.sock")
    monkeypatch.setattr("connvault_jupyter.kernel.broker_client.time.sleep", waited.append)
    shell.complete("%connections use ")
    assert waited == []


def test_tab_asks_at_most_every_two_seconds(scripted_broker: ScriptedBroker, handles: Handles) -> None:
    """By a clock of the test's own."""
    from types import SimpleNamespace

    from connvault_jupyter.notebook.completion import Completer

    now = [0.0]
    complete = Completer(monotonic=lambda: now[0])
    event = SimpleNamespace(text_until_cursor="%connections use ")
    for _ in range(3):
        assert complete(None, event) == ["warehouse"]
    now[0] = 2.1
    complete(None, event)
    assert scripted_broker.count("connections.list") == 2
