"""Rows by keys that are gone: they count up to where the record was when the keys changed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connvault_jupyter.contracts.vault import ChangePassphrase, SetUpVault, UnlockVault
from connvault_jupyter.services.audit import chain
from connvault_jupyter.services.ports import ChainLink, Position
from connvault_jupyter.services.secrets.generations import Unlocked
from connvault_jupyter.services.vault_ports import HeldByOne
from connvault_jupyter.vault.envelope import VaultKeys, check_value, derive_keys
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.records import write
from tests.support.services.service_world import World


@pytest.fixture
def world() -> World:
    """A vault with a passphrase that costs nothing, and some rows."""
    world = World(custodians={"passphrase": PlainPassphrase()}, unlocked=False)
    world.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    write(world)
    return world


def change(world: World, number: int = 1) -> None:
    given = {"current": passphrase(number - 1), "new": passphrase(number)}
    world.secrets.change_passphrase(ChangePassphrase.model_validate(given), actor="ada")


def passphrase(number: int) -> str:
    return PASSPHRASE if number == 0 else f"the passphrase number {number}"


def keys_of(world: World) -> Unlocked:
    with world.lock:
        found = world.secrets._held.now
    assert found is not None
    return found


def started_anew(world: World, number: int) -> World:
    """The next broker on the vault: it has seen nothing of the record."""
    custodian = world.secrets._custody._custodians["passphrase"]
    following = World(
        custodians={"passphrase": custodian},
        storage=(world.storage, world.stores),
        clock=world.clock,
        unlocked=False,
    )
    following.secrets.unlock(UnlockVault.model_validate({"passphrase": passphrase(number)}), actor="ada")
    return following


def appended(links: list[ChainLink], keys: Unlocked | None, number: int = 1) -> None:
    """What whoever has these keys can write at the end."""
    for _ in range(number):
        last = links[-1]
        event = last.event.model_copy(update={"sequence": last.event.sequence + 1, "decided_by": "mallory"})
        links.append(chain.link(event, last.digest, keys))


def end_of(links: list[ChainLink], generation: int) -> int:
    """How many rows there are up to the last one by this generation."""
    return max(at for at, one in enumerate(links, 1) if one.generation == generation)


@pytest.mark.parametrize("added", [1, 40], ids=["fewer than were cut off", "more than were cut off"])
def test_rows_by_an_old_key_in_the_place_of_an_end_that_was_cut_off_are_noticed(
    world: World, added: int
) -> None:
    """While no broker ran: nobody remembers how far the record had come, but the vault does."""
    old = keys_of(world)
    change(world)
    write(world)
    links = world.storage.tables.audit
    end = end_of(links, old.generation)
    del links[end:]
    appended(links, old, added)
    found = started_anew(world, 1).audit.verify()
    assert (found.consistent, found.broken_at) == (False, end + 1)


@pytest.mark.parametrize("kept", range(1, 4))
def test_rows_by_an_old_key_in_the_place_of_older_ones_are_noticed(world: World, kept: int) -> None:
    """The end of a generation is where it was, and what it was."""
    old = keys_of(world)
    change(world)
    links = world.storage.tables.audit
    end = end_of(links, old.generation)
    del links[kept:]
    appended(links, old, end - kept)
    assert not started_anew(world, 1).audit.verify().consistent


@pytest.mark.parametrize("generation", range(3))
def test_after_several_changes_each_generation_has_its_end(world: World, generation: int) -> None:
    """Whichever old key somebody has, and wherever it is put."""
    keys = []
    for number in range(1, 4):
        keys.append(keys_of(world))
        change(world, number)
        write(world)
    assert started_anew(world, 3).audit.verify().keyed
    links = world.storage.tables.audit
    original = links[:]
    for length in range(end_of(original, keys[0].generation), len(original)):
        links[:] = original[:length]
        appended(links, keys[generation], 20)
        assert not started_anew(world, 3).audit.verify().consistent
    links[:] = original
    assert started_anew(world, 3).audit.verify().keyed


def test_the_end_of_a_generation_can_not_be_cut_off(world: World) -> None:
    """A record that does not come as far as its last change of keys has lost something, whatever is in its place."""
    old = keys_of(world)
    change(world)
    links = world.storage.tables.audit
    end = end_of(links, old.generation)
    del links[end - 1 :]
    assert not started_anew(world, 1).audit.verify().consistent
    del links[end - 1 :]
    appended(links, None, 20)
    assert not started_anew(world, 1).audit.verify().consistent


def test_what_was_written_while_locked_and_at_the_change_verifies(world: World) -> None:
    """Rows without a MAC before the change, a change of a locked vault, rows after it."""
    world.secrets.lock(actor="ada")
    write(world)
    change(world)
    write(world)
    following = started_anew(world, 1)
    change(following, 2)
    found = following.audit.verify()
    assert (found.consistent, found.keyed) == (True, True)


def test_a_change_of_an_empty_record_verifies(world: World) -> None:
    """Its end is the beginning."""
    world.storage.tables.audit.clear()
    old = keys_of(world)
    change(world)
    assert started_anew(world, 1).audit.verify().consistent
    links = world.storage.tables.audit
    links[:] = [chain.link(links[0].event, Position().digest, old)]
    assert started_anew(world, 1).audit.verify().broken_at == 1


@pytest.mark.parametrize("where", ["before the end", "at the end", "after it"])
def test_a_pruned_record_verifies_and_an_old_key_adds_nothing(world: World, where: str) -> None:
    """The mark may lie before, on or behind the end of a generation."""
    old = keys_of(world)
    change(world)
    write(world)
    links = world.storage.tables.audit
    end = end_of(links, old.generation)
    cut = end + {"before the end": -1, "at the end": 0, "after it": 1}[where]
    at = links[cut - 1]
    world.stores.audit.prune(chain.checkpoint(at.event.sequence, at.digest, keys_of(world)))
    following = started_anew(world, 1)
    assert following.audit.verify().consistent
    del links[1:]
    if where == "at the end":
        links.clear()
        links.append(chain.link(at.event.model_copy(update={"sequence": end + 1}), at.digest, old))
    appended(links, old)
    assert not started_anew(world, 1).audit.verify().consistent


def test_a_mark_without_a_mac_makes_no_room_for_an_old_key(world: World) -> None:
    """Anybody can write one: it neither hides that rows were exchanged nor that they come too late."""
    old = keys_of(world)
    change(world)
    links = world.storage.tables.audit
    end = end_of(links, old.generation)
    for sequence in (end - 1, end, end + 5):
        links[:] = [chain.link(links[0].event.model_copy(update={"sequence": sequence + 1}), b"x" * 32, old)]
        world.storage.tables.checkpoint[:] = [chain.checkpoint(sequence, b"x" * 32, None)]
        assert not started_anew(world, 1).audit.verify().consistent


def test_the_ends_can_not_be_taken_out_of_the_vault(world: World) -> None:
    """Whoever edits its row takes the keys of then with them, which is noticed also where no row is by them."""
    change(world)
    change(world, 2)
    record = world.stores.vault.load()
    assert record is not None
    links = world.storage.tables.audit
    for generation in record.older:
        older = {number: kept for number, kept in record.older.items() if number != generation}
        world.storage.tables.vault[:] = [replace(record, older=older)]
        assert not started_anew(world, 2).audit.verify().consistent
        rows = links[:]
        links[:] = [one for one in rows if one.generation != generation]
        relinked(links)
        assert not started_anew(world, 2).audit.verify().consistent
        links[:] = rows


def relinked(links: list[ChainLink]) -> None:
    """Without any key."""
    previous = Position().digest
    for at, one in enumerate(links):
        links[at] = chain.link(one.event.model_copy(update={"sequence": at + 1}), previous, None)
        previous = links[at].digest


def test_where_a_version_before_has_noted_no_end_the_next_change_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has is read as it was: until then rows by that key count, and after the next change only up to there."""
    old = keys_of(world)
    as_before: Callable[..., bytes] = lambda keys, older, vault_id, _: keys._sealed(  # noqa: E731
        keys._keeping,
        older.kept,
        b"\1\0connvault-older-keys-1\0" + vault_id.encode() + (2).to_bytes(8, "big"),
    )
    with monkeypatch.context() as patched:
        patched.setattr(VaultKeys, "keep_record", as_before)
        change(world)
    assert started_anew(world, 1).audit.verify().keyed
    links = world.storage.tables.audit
    original = links[:]
    change(world, 2)
    assert started_anew(world, 2).audit.verify().keyed
    end = end_of(links, old.generation + 1)
    for length in (end_of(links, old.generation), end):
        kept, links[:] = links[:], links[:length]
        appended(links, old, 20)
        assert not started_anew(world, 2).audit.verify().consistent
        links[:] = kept
    assert len(original) <= end


def test_of_a_vault_of_the_version_before_the_end_is_where_it_was_taken_over(world: World) -> None:
    """Its keys, which its passphrase of then still gives, add nothing afterwards."""
    record = world.stores.vault.load()
    assert record is not None
    master = world.secrets._custody.recover(record, PASSPHRASE).master_key
    of_before = derive_keys(master, record.vault_id)
    assert of_before.generation == 1
    from_before = Unlocked(keys=of_before, check=b"", older={})
    links = world.storage.tables.audit
    relinked(links)
    appended(links, from_before)
    held = HeldByOne("passphrase", {"passphrase": PASSPHRASE, "key": master.hex()})
    old = replace(record, generation=1, salt=b"", older={}, slots=(), slots_mac=b"", before_slots=held)
    world.storage.tables.vault[:] = [replace(old, check=check_value(master, record.vault_id, old.epoch))]
    following = started_anew(world, 0)
    assert following.audit.verify().keyed
    end = next(at for at, one in enumerate(links) if one.generation == 2)
    del links[end:]
    appended(links, from_before)
    assert started_anew(world, 0).audit.verify().broken_at == end + 1
