"""How a connection is delivered, as the operator's view tells it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from connvault_jupyter.contracts.connections import CreateConnection
from connvault_jupyter.providers.registry import ProviderCatalogue
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.in_clear import PROVIDERS as IN_CLEAR_PROVIDERS
from tests.support.services.service_world import POSTGRES, World

RELAY = {
    "kind": "relay",
    "mode": "brokered",
    "client": "postgresql",
    "openers": ["connect"],
    "protocol": "postgresql",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with a kind `relayed` that is PostgreSQL's and has a relay alone."""
    built_in = files("connvault_jupyter.providers") / "catalogue" / "postgresql.json"
    relayed = {**json.loads(built_in.read_text()), "id": "relayed", "name": "Relayed", "deliveries": [RELAY]}
    (tmp_path / "relayed.json").write_text(json.dumps(relayed))
    return World(
        registry=ProviderCatalogue(packages=False, directories=[str(tmp_path), str(IN_CLEAR_PROVIDERS)])
    )


@pytest.mark.parametrize(
    ("provider", "sslmode", "delivery"),
    [
        ("relayed", "disable", "hand_over"),
        ("relayed", "require", "relay"),
        (IN_CLEAR, "disable", "login"),
        ("secret", None, "reveal"),
    ],
)
def test_when_the_operator_looks_then_the_view_names_the_delivery(
    world: World, provider: str, sslmode: str | None, delivery: str
) -> None:
    """Plain upstream: hand-over; encrypted: relay; a library in the process: login; nothing but plain text: reveal."""
    fields = {**POSTGRES, "sslmode": sslmode} if sslmode else {}
    draft = CreateConnection.model_validate({"provider_id": provider, "name": "db", "fields": fields})
    assert world.connections.create(draft, actor="ada").delivery == delivery
