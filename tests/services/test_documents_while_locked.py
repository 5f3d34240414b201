"""Connections that are saved, edited or planted while the vault is locked, and what an unlock confirms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connvault_jupyter.contracts.connections import SetSecret, UpdateConnection
from connvault_jupyter.errors import ConnectionNotReady
from tests.support.canary import CANARY
from tests.support.services.edited_documents import (
    another,
    edit,
    fields,
    locked,
    save,
    state,
    the,
    unlock,
    view,
)
from tests.support.services.edited_documents import asked as asked
from tests.support.services.edited_documents import world as world
from tests.support.services.service_world import World, notebook, unasked


def test_what_this_broker_saved_while_locked_is_confirmed_at_unlock(world: World) -> None:
    """A new draft and an edit; no one has to look at them again."""
    locked(world)
    world.connection("draft", secrets={})
    save(world, display_name="Renamed")
    save(world, display_name="Renamed twice")
    assert world.storage.tables.connections[the(world).id].mac is None
    unlock(world)
    assert state(world) == ("ready", None)
    assert state(world, "draft") == ("draft", "secret_missing")
    assert all(stored.mac for stored in world.storage.tables.connections.values())


def test_drafts_from_before_the_vault_are_confirmed_when_it_is_set_up() -> None:
    """The first minutes: a form saved first, a passphrase chosen then."""
    world = World(unlocked=False)
    world.connection("draft", secrets={})
    world.set_up()
    assert state(world, "draft") == ("draft", "secret_missing")


def test_an_edit_of_what_was_saved_while_locked_is_not_confirmed(world: World) -> None:
    """It is remembered by its content."""
    locked(world)
    world.connection("draft", secrets={})
    save(world, display_name="Renamed")
    edit(world, **fields(user="root"))
    edit(world, "draft", **fields(user="root"))
    unlock(world)
    assert state(world) == state(world, "draft") == ("draft", "unconfirmed")


def test_saving_while_locked_confirms_nothing_that_was_edited_before(world: World) -> None:
    """A person renames it, and does not see what somebody has changed in it: what counts is what it was before."""
    locked(world)
    edit(world, **fields(user="root"))
    shown = view(world).connection
    world.connections.update(UpdateConnection(id=shown.id, revision=1, display_name="Renamed"), actor="ada")
    unlock(world)
    assert state(world) == ("draft", "unconfirmed")


def test_an_edit_between_two_saves_while_locked_is_not_confirmed(world: World) -> None:
    """The second save began with what somebody else had written."""
    locked(world)
    save(world, display_name="Renamed")
    edit(world, **fields(user="root"))
    shown = view(world).connection
    world.connections.update(
        UpdateConnection(id=shown.id, revision=2, display_name="Renamed twice"), actor="ada"
    )
    unlock(world)
    assert state(world) == ("draft", "unconfirmed")


def test_what_another_broker_saved_while_locked_needs_a_person(world: World) -> None:
    """It may as well be somebody's editor; entering the secret confirms it as it was shown."""
    locked(world)
    world.connection("draft", secrets={})
    nxt = another(world)
    assert state(nxt, "draft") == ("draft", "unconfirmed")
    shown = view(nxt, "draft").connection
    nxt.connections.set_secret(
        SetSecret.model_validate({"id": shown.id, "field": "password", "value": CANARY}), actor="ada"
    )
    assert state(nxt, "draft") == ("ready", None)
    asked = nxt.request(notebook(), nxt.answer("once"), "draft")
    assert nxt.deliver(notebook(), asked.ref).secrets["password"].get_secret_value() == CANARY
    assert [row.code for row in nxt.record() if row.type == "connection:confirmed"] == ["unconfirmed"]


def test_a_planted_connection_with_a_planted_grant_has_no_power(world: World) -> None:
    """Rows of one's own without MACs: neither is anything before a person took it for right."""
    asked = world.request(notebook(), world.answer("always"))
    stored = world.storage.tables.connections[the(world).id]
    planted = stored.connection.model_copy(update={"id": "planted", "name": "planted"})
    world.storage.tables.connections["planted"] = replace(stored, connection=planted, mac=None)
    for key, secret in [*world.storage.tables.secrets.items()]:
        world.storage.tables.secrets["planted", key[1]] = replace(secret, connection_id="planted")  # type: ignore[arg-type]
    assert state(world, "planted") == ("draft", "unconfirmed")
    with pytest.raises(ConnectionNotReady):
        world.request(notebook(), unasked, "planted")
    assert world.deliver(notebook(), asked.ref).connection == "warehouse"
