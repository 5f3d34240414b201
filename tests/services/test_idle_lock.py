"""The vault locks itself when nothing was used and no operator acted for long enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import UpdateConnection
from connvault_jupyter.errors import ConnvaultError, VaultLocked
from tests.support.services.service_world import World, notebook, unasked

AFTER_S = 600


@pytest.fixture
def world() -> World:
    """A permission is there, so that uses need nobody."""
    world = World(lock_after_idle_s=AFTER_S)
    world.connection()
    world.request(notebook(), world.answer("always"))
    world.idle_lock.tick()
    return world


def passes(world: World, seconds: float) -> str:
    world.clock.forward(seconds)
    world.idle_lock.tick()
    return world.secrets.short_state


def test_after_the_time_it_is_locked_and_on_record(world: World) -> None:
    """Not a second earlier; what opens it is what opened it before."""
    assert passes(world, AFTER_S - 1) == "unlocked"
    assert passes(world, 1) == "locked"
    last = world.record()[-1]
    assert (last.type, last.decided_by) == ("vault:locked", "lock after idle time")
    with pytest.raises(VaultLocked):
        world.request(notebook(), unasked)
    world.secrets.open_at_start()
    world.idle_lock.tick()
    assert passes(world, AFTER_S - 1) == "unlocked"
    assert passes(world, 1) == "locked"


def test_without_the_setting_it_stays_open() -> None:
    """The default."""
    world = World()
    world.idle_lock.tick()
    assert passes(world, 365 * 86_400) == "unlocked"


def use(world: World) -> None:
    world.deliver(notebook(), world.request(notebook(), unasked).ref)


def change(world: World) -> None:
    (view,) = world.connections.list().connections
    changed = {"id": view.connection.id, "revision": view.connection.revision, "display_name": "x"}
    world.connections.update(UpdateConnection.model_validate(changed), actor="ada")


ACTS: dict[str, Callable[[World], Any]] = {
    "a use": use,
    "a change": change,
    "an answer": lambda world: world.request(notebook("b.ipynb"), world.answer("session")),
}


@pytest.mark.parametrize("what", ACTS)
def test_what_somebody_does_puts_it_off(world: World, what: str) -> None:
    """By the whole time, from then on."""
    assert passes(world, AFTER_S - 1) == "unlocked"
    ACTS[what](world)
    world.idle_lock.tick()
    assert passes(world, AFTER_S - 1) == "unlocked"
    assert passes(world, 1) == "locked"


def unanswered(world: World) -> None:
    with pytest.raises(ConnvaultError):
        world.request(notebook("b.ipynb"), world.later(61))


def refused(world: World) -> None:
    with pytest.raises(ConnvaultError):
        world.deliver(notebook(), "r" * 43)


NO_ACTS: dict[str, Callable[[World], Any]] = {
    "a look": lambda world: world.connections.list(),
    "a refused use": refused,
    "a question that nobody answers": unanswered,
}


@pytest.mark.parametrize("what", NO_ACTS)
def test_what_is_no_use_does_not_put_it_off(world: World, what: str) -> None:
    """Code that asks in vain can't keep the vault open."""
    assert passes(world, AFTER_S - 70) == "unlocked"
    NO_ACTS[what](world)
    assert passes(world, 70) == "locked"


def test_an_open_client_is_a_use(world: World) -> None:
    """Its query would be ended; the time begins when it has gone."""
    world.relays.busy = {"r" * 43}
    assert passes(world, AFTER_S) == "unlocked"
    world.relays.busy = set()
    assert passes(world, AFTER_S - 1) == "unlocked"
    assert passes(world, 1) == "locked"


def test_a_clock_that_is_set_back_does_not_keep_it_open(world: World) -> None:
    """The time begins anew, once."""
    assert passes(world, -86_400) == "unlocked"
    assert passes(world, AFTER_S) == "locked"


def test_it_locks_on_a_full_disk(world: World) -> None:
    """As a person can."""
    world.storage.full, world.storage.reserve = True, False
    assert passes(world, AFTER_S) == "locked"


def test_each_of_two_servers_counts_for_itself(world: World) -> None:
    """One that is used stays open; the other one's lock does not end that."""
    other = World(
        storage=(world.storage, world.stores),
        custodians={"os_keyring": world.keyring},
        clock=world.clock,
        unlocked=False,
        lock_after_idle_s=AFTER_S,
    )
    other.secrets.open_at_start()
    other.idle_lock.tick()
    world.clock.forward(AFTER_S - 1)
    use(world)
    world.clock.forward(1)
    world.idle_lock.tick()
    other.idle_lock.tick()
    assert (world.secrets.short_state, other.secrets.short_state) == ("unlocked", "locked")
    use(world)
