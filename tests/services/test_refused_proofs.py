"""Wrong passphrases and proofs in a loop: a few rows, then sums. Whoever has the server's token can make as many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connvault_jupyter.errors import ConnvaultError, SlotProofRefused, StorageFull, WrongPassphrase
from connvault_jupyter.services.audit.repeated_refusals import MAX_ALONE, SUMMED_EVERY_S
from tests.support.services.service_world import World
from tests.support.services.slots import lock, rotate, slot_of, unlock, with_slots
from tests.support.services.transfers import exported

TRIES = 60


def tries_to_unlock(world: World) -> None:
    unlock(world, "a wrong passphrase")


def tries_to_rotate(world: World) -> None:
    rotate(world, {"slot": slot_of(world, "this server").id, "key": "A" * 43 + "="})


def tries_to_export(world: World) -> None:
    exported(world, with_secrets=True, proof={"passphrase": "a wrong passphrase"})


LOOPS: dict[str, tuple[Callable[[World], None], bool]] = {
    "vault:unlock_refused": (tries_to_unlock, True),
    "slot:refused": (tries_to_rotate, False),
    "connection:exported": (tries_to_export, False),
}


def looped(event: str) -> World:
    attempt, locked = LOOPS[event]
    world = with_slots()
    if locked:
        lock(world)
    for _ in range(TRIES):
        with pytest.raises((WrongPassphrase, SlotProofRefused)):
            attempt(world)
    return world


def counts(world: World, event: str) -> list[int | None]:
    return [row.count for row in world.record() if row.type == event and row.outcome == "refused"]


@pytest.mark.parametrize("event", LOOPS)
def test_a_loop_of_refused_proofs_is_summed_up(event: str) -> None:
    """Each is counted, once."""
    world = looped(event)
    assert counts(world, event) == [None] * MAX_ALONE
    world.clock.forward(SUMMED_EVERY_S)
    world.consent.tick()
    world.consent.tick()
    assert counts(world, event) == [None] * MAX_ALONE + [TRIES - MAX_ALONE]


def test_refused_proofs_that_are_only_counted_are_logged_when_the_broker_ends() -> None:
    """However little time has passed."""
    world = looped("slot:refused")
    world.consent.interrupt_all()
    assert counts(world, "slot:refused")[-1] == TRIES - MAX_ALONE


def test_a_sum_of_refused_proofs_that_can_not_be_logged_stays_counted() -> None:
    """Until the disk has room."""
    world = looped("slot:refused")
    world.clock.forward(SUMMED_EVERY_S)
    world.storage.full = True
    world.consent.tick()
    world.storage.full = False
    world.consent.tick()
    assert counts(world, "slot:refused") == [None] * MAX_ALONE + [TRIES - MAX_ALONE]


def test_somebody_who_mistypes_now_and_then_has_a_row_each_time() -> None:
    """More than half a minute apart."""
    world = with_slots()
    lock(world)
    for _ in range(2 * MAX_ALONE):
        with pytest.raises(ConnvaultError):
            unlock(world, "a wrong passphrase")
        world.clock.forward(SUMMED_EVERY_S + 1)
    assert counts(world, "vault:unlock_refused") == [None] * 2 * MAX_ALONE


def test_a_refused_proof_that_can_not_be_logged_is_refused_all_the_same() -> None:
    """A full disk is no way in."""
    world = with_slots()
    world.storage.full = True
    with pytest.raises(StorageFull):
        tries_to_rotate(world)
