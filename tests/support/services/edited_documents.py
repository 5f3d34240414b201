"""A connection with a permission, edited in its row as with an SQLite shell, and how it stands then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.access import AccessResponse
from connvault_jupyter.contracts.connections import (
    Connection,
    ConnectionRef,
    ConnectionView,
    UpdateConnection,
)
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import ConnectionNotReady
from tests.support.services.service_world import POSTGRES, World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


@pytest.fixture
def asked(world: World) -> AccessResponse:
    """An `always` of a notebook."""
    return world.request(notebook(), world.answer("always"))


def the(world: World, name: str = "warehouse") -> Connection:
    (found,) = [
        one.connection for one in world.storage.tables.connections.values() if one.connection.name == name
    ]
    return found


def edit(world: World, of: str = "warehouse", *, strip: bool = False, **changes: Any) -> None:
    """What somebody with an SQLite shell would do; `strip`: takes the MAC away too."""
    stored = world.storage.tables.connections[the(world, of).id]
    world.storage.tables.connections[stored.connection.id] = replace(
        stored,
        connection=stored.connection.model_copy(update=changes),
        mac=None if strip else stored.mac,
    )


def fields(**changes: Any) -> dict[str, Any]:
    return {"fields": {**POSTGRES, **changes}}


def view(world: World, name: str = "warehouse") -> ConnectionView:
    return world.connections.get(ConnectionRef(id=the(world, name).id))


def state(world: World, name: str = "warehouse") -> tuple[str, str | None]:
    found = view(world, name).connection
    return found.status, found.status_reason


def save(world: World, *, secret: str | None = None, **changes: Any) -> ConnectionView:
    """The person saves what the form shows."""
    shown = view(world).connection
    secrets = {} if secret is None else {"password": {"value": secret}}
    given = {"id": shown.id, "revision": shown.revision, "fields": shown.fields, "secrets": secrets}
    return world.connections.update(UpdateConnection.model_validate(given | changes), actor="ada")


def no_power(world: World, asked: AccessResponse) -> None:
    """Nothing leaves by the old handle or a new one, for a login, a test or as plain text, and nobody is asked."""
    for use in (
        lambda: world.deliver(notebook(), asked.ref),
        lambda: world.check(notebook(), asked.ref),
        lambda: world.reveal(notebook(), asked.ref, unasked),
        lambda: world.request(notebook(), unasked),
        lambda: world.request(notebook(run=2), unasked),
        lambda: world.connections.test(ConnectionRef(id=the(world).id), actor="ada"),
    ):
        with pytest.raises(ConnectionNotReady):
            use()
    assert not world.still_good(notebook(), asked.ref)
    assert not world.probe.seen


def another(world: World, **settings: Any) -> World:
    """The next broker on this vault, unlocked by the keyring."""
    nxt = World(storage=(world.storage, world.stores), clock=world.clock, unlocked=False, **settings)
    nxt.keyring.items.update(world.keyring.items)
    nxt.secrets.open_at_start()
    return nxt


def locked(world: World) -> World:
    world.secrets.lock(actor="ada")
    return world


def unlock(world: World) -> None:
    world.secrets.unlock(UnlockVault(), actor="ada")
