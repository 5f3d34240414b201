"""On a full disk: revoke, deny and lock work, nothing is given."""

from __future__ import annotations

import pytest

from connvault_jupyter.contracts.access import GrantRef, RevokeOwn
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import AccessDenied, ConsentTimeout, HandleInvalid, StorageFull, VaultLocked
from tests.support.services.service_world import World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


@pytest.mark.parametrize("full", ["with a reserve", "even the record"])
def test_a_revoke_works_on_a_full_disk(world: World, full: str) -> None:
    """With its row where there is room for it."""
    asked = world.request(notebook(), world.answer("session"))
    world.storage.full = full == "with a reserve"
    world.storage.record_full = full == "even the record"
    world.consent.revoke(GrantRef(id=world.grants()[0].id), actor="ada")
    assert not world.grants()
    assert ("grant:revoked" in world.recorded()) is (full == "with a reserve")
    world.storage.full = world.storage.record_full = False
    with pytest.raises(HandleInvalid):
        world.deliver(notebook(), asked.ref)


def test_permissions_end_on_a_full_disk_whatever_ends_them(world: World) -> None:
    """What ends permissions must never fail for want of a row."""
    world.request(notebook(), world.answer("session"))
    world.request(notebook("b.ipynb"), world.answer("always"))
    world.request(notebook("c.ipynb"), world.answer("session"))
    world.storage.record_full = True
    assert world.access.revoke_own(notebook(), RevokeOwn(connection="warehouse")).released == 1
    world.consent.documents_gone(["b.ipynb"])
    world.consent.instance_ended(notebook("c.ipynb").instance)
    assert not world.grants()


@pytest.mark.parametrize("full", ["the disk", "the record"])
def test_an_unlock_without_its_row_leaves_the_vault_locked(world: World, full: str) -> None:
    """No row, no keys: whoever unlocks is always on record."""
    asked = world.request(notebook(), world.answer("session"))
    world.secrets.lock(actor="ada")
    world.storage.full, world.storage.record_full = full == "the disk", full == "the record"
    with pytest.raises(StorageFull):
        world.secrets.unlock(UnlockVault(), actor="ada")
    assert world.secrets.short_state == "locked"
    with pytest.raises(VaultLocked):
        world.deliver(notebook(), asked.ref)
    world.storage.full = world.storage.record_full = False
    world.secrets.unlock(UnlockVault(), actor="ada")
    world.deliver(notebook(), asked.ref)
    assert world.recorded().count("vault:unlocked") == 1


def test_a_lock_works_on_a_full_disk(world: World) -> None:
    """Even without any room at all."""
    world.storage.full, world.storage.reserve = True, False
    assert world.secrets.lock(actor="ada").state == "locked"


@pytest.mark.parametrize("reserve", [True, False])
def test_a_no_works_on_a_full_disk(world: World, reserve: bool) -> None:
    """The requester is told, and the question is closed."""

    def fill() -> None:
        world.storage.full, world.storage.reserve = True, reserve
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(fill))
    assert not world.consent.questions().access_requests


def test_a_never_is_stored_even_without_its_row(world: World) -> None:
    """The effect is what counts."""

    def fill() -> None:
        world.storage.record_full = True
        world.decide("deny_always")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(fill))
    world.storage.record_full = False
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), unasked)
    assert refused.value.details == {"reason": "never"}


def test_a_never_that_can_not_be_stored_is_a_no_and_the_person_is_told(world: World) -> None:
    """Better than a yes, and honest."""

    def fill() -> None:
        world.storage.full, world.storage.reserve = True, False
        with pytest.raises(StorageFull):
            world.decide("deny_always")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(fill))


def test_a_yes_on_a_full_disk_gives_nothing_and_the_question_stays(world: World) -> None:
    """No row, no grant."""

    def fill() -> None:
        world.storage.full = True
        with pytest.raises(StorageFull):
            world.decide("once")
        assert world.question().connection == "warehouse"
        assert not world.grants()
        world.storage.full = False
        world.decide("once")

    asked = world.request(notebook(), world.meanwhile(fill))
    world.deliver(notebook(), asked.ref)


def test_a_question_is_not_put_without_its_row(world: World) -> None:
    """And nobody sees it."""
    world.storage.full = True
    with pytest.raises(StorageFull):
        world.request(notebook(), unasked)
    assert not world.consent.questions().access_requests


def test_questions_time_out_on_a_full_disk(world: World) -> None:
    """Questions end, and their callers are told."""

    def fill() -> None:
        world.storage.full, world.storage.reserve = True, False
        world.clock.forward(60)

    with pytest.raises(ConsentTimeout):
        world.request(notebook(), world.meanwhile(fill))
