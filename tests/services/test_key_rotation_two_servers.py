"""A passphrase that is changed while another server has the vault open: it stops at once, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connvault_jupyter.contracts.connections import ConnectionRef
from connvault_jupyter.contracts.vault import SetUpVault
from connvault_jupyter.errors import VaultLocked, WrongPassphrase
from tests.support.canary import CANARY
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.rotation import NEW, change, opened, second, secret_of, set_secret, unlock
from tests.support.services.rotation import world as world
from tests.support.services.service_world import World, notebook, unasked


def test_another_server_stops_at_once_and_asks_to_unlock(world: World) -> None:
    """Whatever it is asked next: nothing is opened, stored or allowed with the old keys, and its panel hears of it."""
    asked = world.request(notebook(), world.answer("always"))
    testable = world.connection("testable", provider="postgresql")
    other = second(world)
    assert secret_of(other, asked.ref) == CANARY
    change(world)
    other.events.clear()
    for use in (
        lambda: other.deliver(notebook(), asked.ref),
        lambda: other.check(notebook(), asked.ref),
        lambda: other.request(notebook(), unasked),
        lambda: set_secret(other, "with the old key"),
        lambda: other.connection("new"),
        lambda: other.connections.test(ConnectionRef(id=testable.id), actor="ada"),
    ):
        with pytest.raises(VaultLocked, match="changed by another server"):
            use()
    assert not other.still_good(notebook(), asked.ref)
    assert other.secrets.short_state == "locked"
    other.consent.tick()
    assert "vault:changed" in [event.event for event in other.events]
    with pytest.raises(WrongPassphrase):
        unlock(other, PASSPHRASE)
    unlock(other)
    assert secret_of(other, asked.ref) == CANARY
    assert other.audit.verify().consistent
    assert other.audit.verify().keyed


def test_the_other_servers_timer_notices_without_being_asked(world: World) -> None:
    """So that its panel shows the lock."""
    other = second(world)
    change(world)
    other.events.clear()
    other.consent.tick()
    other.consent.tick()
    assert [event.event for event in other.events if event.event == "vault:changed"] == ["vault:changed"]
    assert other.secrets.short_state == "locked"


def test_rows_of_the_other_server_have_no_mac_of_the_old_key(world: World) -> None:
    """A row that it writes before it noticed anything else: the check is in the transaction of the row."""
    other = second(world)
    change(world)
    other.audit.record("connection:tested", decided_by="ada")
    assert world.storage.tables.audit[-1].mac is None
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, False)


def test_a_yes_at_the_other_server_grants_nothing(world: World) -> None:
    """A question that was open when the keys changed: the person unlocks first, and answers then."""
    other = second(world)
    waiting = other.start(notebook())
    change(world)
    with other.lock, pytest.raises(VaultLocked):
        other.decide("always")
    assert not [*world.stores.grants.all()]
    unlock(other)
    with other.lock:
        other.decide("once")
    assert secret_of(other, waiting.answer.ref) == CANARY


def test_drafts_of_the_other_server_are_not_taken_for_edited(world: World) -> None:
    """It sees documents under keys that it does not have: that is no edit, and not recorded as one."""
    other = second(world)
    change(world)
    other.connections.list()
    other.consent.tick()
    world.consent.tick()
    assert "connection:edited" not in world.recorded()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[World, World]]:
    """Two servers on one database file, each with a connection of its own to it."""
    custodian = PlainPassphrase()
    with (
        opened(tmp_path, custodian=custodian) as (one, _),
        opened(tmp_path, custodian=custodian) as (other, _),
    ):
        one.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
        one.connection()
        unlock(other, PASSPHRASE)
        yield one, other


def test_two_servers_on_one_file(two: tuple[World, World], tmp_path: Path) -> None:
    """As above, with what SQLite tells about other processes."""
    one, other = two
    asked = one.request(notebook(), one.answer("always"))
    assert secret_of(other, asked.ref) == CANARY
    change(one)
    assert secret_of(one, asked.ref) == CANARY
    with pytest.raises(VaultLocked):
        set_secret(other, "with the old key")
    with pytest.raises(VaultLocked):
        secret_of(other, asked.ref)
    unlock(other)
    set_secret(other, "with the new key")
    assert secret_of(one, asked.ref) == "with the new key"
    assert one.audit.verify().keyed
    # And back: whoever changes it, the others have to ask.
    change(other, current=NEW, new=PASSPHRASE)
    with pytest.raises(VaultLocked):
        secret_of(one, asked.ref)
