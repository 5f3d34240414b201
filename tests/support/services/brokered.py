"""A world with one brokered connection, and what is done to it."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.contracts.connections import Connection, SetSecret
from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.services.service_world import World, notebook


@pytest.fixture
def world() -> World:
    world = World(consent=ConsentSettings(once_limit_s=100, for_s=300))
    world.connection(provider="postgresql")
    return world


def the(world: World) -> Connection:
    (found,) = world.connections.list().connections
    return found.connection


def given(world: World, decision: Any = "session") -> str:
    return world.request(notebook(), world.answer(decision)).ref


def replace_password(world: World, value: str) -> None:
    request = {"id": the(world).id, "field": "password", "value": value}
    world.connections.set_secret(SetSecret.model_validate(request), actor="ada")
