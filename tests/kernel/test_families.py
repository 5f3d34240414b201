"""The families of handles: which kind gets which, what they say of their openers, and names that they had before."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import connvault_jupyter
from connvault_jupyter import PostgresqlHandle, SqlHandle, WrongKind, connection
from connvault_jupyter.kernel.families import _FAMILIES
from connvault_jupyter.kernel.handle import _CLIENTS, Handle
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.browser.shell import Shell
from tests.support.browser.shell import shell as shell

CATALOGUE = Path(connvault_jupyter.__file__).parent / "providers" / "catalogue"


# What a client gives more exactly than its family says.
_NARROWER = {"ApiSession": "requests.Session", "BaseClient": "Any", "ServiceResource": "Any"}


def _handles(broker: ScriptedBroker, **shape: Any) -> Handles:
    return Handles(fields={}, secrets={"password": "x"}, **shape).install(broker)


def _declared(family: type[Handle]) -> dict[str, Any]:
    """The openers of a family, without the former names."""
    own = {name: thing for one in family.__mro__ if one is not Handle for name, thing in vars(one).items()}
    return {
        name: inspect.getattr_static(family, name)
        for name in own
        if not name.startswith("_") and not hasattr(object, name) and name != "connect_async"
        if not hasattr(Handle, name)
    }


def _signature(opener: Any) -> tuple[bool, list[str], str]:
    """Whether it is a value, its parameters, and what it gives."""
    is_value = isinstance(opener, property)
    found = inspect.signature(opener.fget if is_value else opener)
    given = str(found.return_annotation)
    return is_value, [str(one) for one in found.parameters.values()], _NARROWER.get(given, given)


def test_every_client_has_a_family() -> None:
    """Else its handles would be known to no type checker."""
    assert _FAMILIES.keys() == _CLIENTS.keys()


@pytest.mark.parametrize("kind", sorted(file.stem for file in CATALOGUE.glob("*.json")))
def test_what_the_catalogue_offers_is_declared(kind: str) -> None:
    """And nothing is declared that the definition does not offer."""
    for delivery in json.loads((CATALOGUE / f"{kind}.json").read_text())["deliveries"]:
        family = _FAMILIES.get(delivery["client"], Handle)
        assert all(hasattr(family, name) for name in delivery["openers"])
        assert _declared(family).keys() == {name for name in delivery["openers"] if not hasattr(Handle, name)}


@pytest.mark.parametrize("client", _FAMILIES)
def test_every_opener_has_its_docstring_and_its_client(client: str) -> None:
    """Completion shows the one, using it leads to the other: with the same arguments, to what is declared."""
    module = importlib.import_module(f"connvault_jupyter.kernel.clients.{_CLIENTS[client]}")
    declared = _declared(_FAMILIES[client])
    assert declared
    for name, opener in declared.items():
        assert len(inspect.getdoc(opener) or "") > 20, name
        theirs = inspect.getattr_static(module.Client, name)
        assert _signature(opener) == _signature(theirs), name


@pytest.mark.parametrize("client", _FAMILIES)
def test_a_handle_is_of_the_family_of_its_client(scripted_broker: ScriptedBroker, client: str) -> None:
    """Whatever the kind is called: definitions of other packages use the same clients."""
    _handles(scripted_broker, client=client, provider_id="of_another_package")
    assert type(connection("warehouse")) is _FAMILIES[client]


def test_an_opener_that_the_definition_does_not_offer_is_an_attribute_error(
    scripted_broker: ScriptedBroker,
) -> None:
    """The family declares it, but this connection does not have it."""
    _handles(scripted_broker, openers=("connect",))
    handle: Any = connection("warehouse")
    assert "engine" not in dir(handle)
    offered = r"offers \.connect, \.reveal, \.reveal_all$"
    with pytest.raises(AttributeError, match=offered):
        handle.engine(echo=True)
    with pytest.raises(AttributeError, match=offered):
        handle.dsn  # noqa: B018 -- reading it is the use


def test_completion_in_jupyter_shows_the_openers_with_their_docstrings(
    scripted_broker: ScriptedBroker, shell: Shell
) -> None:
    """As Tab and Shift+Tab ask for it. To read about an address is not to ask for it."""
    _handles(scripted_broker, openers=("engine", "connect", "url"))
    shell.run("from connvault_jupyter import connection")
    shell.run("warehouse = connection('warehouse')")
    completed = {name.removeprefix(".") for name in shell.complete("warehouse.")}
    assert {"engine", "connect", "url", "release"} <= completed
    assert "session" not in completed
    for name in ("engine", "url"):
        text = shell.ip.object_inspect_mime(f"warehouse.{name}")["text/plain"]
        assert str(inspect.getdoc(getattr(PostgresqlHandle, name))).splitlines()[0] in text
    assert [name for name, _ in scripted_broker.asked if name.startswith("access.")] == ["access.request"]


def test_a_connection_asked_for_with_its_own_kind_is_given(scripted_broker: ScriptedBroker) -> None:
    """And as a context manager it is still of its family."""
    _handles(scripted_broker)
    with connection("warehouse", kind="postgresql") as handle:
        assert isinstance(handle, PostgresqlHandle)
        assert isinstance(handle, SqlHandle)


@pytest.mark.parametrize("kind", ["redis", "postgresq", "pasted s3cret"])
def test_another_kind_is_refused_before_anybody_is_asked(scripted_broker: ScriptedBroker, kind: str) -> None:
    """The message has the right one, and not what was given."""
    _handles(scripted_broker)
    with pytest.raises(WrongKind) as refused:
        connection("warehouse", kind=kind)
    assert str(refused.value) == (
        '“warehouse” is a connection of the kind PostgreSQL. Ask for it with kind="postgresql", or without a kind.'
    )
    assert refused.value.details == {"connection": "warehouse", "kind": "postgresql"}
    assert scripted_broker.count("access.request") == 0


def test_a_kind_that_changed_meanwhile_is_refused_and_given_back(scripted_broker: ScriptedBroker) -> None:
    """Another connection got the name while a person was looking at the question."""
    handles = _handles(scripted_broker)
    before = scripted_broker.answers["connections.list"]

    def earlier(body: dict[str, Any]) -> dict[str, Any]:
        found = before(body)
        found["connections"][0]["provider_id"] = "redis"
        return found

    scripted_broker.answers["connections.list"] = earlier
    with pytest.raises(WrongKind):
        connection("warehouse", kind="redis")
    assert scripted_broker.count("access.request") == 1
    assert handles.refs == set()


def test_an_unknown_name_is_the_brokers_to_refuse(scripted_broker: ScriptedBroker) -> None:
    """With a kind as without: a refusal is on record there."""
    _handles(scripted_broker)
    with pytest.raises(connvault_jupyter.ConnectionNotFound, match="warehouse"):
        connection("warehose", kind="postgresql")
    assert scripted_broker.count("access.request") == 1


async def test_the_former_name_of_async_connect_works_with_a_warning(
    scripted_broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one version; also where a definition of another package still says it."""
    from connvault_jupyter.kernel.clients.sql import postgresql

    async def connected(_self: object, **arguments: Any) -> dict[str, Any]:
        return arguments

    monkeypatch.setattr(postgresql.Client, "async_connect", connected)
    _handles(scripted_broker, openers=("connect_async",))
    handle: Any = connection("warehouse")
    assert "async_connect" in dir(handle)
    assert "connect_async" not in dir(handle)
    with pytest.warns(DeprecationWarning, match=r"now async_connect\(\)") as warned:
        assert await handle.connect_async(autocommit=True) == {"autocommit": True}
    assert [warning.filename for warning in warned] == [__file__]
    assert await handle.async_connect() == {}
