"""A secret that a service sent back and that was masked: a row for the operator, and nothing for anybody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.access import HandleUse, Requester
from connvault_jupyter.contracts.audit import OwnAuditFilter
from connvault_jupyter.contracts.connections import SetSecret
from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.services.audit.sightings import NOTED_A_DAY, NOTED_EVERY_S
from connvault_jupyter.services.relay_ports import RelayOrder
from tests.support.services.service_world import World, notebook

TOKEN = "vKq7Rz2mXw9TbL4nYc6JdH8fGa3"
HTTP = {"base_url": "https://api.example.com", "auth": "bearer"}
REDIS = {"host": "cache.example.com"}


@pytest.fixture
def world() -> World:
    world = World(consent=ConsentSettings(for_s=300))
    world.connection(provider="http", fields=HTTP, secrets={"token": TOKEN})
    return world


def opened(world: World, requester: Requester) -> RelayOrder:
    """As the relays have it of a handle that was opened."""
    ref = world.request(requester, world.answer("session")).ref
    world.open(requester, ref)
    return world.relays.orders[-1]


def alarms(world: World) -> list[Any]:
    return [event for event in world.record() if event.type == "access:masked"]


def test_a_masked_secret_is_a_row_with_who_and_what(world: World) -> None:
    """Connection, requester, permission and protocol; nothing of the content."""
    order = opened(world, notebook())
    world.sightings.note(order)
    (row,) = alarms(world)
    (grant,) = world.grants()
    assert (row.connection, row.requester_key, row.grant_id) == ("warehouse", notebook().key, grant.id)
    assert (row.field, row.mode, row.outcome, row.code) == ("http", "brokered", "ok", None)


def test_a_secret_that_is_masked_again_and_again_is_a_row_once_in_a_while(world: World) -> None:
    """A loop can't push the rest off the record."""
    order = opened(world, notebook())
    for _ in range(5):
        world.sightings.note(order)
    assert len(alarms(world)) == 1
    world.clock.forward(NOTED_EVERY_S + 1)
    world.sightings.note(order)
    assert len(alarms(world)) == 2


def test_a_masked_secret_that_can_not_be_recorded_is_no_error_for_the_relay(world: World) -> None:
    """The session goes on; nobody there could do anything about it."""
    order = opened(world, notebook())
    world.storage.record_full = True
    world.sightings.note(order)
    world.storage.record_full = False
    assert not alarms(world)


def test_rows_of_masked_secrets_are_bounded_for_all_requesters_together(world: World) -> None:
    """Whoever makes up ever new ones gets no more rows for it."""
    order = opened(world, notebook())
    for number in range(NOTED_A_DAY + 50):
        world.sightings.note(replace(order, requester=notebook(f"{number}.ipynb")))
    assert len(alarms(world)) == NOTED_A_DAY


def test_a_masked_secret_is_on_record_though_the_handle_was_let_go_of(world: World) -> None:
    """Without a permission: there is none any more."""
    order = opened(world, notebook())
    world.access.release(notebook(), HandleUse(ref=order.ref))
    world.sightings.note(order)
    (row,) = alarms(world)
    assert (row.connection, row.requester_key) == ("warehouse", notebook().key)


def test_own_rows_tell_nothing_of_those_in_between(world: World) -> None:
    """Two uses read the same, whether an alarm came between them or not."""
    order = opened(world, notebook())
    world.access.check(notebook(), HandleUse(ref=order.ref))
    world.sightings.note(order)
    world.access.check(notebook(), HandleUse(ref=order.ref))
    page = world.audit.own(notebook(), OwnAuditFilter())
    assert [event.sequence for event in page.events] == [*range(len(page.events), 0, -1)]
    assert page.next_before is None


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_a_requesters_own_rows_have_no_trace_of_a_masked_secret(world: World, limit: int) -> None:
    """Not even as a row that is missing from a page."""
    order = opened(world, notebook())
    before = world.audit.own(notebook(), OwnAuditFilter(limit=limit)).events
    world.sightings.note(order)
    assert world.audit.own(notebook(), OwnAuditFilter(limit=limit)).events == before


@pytest.mark.parametrize(
    ("provider", "fields", "field", "value", "masked"),
    [
        ("http", HTTP, "token", TOKEN, True),
        ("http", HTTP, "token", "redis", False),
        ("http", {**HTTP, "auth": "basic", "username": "u"}, "password", "hunter2", False),
        ("redis", REDIS, "password", "redis", False),
        ("redis", REDIS, "password", TOKEN, True),
        # Never sent to what answers.
        ("http", {**HTTP, "auth": "oauth2", "token_url": "https://id.example.com/t", "client_id": "c"},
         "client_secret", "short", True),
        ("postgresql", None, "password", "short", True),
    ],
)  # fmt: skip
def test_when_a_secret_can_not_be_masked_its_owner_is_told(
    world: World, provider: str, fields: Any, field: str, value: str, masked: bool
) -> None:
    """In the answer, in the list, and for another broker too, from the sealed secret alone; nobody else is."""
    given: dict[str, Any] = {"provider": provider, "secrets": {field: value}}
    made = world.connection("other", **given, **({"fields": fields} if fields else {}))
    assert world.view(made).secrets[field].masked is masked
    world.secrets.sealed._maskable.clear()
    (listed,) = [one for one in world.connections.list().connections if one.connection.name == "other"]
    assert listed.secrets[field].masked is masked
    world.connections.set_secret(
        SetSecret.model_validate({"id": made.id, "field": field, "value": TOKEN}), actor="ada"
    )
    assert world.view(made).secrets[field].masked is True
    assert "masked" not in world.connections.summaries(notebook()).model_dump_json()


def test_while_locked_nothing_is_said_of_unmaskable_secrets(world: World) -> None:
    """As for anything else that is sealed."""
    made = world.connection("other", provider="redis", fields=REDIS, secrets={"password": "redis"})
    assert world.view(made).secrets["password"].masked is False
    world.secrets.lock(actor="ada")
    assert world.view(made).secrets["password"].masked is True
