"""Whatever the database says: what has ended is cut and refused at once, and stored as soon as it can be."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from connvault_jupyter.contracts.access import GrantRef, HandleUse, RevokeOwn
from connvault_jupyter.errors import GrantNotFound, HandleInvalid, StorageFull, VaultLocked
from connvault_jupyter.services.grants.revocation import NOT_STORED
from tests.support.services.service_world import World, notebook


@pytest.fixture
def world() -> World:
    world = World()
    world.connection(provider="postgresql")
    return world


def hold(world: World, held: bool = True) -> None:
    """Nothing can be stored, not even with the reserve."""
    world.storage.full, world.storage.reserve = held, not held


def revoke(world: World, _ref: str) -> None:
    world.consent.revoke(GrantRef(id=world.grants()[0].id), actor="ada")


ENDS: dict[str, tuple[str, Callable[[World, str], object], str]] = {
    "revoked": ("session", revoke, "grant:revoked"),
    "revoked by the notebook": (
        "session",
        lambda world, _: world.access.revoke_own(notebook(), RevokeOwn(connection="warehouse")),
        "grant:revoked",
    ),
    "released": (
        "session",
        lambda world, ref: world.access.release(notebook(), HandleUse(ref=ref)),
        "access:released",
    ),
    "released, of one use": (
        "once",
        lambda world, ref: world.access.release(notebook(), HandleUse(ref=ref)),
        "access:released",
    ),
    "the document is gone": (
        "always",
        lambda world, _: world.consent.documents_gone(["report.ipynb"]),
        "grant:voided",
    ),
}


def opened(world: World, decision: str) -> str:
    ref = world.request(notebook(), world.answer(decision)).ref  # type: ignore[arg-type]
    world.open(notebook(), ref)
    assert world.login(notebook(), ref).secrets
    return ref


@pytest.mark.parametrize(("decision", "end", "row"), ENDS.values(), ids=ENDS)
def test_what_can_not_be_stored_has_ended_all_the_same(
    world: World, decision: str, end: Callable[[World, str], object], row: str
) -> None:
    """The relays are told before, nothing is got by the handle, and whoever asked for it hears that it is not stored;
    it is, once, when it can be."""
    ref = opened(world, decision)
    order, looks = world.order(notebook(), ref), world.relays.looks
    hold(world)
    with pytest.raises(StorageFull) as told:
        end(world, ref)
    assert told.value.message == NOT_STORED
    assert world.relays.looks > looks
    assert world.access.has_ended(order)
    for held in (True, False):
        hold(world, held)
        assert not world.still_good(notebook(), ref)
        for use in (world.deliver, world.check, world.login):
            with pytest.raises(HandleInvalid):
                use(notebook(), ref)
    assert row not in world.recorded()
    world.consent.tick()
    world.consent.tick()
    assert world.recorded().count(row) == 1
    assert not world.access.has_ended(order), "the rows are gone"
    restarted = World(storage=(world.storage, world.stores), unlocked=False, clock=world.clock)
    restarted.keyring.items.update(world.keyring.items)
    restarted.secrets.open_at_start()
    with pytest.raises(HandleInvalid):
        restarted.login(notebook(), ref)


def test_a_grant_that_has_ended_is_shown_as_that_and_gives_no_new_handle(world: World) -> None:
    """Until it is stored; a person is asked again."""
    opened(world, "always")
    hold(world)
    with pytest.raises(StorageFull):
        revoke(world, "")
    hold(world, False)
    assert not world.grants()
    caller = world.start(notebook())
    assert caller.waits
    caller.go_away()


def test_what_has_ended_is_stored_at_the_latest_when_the_broker_ends(world: World) -> None:
    """In good order."""
    opened(world, "session")
    hold(world)
    with pytest.raises(StorageFull):
        revoke(world, "")
    hold(world, False)
    world.consent.interrupt_all()
    assert not [*world.stores.grants.all()]


def test_a_grant_that_another_server_removed_meanwhile_is_no_error(world: World) -> None:
    """Then there is nothing left to store."""
    opened(world, "session")
    grant_id = world.grants()[0].id
    hold(world)
    with pytest.raises(StorageFull):
        revoke(world, "")
    hold(world, False)
    world.stores.grants.remove(grant_id)
    world.consent.tick()
    assert "grant:revoked" not in world.recorded()
    with pytest.raises(GrantNotFound):
        world.consent.revoke(GrantRef(id=grant_id), actor="ada")


def test_a_revoke_and_a_lock_cut_before_they_wait_for_whoever_has_the_lock(world: World) -> None:
    """Somebody who holds the database holds up whoever has the broker's lock."""
    ref = opened(world, "session")
    order = world.order(notebook(), ref)
    grant = GrantRef(id=world.grants()[0].id)
    for end in (lambda: world.secrets.lock(actor="ada"), lambda: world.consent.revoke(grant, actor="ada")):
        cut = threading.Event()
        world.services.access._ended._cut = cut.set
        with world.lock:
            ending = threading.Thread(target=end)
            ending.start()
            assert cut.wait(30)
            assert world.services.access.has_ended(order)
        ending.join(30)
        assert not ending.is_alive()
        assert not world.still_good(notebook(), ref)
    assert world.secrets.short_state == "locked"


def test_no_secret_is_got_from_a_vault_that_is_being_locked(world: World) -> None:
    """Whoever gets the broker's lock first."""
    ref = opened(world, "session")
    with world.services.access._ended.everything():
        for use in (world.deliver, world.check, world.login):
            with pytest.raises(VaultLocked):
                use(notebook(), ref)
        assert not world.still_good(notebook(), ref)
    assert world.login(notebook(), ref).secrets


def test_a_run_that_is_over_ends_without_trouble(world: World) -> None:
    """That a kernel has ended must not fail for the database: the others that end with it would be left out."""
    opened(world, "session")
    hold(world)
    world.runs.ended.add(notebook().instance)
    world.consent.instance_ended(notebook().instance)
    hold(world, False)
    world.consent.tick()
    assert not [*world.stores.grants.all()]
    assert not world.stores.handles.instances()


def test_what_has_expired_is_told_though_it_can_not_be_removed(world: World) -> None:
    """So that what is open by it is cut."""
    ref = opened(world, "always")
    hold(world)
    world.clock.forward(400 * 86_400)
    world.events.clear()
    world.consent.tick()
    assert "grants:changed" in [event.event for event in world.events]
    assert not world.still_good(notebook(), ref)
