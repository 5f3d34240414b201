"""The vault: set up, unlocked, locked, raced for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connvault_jupyter.contracts.vault import ChangePassphrase, CustodianKind, SetUpVault, UnlockVault
from connvault_jupyter.errors import (
    AuthenticationOff,
    Conflict,
    ConnvaultError,
    CustodianUnavailable,
    InvalidRequest,
    StorageFull,
    VaultExists,
    VaultLocked,
    VaultNotSetUp,
    WeakPassphrase,
    WrongPassphrase,
)
from connvault_jupyter.services.vault_ports import Availability
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import World
from tests.support.services.stand_ins import MemoryKeyring


def with_passphrase(**settings: Any) -> World:
    return World(custodians={"passphrase": PlainPassphrase()}, unlocked=False, **settings)


def set_up(world: World, passphrase: str = PASSPHRASE) -> None:
    world.secrets.set_up(SetUpVault.model_validate({"passphrase": passphrase}), actor="ada")


def unlock(world: World, passphrase: str = PASSPHRASE) -> None:
    world.secrets.unlock(UnlockVault.model_validate({"passphrase": passphrase}), actor="ada")


def test_the_state_of_an_absent_vault_says_what_set_up_would_take() -> None:
    """The OS keyring if one answers, else a passphrase."""
    keyring = MemoryKeyring()
    world = World(custodians={"os_keyring": keyring, "passphrase": PlainPassphrase()}, unlocked=False)
    state = world.secrets.state()
    assert (state.state, state.custodian, state.default) == ("absent", None, "os_keyring")
    assert (state.custodian_label, state.storing_allowed, state.created_at) == ("System keyring", True, None)
    assert state.minimum_passphrase_chars == 10
    keyring.available = False
    assert world.secrets.state().default == "passphrase"
    for what in ("keys", "vault_id"):
        with pytest.raises(VaultNotSetUp):
            getattr(world.secrets, what)
    with pytest.raises(VaultNotSetUp):
        unlock(world)


def test_a_missing_configured_custodian_is_not_replaced_by_another() -> None:
    """An error, not a weaker protection."""
    keyring = MemoryKeyring()
    keyring.available = False
    world = World(
        custodians={"os_keyring": keyring, "passphrase": PlainPassphrase()},
        custodian="os_keyring",
        unlocked=False,
    )
    state = world.secrets.state()
    assert (state.default, state.storing_allowed) == (None, False)
    assert state.storing_detail
    with pytest.raises(CustodianUnavailable):
        set_up(world)
    assert world.stores.vault.load() is None


def test_a_vault_whose_custodian_is_gone_stays_locked() -> None:
    """The custodian of an existing vault never changes by itself."""
    first = World()
    nxt = World(
        storage=(first.storage, first.stores), custodians={"passphrase": PlainPassphrase()}, unlocked=False
    )
    nxt.secrets.open_at_start()
    with pytest.raises(CustodianUnavailable):
        nxt.secrets.unlock(UnlockVault(), actor="ada")
    assert nxt.secrets.state().state == "locked"
    assert nxt.secrets.state().custodian == "os_keyring"


def test_a_vault_that_was_set_up_is_unlocked_and_on_record() -> None:
    """With a MAC already."""
    world = with_passphrase()
    set_up(world)
    state = world.secrets.state()
    assert (state.state, state.custodian, state.created_at) == ("unlocked", "passphrase", world.clock.now)
    (row,) = world.storage.tables.audit
    assert (row.event.type, row.event.decided_by) == ("vault:set_up", "ada")
    assert row.mac is not None
    assert [event.event for event in world.events] == ["vault:changed"]
    with pytest.raises(VaultExists):
        set_up(world)


@pytest.mark.parametrize(
    ("custodian", "passphrase"),
    [("passphrase", None), ("os_keyring", "something long")],
    ids=["none", "extra"],
)
def test_a_passphrase_that_does_not_fit_the_custodian_is_refused(
    custodian: CustodianKind, passphrase: str | None
) -> None:
    """Needed for, and only for, the one."""
    world = World(custodians={"os_keyring": MemoryKeyring(), "passphrase": PlainPassphrase()}, unlocked=False)
    with pytest.raises(InvalidRequest):
        world.secrets.set_up(
            SetUpVault.model_validate({"custodian": custodian, "passphrase": passphrase}), actor="ada"
        )
    assert world.stores.vault.load() is None


def test_when_the_server_has_no_authentication_no_vault_is_set_up() -> None:
    """There would be nothing that may be put into it."""
    world = with_passphrase(authenticated=False)
    assert not world.secrets.state().storing_allowed
    with pytest.raises(AuthenticationOff):
        set_up(world)


def test_the_key_of_a_set_up_that_can_not_be_stored_is_forgotten() -> None:
    """Nothing is left in the keyring."""
    world = World(unlocked=False)
    world.storage.full = True
    with pytest.raises(StorageFull):
        world.set_up()
    assert not world.keyring.items
    assert world.secrets.short_state == "absent"


def test_a_wrong_passphrase_is_on_record_and_a_right_one_unlocks() -> None:
    """A locked vault says so until then."""
    world = with_passphrase()
    set_up(world)
    world.secrets.lock(actor="ada")
    with pytest.raises(VaultLocked):
        _ = world.secrets.keys
    with pytest.raises(WrongPassphrase):
        unlock(world, "wrong passphrase")
    with pytest.raises(InvalidRequest):
        world.secrets.unlock(UnlockVault(), actor="ada")
    unlock(world)
    unlock(world, "whatever: it is unlocked")
    assert world.secrets.state().state == "unlocked"
    assert world.recorded() == [
        "vault:set_up",
        "vault:locked",
        "vault:unlock_refused",
        "vault:unlock_refused",
        "vault:unlocked",
    ]
    assert [link.mac is not None for link in world.storage.tables.audit] == [True, True, False, False, True]


def test_guesses_can_not_be_made_in_parallel() -> None:
    """One custodian call at a time, from however many threads."""
    custodian = PlainPassphrase()
    world = World(custodians={"passphrase": custodian}, unlocked=False)
    set_up(world)
    world.secrets.lock(actor="ada")

    def guess(number: int) -> type[ConnvaultError] | None:
        try:
            unlock(world, f"guess number {number}")
        except ConnvaultError as refused:
            return type(refused)
        return None

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(guess, range(16))) == {WrongPassphrase}
    assert custodian.most_running == 1


def test_when_the_keyring_has_another_key_the_vault_stays_locked() -> None:
    """A restored keyring of another machine must not open (and re-seal) anything."""
    world = World()
    world.secrets.lock(actor="ada")
    for item in world.keyring.items:
        world.keyring.items[item] = bytes(32)
    assert world.secrets.open_at_start().state == "locked"
    with pytest.raises(CustodianUnavailable):
        world.secrets.unlock(UnlockVault(), actor="ada")


def test_at_the_start_a_keyring_opens_and_a_passphrase_does_not() -> None:
    """Without a question; and a server starts without its keyring."""
    first = World()
    nxt = World(storage=(first.storage, first.stores), unlocked=False)
    nxt.keyring.items.update(first.keyring.items)
    nxt.keyring.available = False
    assert nxt.secrets.open_at_start().state == "locked"
    with pytest.raises(VaultLocked) as locked:
        _ = nxt.secrets.keys
    assert "another server" not in str(locked.value)
    nxt.keyring.available = True
    assert nxt.secrets.open_at_start().state == "unlocked"
    assert nxt.record()[-1].decided_by == "server start"
    other = with_passphrase()
    assert other.secrets.open_at_start().state == "absent"
    set_up(other)
    other.secrets.lock(actor="ada")
    assert other.secrets.open_at_start().state == "locked"


@pytest.mark.parametrize("same", [True, False], ids=["same passphrase", "another passphrase"])
def test_when_two_servers_set_up_at_once_one_vault_wins(same: bool) -> None:
    """The loser forgets its key; it opens the winner's vault if it can."""
    first = with_passphrase()
    second = World(
        custodians={"passphrase": PlainPassphrase()}, storage=(first.storage, first.stores), unlocked=False
    )
    # The second has looked, found nothing and made its key; now the first is done.
    keep = second.services.secrets._custody._custodians["passphrase"].keep
    won = []

    def slow_keep(name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        found = keep(name, key, passphrase)
        set_up(first)
        won.append(first.secrets.vault_id)
        return found

    second.services.secrets._custody._custodians["passphrase"].keep = slow_keep  # type: ignore[method-assign]
    if same:
        set_up(second)
        assert second.secrets.state().state == "unlocked"
        assert second.secrets.vault_id == won[0]
    else:
        with pytest.raises(VaultExists):
            set_up(second, "something else entirely")
        assert second.secrets.short_state == "locked"
    record = first.stores.vault.load()
    assert record is not None
    assert record.vault_id == won[0]
    assert first.recorded().count("vault:set_up") == 1


def test_when_two_servers_race_with_a_keyring_one_item_is_left() -> None:
    """Exactly one item, named after the vault."""
    first = World(unlocked=False)
    second = World(
        storage=(first.storage, first.stores), custodians={"os_keyring": first.keyring}, unlocked=False
    )
    keep = first.keyring.keep

    def slow_keep(name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        first.keyring.keep = keep  # type: ignore[method-assign]
        found = keep("the loser", key, passphrase)
        first.set_up()
        return found

    first.keyring.keep = slow_keep  # type: ignore[method-assign]
    forget = first.keyring.forget
    first.keyring.forget = lambda name, parameters: forget(parameters["item"], parameters)  # type: ignore[method-assign]
    assert second.set_up().state == "unlocked"
    assert [*first.keyring.items] == [first.secrets.vault_id] == [second.secrets.vault_id]


def test_secrets_stay_when_the_passphrase_changes() -> None:
    """With the real custodian: the same master key, wrapped anew."""
    world = World(custodians={"passphrase": PassphraseCustodian()}, unlocked=False)
    with pytest.raises(WeakPassphrase):
        set_up(world, "short")
    set_up(world)
    world.connection()
    change = {"current": PASSPHRASE, "new": "another long passphrase"}
    world.secrets.change_passphrase(ChangePassphrase.model_validate(change), actor="ada")
    with pytest.raises(WrongPassphrase):
        world.secrets.change_passphrase(ChangePassphrase.model_validate(change), actor="ada")
    world.secrets.lock(actor="ada")
    with pytest.raises(WrongPassphrase):
        unlock(world)
    unlock(world, "another long passphrase")
    (sealed,) = world.stores.secrets.all()
    connection = world.connections.list().connections[0].connection
    found = world.services.connections._checks._resolver.ready(connection)
    assert world.secrets.sealed.unseal(connection, sealed, found)
    assert "vault:passphrase_changed" in world.recorded()


def test_when_the_passphrase_is_changed_in_two_places_at_once_one_wins() -> None:
    """The loser is told; the winner's passphrase opens the vault."""
    first = with_passphrase()
    set_up(first)
    second = World(
        custodians={"passphrase": PlainPassphrase()}, storage=(first.storage, first.stores), unlocked=False
    )
    custodian = first.services.secrets._custody._custodians["passphrase"]
    keep = custodian.keep

    def change(world: World, new: str) -> None:
        given = {"current": PASSPHRASE, "new": new}
        world.secrets.change_passphrase(ChangePassphrase.model_validate(given), actor="ada")

    def slow_keep(name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        change(second, "the second's passphrase")
        return keep(name, key, passphrase)

    custodian.keep = slow_keep  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        change(first, "the first's passphrase")
    unlock(second, "the second's passphrase")


def test_a_vault_in_the_keyring_has_no_passphrase_to_change() -> None:
    """It says so."""
    with pytest.raises(InvalidRequest):
        World().secrets.change_passphrase(
            ChangePassphrase.model_validate({"current": "x", "new": "y"}), actor="ada"
        )


def test_a_lock_in_one_server_leaves_the_others_unlocked() -> None:
    """Each has its own keys in its own process."""
    first = World()
    second = World(storage=(first.storage, first.stores), unlocked=False)
    second.keyring.items.update(first.keyring.items)
    second.secrets.open_at_start()
    first.secrets.lock(actor="ada")
    assert second.secrets.state().state == "unlocked"
    assert first.secrets.state().state == "locked"


class SlowKeyring(MemoryKeyring):
    """A keyring whose looking around takes until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.looking = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def availability(self) -> Availability:
        self.looking.set()
        assert self.go_on.wait(10)
        return super().availability()


def test_while_a_keyring_is_looked_for_nobody_waits_for_the_lock() -> None:
    """A keyring may take seconds to say whether it is there; uses and answers go on meanwhile."""
    keyring = SlowKeyring()
    world = World(custodians={"os_keyring": keyring})
    keyring.looking.clear()
    keyring.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        state = pool.submit(world.secrets.state)
        assert keyring.looking.wait(10)
        try:
            if free := world.lock.acquire(timeout=10):
                world.lock.release()
                locked = world.secrets.lock(actor="ada")
        finally:
            keyring.go_on.set()
    assert free
    assert locked.state == "locked"
    assert [choice.kind for choice in locked.choices] == ["os_keyring"]
    assert state.result().state == "locked"
