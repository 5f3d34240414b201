"""Tests of connections, and lists: what they show, and what they cost."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import ConnectionRef, DeleteConnection, TestOutcome
from connvault_jupyter.errors import InvalidRequest, SecretMissing, VaultLocked
from tests.support.canary import CANARY
from tests.support.services.connections import HTTP, set_secret, update
from tests.support.services.service_world import POSTGRES, World, notebook
from tests.support.services.stand_ins import NOON, catalogue


@pytest.fixture
def world() -> World:
    return World()


def test_a_test_login_goes_to_the_stored_destination_only(world: World) -> None:
    """On record before it is tried; the outcome is kept."""
    connection = world.connection(provider="postgresql")

    def during() -> None:
        assert world.recorded()[-1] == "connection:tested"
        assert not world.storage.open

    world.probe.during = during
    outcome = world.connections.test(ConnectionRef(id=connection.id), actor="ada")
    assert outcome.ok
    ((fields, secrets),) = world.probe.seen
    assert fields["host"] == "db.example.org"
    assert secrets == {"password": CANARY}
    assert world.view(connection).last_test == outcome
    world.probe.outcome = TestOutcome(
        ok=False, at=NOON, code="upstream_auth_failed", detail="No.", elapsed_ms=1
    )
    world.connections.test(ConnectionRef(id=connection.id), actor="ada")
    assert (world.record()[-1].outcome, world.record()[-1].code) == ("failed", "upstream_auth_failed")


@pytest.mark.parametrize("change", ["fields", "secret"])
def test_the_outcome_of_a_test_is_not_shown_after_a_change(world: World, change: str) -> None:
    """ "Connected" beside another database would be wrong."""
    connection = world.connection(provider="postgresql")
    world.connections.test(ConnectionRef(id=connection.id), actor="ada")
    world.clock.forward(60)
    if change == "fields":
        update(world, connection, fields={**POSTGRES, "database": "x"})
    else:
        set_secret(world, connection, "new")
    assert world.view(connection).last_test is None


@pytest.mark.parametrize("change", ["fields", "secret", "deleted"])
def test_the_outcome_of_a_test_is_not_kept_if_the_connection_changed_meanwhile(
    world: World, change: str
) -> None:
    """It says nothing about the connection as it is now."""
    connection = world.connection(provider="postgresql")

    def during() -> None:
        if change == "fields":
            update(world, connection, fields={**POSTGRES, "database": "x"})
        elif change == "secret":
            set_secret(world, connection, "new")
        else:
            world.connections.delete(DeleteConnection(id=connection.id, revision=1), actor="ada")

    world.probe.during = during
    assert world.connections.test(ConnectionRef(id=connection.id), actor="ada").ok
    assert not world.storage.tables.tests


def test_a_connection_that_can_not_be_tested_says_so(world: World) -> None:
    """Not ready, locked, or of a kind without a test."""
    token = world.connection("token", provider="secret", fields={}, secrets={"value": "abcd"})
    with pytest.raises(InvalidRequest):
        world.connections.test(ConnectionRef(id=token.id), actor="ada")
    draft = world.connection(provider="postgresql", secrets={})
    with pytest.raises(SecretMissing):
        world.connections.test(ConnectionRef(id=draft.id), actor="ada")
    set_secret(world, draft, "x")
    world.secrets.lock(actor="ada")
    with pytest.raises(VaultLocked):
        world.connections.test(ConnectionRef(id=draft.id), actor="ada")
    assert not world.probe.seen


def test_the_requesters_list_has_no_field_beyond_the_destination(world: World) -> None:
    """Names, kinds, states."""
    world.connection()
    world.connection("api", provider="http", fields=HTTP, secrets={})
    found = world.connections.summaries(notebook())
    assert found.vault == "unlocked"
    assert [(one.name, one.destination, one.status) for one in found.connections] == [
        ("api", "https://api.example.org/v1", "draft"),
        ("warehouse", "ada@db.example.org:5432/sales", "ready"),
    ]
    kinds = {one.id: one for one in world.connections.provider_summaries().providers}
    assert set(kinds["http"].secret_fields) == {"token", "password", "client_secret"}
    assert "token" not in kinds["http"].fields
    assert [one.id for one in world.connections.providers().providers] == [
        one.id for one in catalogue().all()
    ]


def test_a_thousand_connections_are_listed_without_a_query_each(world: World) -> None:
    """As many calls of the stores as for one."""
    calls: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **named: Any) -> Any:
            calls[name] += 1
            return call(*args, **named)

        return counting

    def listed() -> tuple[int, Counter[str]]:
        calls.clear()
        found = world.connections.list().connections
        assert len(world.connections.summaries(notebook()).connections) == len(found)
        return len(found), Counter(calls)

    for store in (world.stores.connections, world.stores.secrets, world.stores.grants, world.stores.audit):
        for name, call in inspect.getmembers(store, inspect.ismethod):
            if not name.startswith("_"):
                setattr(store, name, counted(f"{type(store).__name__}.{name}", call))
    world.connection("c0")
    one, for_one = listed()
    for number in range(1, 1000):
        world.connection(f"c{number}", secrets={})
    all_of_them, for_all = listed()
    assert (one, all_of_them) == (1, 1000)
    assert for_all == for_one
    assert for_one
