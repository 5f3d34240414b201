"""A vault whose passphrase costs nothing and is changed, and the servers that have it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import SetSecret
from connvault_jupyter.contracts.vault import ChangePassphrase, SetUpVault, UnlockVault
from connvault_jupyter.storage.stores import Stores, open_stores
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import World, notebook

NEW = "another long passphrase"


@pytest.fixture
def world() -> World:
    """A vault with a passphrase that costs nothing, and a connection with a secret."""
    world = World(custodians={"passphrase": PlainPassphrase()}, unlocked=False)
    world.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    world.connection()
    return world


def change(world: World, *, current: str = PASSPHRASE, new: str = NEW) -> None:
    given = {"current": current, "new": new}
    world.secrets.change_passphrase(ChangePassphrase.model_validate(given), actor="ada")


def unlock(world: World, passphrase: str = NEW) -> None:
    world.secrets.unlock(UnlockVault.model_validate({"passphrase": passphrase}), actor="ada")


def set_secret(world: World, value: str) -> None:
    (connection,) = [one for one in world.stores.connections.all() if one.connection.name == "warehouse"]
    given = {"id": connection.connection.id, "field": "password", "value": value}
    world.connections.set_secret(SetSecret.model_validate(given), actor="ada")


def secret_of(world: World, ref: str) -> str:
    return world.deliver(notebook(), ref).secrets["password"].get_secret_value()


def second(world: World, **settings: Any) -> World:
    """Another server on the vault, unlocked with the passphrase of now."""
    custodian = world.secrets._custody._custodians["passphrase"]
    other = World(
        custodians={"passphrase": custodian},
        storage=(world.storage, world.stores),
        clock=world.clock,
        unlocked=False,
        **settings,
    )
    unlock(other, PASSPHRASE)
    return other


class opened:  # noqa: N801 - it reads as a statement
    """A broker's services over the database in `folder`, as a server has it."""

    def __init__(self, folder: Path, *, custodian: Any = None) -> None:
        self._folder = folder
        self._custodian = custodian or PassphraseCustodian()

    def __enter__(self) -> tuple[World, Stores]:
        self.database, stores = open_stores(data_dir=self._folder)
        world = World(
            storage=(MemoryStorage(), stores),
            custodians={"passphrase": self._custodian},
            publish=lambda _: None,
            unlocked=False,
        )
        return world, stores

    def __exit__(self, *_: object) -> None:
        self.database.close()
