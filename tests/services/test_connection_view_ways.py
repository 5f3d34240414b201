"""How a connection is delivered, as the operator's view tells it."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.contracts.connections import CreateConnection
from connvault_jupyter.contracts.providers import Delivery
from connvault_jupyter.providers.registry import ProviderCatalogue
from tests.support.service_world import POSTGRES, World, catalogue


def _brokered() -> ProviderCatalogue:
    """The built-in PostgreSQL, with a relay as its only delivery."""
    found = catalogue()
    relay = Delivery(
        kind="relay", mode="brokered", client="postgresql", openers=["connect"], protocol="postgresql"
    )
    kinds = [
        kind.model_copy(update={"deliveries": [relay]}) if kind.id == "postgresql" else kind
        for kind in found.all()
    ]
    return ProviderCatalogue(kinds, skipped=[])


@pytest.mark.parametrize(
    ("provider", "fields", "way"),
    [
        ("postgresql", {**POSTGRES, "sslmode": "disable"}, "hand_over"),
        ("postgresql", {**POSTGRES, "sslmode": "require"}, "relay"),
        ("secret", {}, "reveal"),
    ],
)
def test_when_the_operator_looks_then_the_view_names_the_way(
    provider: str, fields: dict[str, Any], way: str
) -> None:
    """Plain upstream: hand-over; encrypted: relay; nothing but plain text: reveal."""
    world = World(providers=_brokered())
    draft = CreateConnection.model_validate({"provider_id": provider, "name": "db", "fields": fields})
    assert world.connections.create(draft, actor="ada").way == way
