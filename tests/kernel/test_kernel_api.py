"""connection() and connections(): what they send, and how they lead on when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from connvault_jupyter import connection, connections
from connvault_jupyter.errors import AccessDenied, BrokerUnavailable, ConnectionNotFound
from connvault_jupyter.kernel import api
from tests.support.broker.scripted_broker import Handles, ScriptedBroker


@pytest.fixture
def handles(scripted_broker: ScriptedBroker) -> Handles:
    """One connection, `warehouse`, always granted."""
    return Handles(fields={}, secrets={}).install(scripted_broker)


def test_what_is_asked_is_sent(scripted_broker: ScriptedBroker, handles: Handles) -> None:
    """Name, reason, agent and time."""
    connection("warehouse", reason="monthly\n  report", agent="helper", timeout_s=5)
    assert scripted_broker.asked == [
        (
            "access.request",
            {"connection": "warehouse", "reason": "monthly report", "agent": "helper", "timeout_s": 5.0},
        )
    ]


def test_a_long_reason_is_cut(scripted_broker: ScriptedBroker, handles: Handles) -> None:
    """A report does not fail for a long sentence."""
    connection("warehouse", reason="x" * 500)
    reason = scripted_broker.asked[0][1]["reason"]
    assert len(reason) == 200
    assert reason.endswith("…")


def test_a_misspelt_name_leads_to_the_right_one(handles: Handles) -> None:
    """The name has the form of a name, so it may be repeated."""
    with pytest.raises(ConnectionNotFound) as caught:
        connection("wharehouse")
    assert caught.value.message == "No connection is called “wharehouse”. Did you mean “warehouse”?"
    assert caught.value.details == {"connection": "wharehouse", "suggestion": "warehouse"}


def test_a_name_like_no_other_leads_to_the_panel(handles: Handles) -> None:
    """No suggestion is better than a wild one."""
    with pytest.raises(ConnectionNotFound, match="Create it in the Connections panel"):
        connection("zebra")


@pytest.mark.parametrize("pasted", ["postgresql://u:hunter2@h/db", "", "1st", "a b", "x" * 65, "a\n"])
def test_what_can_be_no_name_is_not_repeated(
    scripted_broker: ScriptedBroker, handles: Handles, pasted: str
) -> None:
    """It could be a URL with a password; it is neither sent nor shown."""
    with pytest.raises(ConnectionNotFound) as caught:
        connection(pasted)
    assert "hunter2" not in str(caught.value)
    assert scripted_broker.asked == []


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"name": 3}, TypeError),
        ({"name": "x", "timeout_s": 0}, ValueError),
        ({"name": "x", "timeout_s": 4000}, ValueError),
        ({"name": "x", "timeout_s": float("nan")}, ValueError),
        ({"name": "x", "agent": ""}, ValueError),
        ({"name": "x", "agent": "a" * 61}, ValueError),
    ],
)
def test_impossible_arguments_are_refused_here(arguments: dict[str, Any], kind: type[Exception]) -> None:
    """Before anything is sent."""
    with pytest.raises(kind):
        connection(**arguments)


def test_an_error_knows_its_connection(scripted_broker: ScriptedBroker, handles: Handles) -> None:
    """So that a button can open it."""

    def deny(body: object) -> dict[str, Any]:
        raise AccessDenied(reason="denied")

    scripted_broker.answers["access.request"] = deny
    with pytest.raises(AccessDenied) as caught:
        connection("warehouse")
    assert caught.value.details == {"reason": "denied", "connection": "warehouse"}


def test_connections_are_a_list_that_shows_a_table(handles: Handles) -> None:
    """In a cell, in a terminal, and in code."""
    found = connections()
    assert [item.name for item in found] == ["warehouse"]
    assert found[0].status == "ready"
    assert len(found) == 1
    assert repr(found).splitlines() == [
        "name       kind        destination                 status  delivery",
        "warehouse  PostgreSQL  app@db.internal:5432/sales  ready   in the clear",
    ]
    assert "<td" in found._repr_html_()


def test_a_locked_vault_shows_in_the_list(scripted_broker: ScriptedBroker, handles: Handles) -> None:
    """Locked is a state of the vault, not of a connection."""
    unlocked = scripted_broker.answers["connections.list"]
    scripted_broker.answers["connections.list"] = lambda body: {**unlocked(body), "vault": "locked"}
    assert "locked" in repr(connections())


def test_an_empty_list_leads_on(scripted_broker: ScriptedBroker) -> None:
    """The first thing a new user sees."""
    scripted_broker.answers["connections.list"] = lambda body: {"vault": "absent", "connections": []}
    assert "/lab?connvault=new" in repr(connections())
    assert "/lab?connvault=new" in connections()._repr_html_()


def test_own_record_is_parsed(scripted_broker: ScriptedBroker) -> None:
    """Times are aware; unknown keys are ignored."""
    row = {
        "sequence": 4,
        "at": "2026-11-24T07:00:00Z",
        "type": "access:used",
        "outcome": "ok",
        "connection": "warehouse",
        "mode": "in_clear",
    }
    scripted_broker.answers["audit.list_own"] = lambda body: {"events": [row], "next_before": None}
    (event,) = api.record("warehouse")
    assert event.at.tzinfo is not None
    assert (event.type, event.connection) == ("access:used", "warehouse")


def test_own_permissions_are_counted_when_they_are_given_back(scripted_broker: ScriptedBroker) -> None:
    """How many there were."""
    scripted_broker.answers["access.revoke_own"] = lambda body: {"released": 2}
    assert api.revoke("warehouse") == 2


def test_a_summary_of_an_unknown_name_leads_on(handles: Handles) -> None:
    """As connection() does."""
    with pytest.raises(ConnectionNotFound, match="Did you mean “warehouse”"):
        api.summary("warehose")


def test_a_missing_broker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal without a server."""
    monkeypatch.delenv("CONNVAULT_SOCKET", raising=False)
    with pytest.raises(BrokerUnavailable, match="JupyterLab"):
        connections()


def test_the_first_connection_imports_nothing_heavy() -> None:
    """A cell must not wait for pydantic, nor for a client library that is not asked for."""
    script = (
        "import sys\n"
        "from connvault_jupyter import connection\n"
        "try: connection('x')\n"
        "except Exception as exc: assert type(exc).__name__ == 'BrokerUnavailable', exc\n"
        "heavy = {'pydantic', 'cryptography', 'tornado', 'jupyter_server', 'keyring', 'ssl', 'asyncio', 'IPython',\n"
        "         'sqlalchemy', 'psycopg', 'requests', 'sqlite3', 'ipywidgets', 'traitlets'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={})
    assert done.stdout.strip() == "[]"
