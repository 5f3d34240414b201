"""The widgets' traits, and what stands in for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ipywidgets import DOMWidget
from traitlets import TraitError

from connvault_jupyter.errors import InvalidFields, SecretInCode
from connvault_jupyter.widgets.form import ConnectionForm
from connvault_jupyter.widgets.panel import ConnectionsPanel
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.canary import CANARY, found_in

OWN = {
    ConnectionsPanel: {"selected"},
    ConnectionForm: {"provider", "proposal", "state", "connection"},
}


@pytest.fixture(autouse=True)
def handles(scripted_broker: ScriptedBroker) -> Handles:
    return Handles(fields={}, secrets={}).install(scripted_broker)


@pytest.fixture
def broker(scripted_broker: ScriptedBroker) -> ScriptedBroker:
    return scripted_broker


@pytest.mark.parametrize("kind", OWN)
def test_the_view_is_in_the_labextension(kind: type[DOMWidget]) -> None:
    """Names that the TypeScript side registers."""
    state = kind().get_state()
    assert state["_model_module"] == state["_view_module"] == "connvault-jupyter"
    assert state["_model_name"] == f"{kind.__name__}Model"
    assert state["_view_name"] == f"{kind.__name__}View"


@pytest.mark.parametrize("kind", OWN)
def test_only_the_named_traits_are_synced(kind: type[DOMWidget]) -> None:
    """A new synced trait must be thought about here."""
    inherited = set(DOMWidget().keys)
    assert set(kind().keys) - inherited == OWN[kind]


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "db_password", "dbPassword", "passwd", "pwd", "passphrase", "pass", "secret",
        "client_secret", "token", "api_token", "access-token", "api_key", "apikey", "apiKey", "private_key", "key",
        "credentials", "pin",
    ],
)  # fmt: skip
def test_a_secret_can_not_be_put_into_the_form(broker: ScriptedBroker, name: str) -> None:
    """It is not quoted, and does not even reach the broker."""
    with pytest.raises(SecretInCode) as caught:
        ConnectionForm(provider="postgresql", values={name: CANARY})
    assert found_in(str(caught.value)) == []
    assert broker.asked == []


@pytest.mark.parametrize("value", ["postgresql://u:pw@db/x", "db password=hunter2", "https://db/?token=abc"])
def test_a_value_with_a_secret_in_it_can_not_either(broker: ScriptedBroker, value: str) -> None:
    """Whatever the field is called."""
    with pytest.raises(SecretInCode):
        ConnectionForm(values={"host": value})
    assert broker.asked == []


@pytest.mark.parametrize(
    "values",
    [
        {"host": "db.internal", "port": 5432, "database": "sales", "user": "app", "sslmode": "require"},
        {"base_url": "https://api.test/v1", "auth": "bearer", "allow_http": False, "username": "u"},
        {"token_url": "https://a.test", "key_id": "abc", "compass": "north", "keyspace": "k", "passive": True},
    ],
)  # fmt: skip
def test_values_go_to_the_broker_and_only_their_id_is_in_the_widget(
    broker: ScriptedBroker, handles: Handles, values: dict[str, Any]
) -> None:
    """What is saved with a notebook has no value of a field."""
    form = ConnectionForm(provider="anything", name="warehouse", values=values)
    assert broker.asked == [
        ("connections.propose", {"provider_id": "anything", "name": "warehouse", "fields": values})
    ]
    assert form.proposal == handles.proposal
    saved = json.dumps(form.get_state())
    assert not any(
        f'"{word}"' in saved for word in ("warehouse", *map(str, values), *map(str, values.values()))
    )


def test_an_empty_form_suggests_nothing(broker: ScriptedBroker) -> None:
    """It needs no broker."""
    assert ConnectionForm(provider="postgresql").proposal == ""
    assert broker.asked == []


@pytest.mark.parametrize("trait", ["name", "values", "host"])
def test_a_value_can_not_be_set_later(trait: str) -> None:
    """Neither from code nor from a saved state: there is no such trait."""
    form = ConnectionForm(provider="postgresql")
    form.set_state({trait: "evil.test"})
    assert "evil" not in json.dumps(form.get_state())


def test_a_refused_suggestion_says_what_is_wrong_with_each_field(broker: ScriptedBroker) -> None:
    """In a cell there is no field beside which it could stand."""

    def refuse(body: dict[str, Any]) -> dict[str, Any]:
        raise InvalidFields(errors=[{"path": "fields.port", "message": "Port must be a whole number."}])

    broker.answers["connections.propose"] = refuse
    with pytest.raises(InvalidFields, match=r"^port: Port must be a whole number\.$"):
        ConnectionForm(provider="postgresql", values={"port": "many"})


def test_state_is_one_of_three() -> None:
    """As the view sets it."""
    form = ConnectionForm()
    assert form.state == "open"
    form.set_state({"state": "saved", "connection": "warehouse"})
    assert (form.state, form.connection) == ("saved", "warehouse")
    with pytest.raises(TraitError):
        form.state = "half"


def test_the_panel_falls_back_to_a_listing() -> None:
    """VS Code and nbviewer show text or HTML."""
    bundle = ConnectionsPanel()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    for mime in ("text/plain", "text/html"):
        assert "warehouse" in bundle[mime]
        assert "/lab?connvault=new" in bundle[mime]


def test_the_form_falls_back_to_a_link_with_an_id(handles: Handles) -> None:
    """Values stay out of addresses."""
    bundle = ConnectionForm(provider="postgresql", values={"host": "db.internal"})._repr_mimebundle_()
    for mime in ("text/plain", "text/html"):
        assert f"/lab?connvault={handles.proposal}" in bundle[mime]
    assert "db.internal" not in json.dumps(bundle)
    empty = ConnectionForm(provider="<b>")._repr_mimebundle_()["text/html"]
    assert "/lab?connvault=new" in empty
    assert "<b>" not in empty


def test_without_a_broker_the_fallback_says_so(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A display must not raise."""
    monkeypatch.delenv("CONNVAULT_SOCKET")
    assert "JupyterLab" in ConnectionsPanel()._repr_mimebundle_()["text/plain"]
