"""The widgets' traits, and what stands in for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ipywidgets import DOMWidget
from traitlets import TraitError

from connvault_jupyter.errors import SecretInCode
from connvault_jupyter.widgets.form import ConnectionForm
from connvault_jupyter.widgets.panel import ConnectionsPanel
from tests.support.canary import CANARY, found_in
from tests.support.scripted_broker import Handles, ScriptedBroker

OWN = {
    ConnectionsPanel: {"selected"},
    ConnectionForm: {"provider", "name", "values", "state", "connection"},
}


@pytest.fixture(autouse=True)
def broker(scripted_broker: ScriptedBroker) -> ScriptedBroker:
    Handles(fields={}, secrets={}).install(scripted_broker)
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
def test_a_secret_can_not_be_put_into_the_form(name: str) -> None:
    """Neither when it is made, nor later; and it is not quoted."""
    with pytest.raises(SecretInCode) as caught:
        ConnectionForm(provider="postgresql", values={name: CANARY})
    assert found_in(str(caught.value)) == []
    form = ConnectionForm(provider="postgresql")
    with pytest.raises(SecretInCode):
        form.values = {name: CANARY}
    assert found_in(json.dumps(form.get_state())) == []


def test_a_url_with_a_password_can_not_either() -> None:
    """Whatever the field is called."""
    with pytest.raises(SecretInCode):
        ConnectionForm(values={"host": "postgresql://u:pw@db/x"})


@pytest.mark.parametrize(
    "values",
    [
        {"host": "db.internal", "port": 5432, "database": "sales", "user": "app", "sslmode": "require"},
        {"base_url": "https://api.test/v1", "auth": "bearer", "allow_http": False, "username": "u"},
        {"token_url": "https://a.test", "key_id": "abc", "compass": "north", "keyspace": "k", "passive": True},
        {},
    ],
)  # fmt: skip
def test_plain_values_prefill(values: dict[str, Any]) -> None:
    """Text, numbers, yes and no."""
    assert ConnectionForm(values=values).values == values


@pytest.mark.parametrize("values", [{"host": None}, {"host": ["a"]}, {3: "x"}])
def test_other_values_are_refused(values: dict[Any, Any]) -> None:
    """Nothing nested."""
    with pytest.raises(TraitError):
        ConnectionForm(values=values)


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


def test_the_form_falls_back_to_the_link_alone() -> None:
    """Values stay out of addresses."""
    bundle = ConnectionForm(provider="<b>", values={"host": "db.internal"})._repr_mimebundle_()
    assert "/lab?connvault=new" in bundle["text/html"]
    assert "db.internal" not in bundle["text/plain"] + bundle["text/html"]
    assert "<b>" not in bundle["text/html"]


def test_without_a_broker_the_fallback_says_so(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A display must not raise."""
    monkeypatch.delenv("CONNVAULT_SOCKET")
    assert "JupyterLab" in ConnectionsPanel()._repr_mimebundle_()["text/plain"]
