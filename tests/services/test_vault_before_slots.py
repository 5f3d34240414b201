"""A vault of the version before key slots gets one at its first unlock: whole, once, whatever breaks off."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.vault import AddSlot, ChangePassphrase, SetUpVault, UnlockVault
from connvault_jupyter.errors import StorageFull, VaultLocked, WrongPassphrase
from connvault_jupyter.services.vault_ports import HeldByOne, VaultRecord
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.vault.envelope import check_value
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from tests.support.canary import CANARY
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.service_world import World, notebook
from tests.support.services.stand_ins import MemoryKeyring
from tests.support.vault_before_slots import PASSPHRASE, refs, restore

NEW = "another long passphrase"


class Server:
    """One broker's services over the database, as the version before left it."""

    def __init__(self, path: Path) -> None:
        self.database, self.stores = open_stores(data_dir=path.parent)
        self.world = World(
            storage=(MemoryStorage(), self.stores),
            custodians={"passphrase": PassphraseCustodian()},
            publish=lambda _: None,
            unlocked=False,
        )
        # Its ids are counted, and so were those in the database.
        self.world._random = 1_000_000

    def unlock(self, passphrase: str = PASSPHRASE) -> None:
        self.world.secrets.unlock(UnlockVault.model_validate({"passphrase": passphrase}), actor="ada")

    @property
    def record(self) -> VaultRecord:
        found = self.stores.vault.load()
        assert found is not None
        return found

    def secret(self) -> str:
        ref = refs()["session.ipynb"]
        return self.world.deliver(notebook("session.ipynb"), ref).secrets["password"].get_secret_value()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return restore(tmp_path / "vault")


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    found = Server(path)
    yield found
    found.database.close()


def test_the_fixture_is_of_the_version_before(path: Path) -> None:
    """One custodian, no column for slots."""
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("PRAGMA user_version").fetchone() == (5,)
        names = [row[1] for row in opened.execute("PRAGMA table_info(vault)")]
    assert "slots" not in names


def test_at_its_first_unlock_it_has_one_slot_and_everything_goes_on(server: Server, path: Path) -> None:
    """The custodian's parameters are the slot's, the master key is another one, the record verifies, a copy of before
    lies beside it."""
    before = server.record
    assert before.before_slots is not None
    assert [slot.standing for slot in server.world.slots.list().slots] == ["unchecked"]
    server.unlock()
    after = server.record
    (slot,) = after.slots
    assert after.before_slots is None
    assert (slot.id, slot.kind, slot.label) == (before.vault_id, "passphrase", "Passphrase")
    assert slot.parameters == before.before_slots.parameters
    assert (after.generation, after.created_at) == (before.generation + 1, before.created_at)
    assert server.secret() == CANARY
    found = server.world.audit.verify()
    assert (found.consistent, found.keyed) == (True, True)
    recorded = server.world.recorded()
    assert [type for type in recorded if type.startswith("vault:")][-2:] == [
        "vault:upgraded",
        "vault:unlocked",
    ]
    assert recorded.count("vault:upgraded") == 1
    assert not server.world.slots.list().changed_outside
    assert len([*path.parent.glob("*.backup-0005")]) == 1
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("SELECT custodian, parameters FROM vault").fetchone() == ("", "{}")
    # The next one finds it done.
    server.world.secrets.lock(actor="ada")
    server.unlock()
    assert server.record == after


def test_before_its_first_unlock_its_slots_do_not_change(server: Server) -> None:
    """It says what to do."""
    given = {"kind": "passphrase", "passphrase": NEW, "proof": {"passphrase": PASSPHRASE}}
    with pytest.raises(VaultLocked, match="Unlock it once"):
        server.world.slots.add(AddSlot.model_validate(given), actor="ada")
    before = server.record
    with pytest.raises(WrongPassphrase):
        server.unlock(NEW)
    assert server.record == before


def test_its_passphrase_can_be_changed_at_once(server: Server) -> None:
    """Without being unlocked before: it is taken over by the change."""
    given = {"current": PASSPHRASE, "new": NEW}
    server.world.secrets.change_passphrase(ChangePassphrase.model_validate(given), actor="ada")
    assert server.world.secrets.short_state == "locked"
    with pytest.raises(WrongPassphrase):
        server.unlock()
    server.unlock(NEW)
    assert server.secret() == CANARY


class Broken(Exception):
    """The process ends here."""


def test_wherever_it_breaks_off_it_is_as_before_or_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each write of the takeover: the same passphrase opens it afterwards, and nothing is missing."""
    change, stretch = Database.change, PassphraseCustodian._stretch
    stretched: dict[str, bytes] = {}

    def once(custodian: PassphraseCustodian, passphrase: str, open_part: Any) -> bytes:
        if passphrase not in stretched:
            stretched[passphrase] = stretch(custodian, passphrase, open_part)
        return stretched[passphrase]

    # Its cost is not what is tested.
    monkeypatch.setattr(PassphraseCustodian, "_stretch", once)
    points = 0
    while True:
        left = points

        def broken(database: Database, *given: object, **named: object) -> object:
            nonlocal left
            if left == 0:
                raise Broken
            left -= 1
            return change(database, *given, **named)  # type: ignore[arg-type]

        server = Server(path)
        before = server.record
        with monkeypatch.context() as patched:
            patched.setattr(Database, "change", broken)
            try:
                server.unlock()
            except Broken:
                assert server.record == before
                assert server.world.secrets.short_state == "locked"
            else:
                break
            finally:
                server.database.close()
        points += 1
    # The secrets, the documents, the grants, the vault, the record.
    assert points > 20
    again = Server(path)
    again.unlock()
    assert len(again.record.slots) == 1
    assert again.secret() == CANARY
    assert again.world.audit.verify().consistent
    again.database.close()


def test_on_a_full_disk_it_stays_locked_and_as_it_was(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is taken over when there is space again."""
    before = server.record

    def full(*_: object) -> None:
        raise StorageFull

    with monkeypatch.context() as patched:
        patched.setattr(server.stores.vault, "replace", full)
        with pytest.raises(StorageFull):
            server.unlock()
    assert server.record == before
    server.unlock()
    assert server.secret() == CANARY


def test_a_vault_kept_by_the_keyring_keeps_its_item() -> None:
    """The keyring and the database can't be changed at once, so nothing is changed in the keyring; and a backup of
    before still opens with it."""
    world = World(unlocked=False)
    world.secrets.set_up(SetUpVault(), actor="ada")
    made = world.stores.vault.load()
    assert made is not None
    world.secrets.lock(actor="ada")
    master = b"\7" * 32
    world.keyring.items = {made.vault_id: master}
    before = VaultRecord(
        vault_id=made.vault_id,
        before_slots=HeldByOne("os_keyring", {"item": made.vault_id}),
        check=check_value(master, made.vault_id, made.epoch),
        created_at=made.created_at,
        generation=made.generation,
        salt=made.salt,
    )
    world.stores.vault.replace(before)
    other = World(
        custodians={"os_keyring": keyring_of(world)}, storage=(world.storage, world.stores), unlocked=False
    )
    assert other.secrets.open_at_start().state == "unlocked"
    assert world.keyring.items == {made.vault_id: master}
    (slot,) = other.slots.list().slots
    assert (slot.kind, slot.standing) == ("os_keyring", "genuine")
    # Both at once: the second finds it done.
    assert world.secrets.open_at_start().state == "unlocked"


def keyring_of(world: World) -> MemoryKeyring:
    return world.keyring
