"""What a person does to connections in the fake world."""

from __future__ import annotations

from typing import Any

from connvault_jupyter.contracts.connections import Connection, SetSecret, UpdateConnection
from tests.support.services.service_world import World

HTTP = {"base_url": "https://api.example.org/v1", "auth": "bearer"}


def update(world: World, connection: Connection, **changes: Any) -> Connection:
    given = {"id": connection.id, "revision": connection.revision, **changes}
    return world.connections.update(UpdateConnection.model_validate(given), actor="ada").connection


def set_secret(world: World, connection: Connection, value: str, field: str = "password") -> Connection:
    request = SetSecret.model_validate({"id": connection.id, "field": field, "value": value})
    return world.connections.set_secret(request, actor="ada").connection
