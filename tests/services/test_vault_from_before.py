"""A vault of the version before: taken over at its first unlock, once, whole, and never again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connvault_jupyter.contracts.connections import CreateConnection
from connvault_jupyter.contracts.vault import ChangePassphrase, SetUpVault, UnlockVault
from connvault_jupyter.errors import (
    AccessDenied,
    ConnectionNotReady,
    HandleInvalid,
    SecretInvalid,
    StorageError,
    VaultLocked,
    WrongPassphrase,
)
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from tests.support.canary import CANARY
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.service_world import World, notebook, unasked
from tests.support.vault_before import PASSPHRASE, refs, restore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The database as the version before left it."""
    return restore(tmp_path / "vault")


class Server:
    """One broker's services over the database."""

    def __init__(self, path: Path) -> None:
        self.database, self.stores = open_stores(data_dir=path.parent)
        self.world = World(
            storage=(MemoryStorage(), self.stores),
            custodians={"passphrase": PassphraseCustodian()},
            publish=lambda _: None,
            unlocked=False,
        )
        # Its ids are counted, and so were those in the database.
        self.world._random = 1000

    def unlock(self, passphrase: str = PASSPHRASE) -> World:
        self.world.secrets.unlock(UnlockVault.model_validate({"passphrase": passphrase}), actor="ada")
        return self.world


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    found = Server(path)
    yield found
    found.database.close()


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as edited:
        for statement in statements:
            edited.execute(statement)


def statuses(world: World) -> dict[str, str | None]:
    return {one.connection.name: one.connection.status_reason for one in world.connections.list().connections}


def secret_of(world: World, label: str) -> str:
    return world.deliver(notebook(label), refs()[label]).secrets["password"].get_secret_value()


def test_at_the_first_unlock_all_of_a_vault_from_before_goes_on(server: Server, path: Path) -> None:
    """Secrets open, drafts are drafts, grants of runs and their handles count, a no is a no, the record verifies."""
    world = server.unlock()
    assert statuses(world) == {
        "changed": None,
        "draft": "secret_missing",
        "early-draft": "secret_missing",
        "locked-draft": "secret_missing",
        "shop": None,
        "token": None,
        "warehouse": None,
    }
    assert secret_of(world, "session.ipynb") == CANARY
    asked = world.request(notebook("relayed.ipynb"), world.answer("session"), "shop")
    world.open(notebook("relayed.ipynb"), asked.ref)
    assert world.login(notebook("relayed.ipynb"), asked.ref).secrets
    with pytest.raises(AccessDenied):
        world.request(notebook("never.ipynb"), unasked)
    assert world.recorded().count("vault:upgraded") == 1
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, True)
    assert all(stored.mac for stored in server.stores.connections.all())
    record = server.stores.vault.load()
    assert record is not None
    assert record.generation == 2
    # A copy of what was there before lies beside it.
    assert [file.name for file in path.parent.glob("*.backup-0001")] == ["connvault.db.backup-0001"]


def test_a_vault_from_before_is_taken_over_once(server: Server) -> None:
    """The next unlock finds it done."""
    world = server.unlock()
    before = server.stores.vault.load()
    world.secrets.lock(actor="ada")
    server.unlock()
    assert server.stores.vault.load() == before
    assert world.recorded().count("vault:upgraded") == 1


def test_what_is_stripped_afterwards_is_not_from_before(server: Server, path: Path) -> None:
    """Whether a document had a MAC once is told by the generation of the keys, not by the row."""
    world = server.unlock()
    world.secrets.lock(actor="ada")
    edit(
        path,
        'UPDATE connections SET mac = NULL, document = replace(document, \'"user":"ada"\', \'"user":"root"\')',
    )
    server.unlock()
    assert statuses(world)["warehouse"] == "unconfirmed"
    with pytest.raises(ConnectionNotReady):
        world.deliver(notebook("session.ipynb"), refs()["session.ipynb"])


def test_an_old_description_of_the_vault_that_is_put_back_opens_nothing(server: Server, path: Path) -> None:
    """It is genuine, so it unlocks, and what has no MAC is from before again; but its keys open none of the secrets,
    nor do those of its next generation."""
    with closing(sqlite3.connect(path)) as opened:
        old = opened.execute(
            "SELECT custodian, parameters, check_value, created_at, generation, salt, older, slots FROM vault"
        ).fetchone()
    world = server.unlock()
    now = server.stores.vault.load()
    assert now is not None
    world.secrets.lock(actor="ada")
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("DROP TRIGGER vault_generation_never_falls")
        (trigger,) = [
            line
            for line in Path("connvault_jupyter/storage/migrations/0003_generations.sql")
            .read_text()
            .split("\n\n")
            if "CREATE TRIGGER" in line
        ]
        opened.execute(
            "UPDATE vault SET (custodian, parameters, check_value, created_at, generation, salt, older, slots)"
            " = (?, ?, ?, ?, ?, ?, ?, ?)",
            old,
        )
        opened.execute(
            "UPDATE connections SET mac = NULL,"
            ' document = replace(document, \'"user":"ada"\', \'"user":"root"\')'
        )
        opened.execute(trigger)
    server.unlock()
    assert world.recorded().count("vault:upgraded") == 2
    assert statuses(world)["warehouse"] == "secret_unreadable"
    # What was shown is another connection, and it has no secret.
    with pytest.raises(HandleInvalid):
        world.deliver(notebook("session.ipynb"), refs()["session.ipynb"])
    with pytest.raises(SecretInvalid):
        world.request(notebook("b.ipynb"), unasked)
    # The newer description put back again: the documents were confirmed by other keys.
    world.secrets.lock(actor="ada")
    server.stores.vault.replace(now)
    server.unlock()
    assert statuses(world)["warehouse"] == "edited"


def test_before_the_first_unlock_no_secret_leaves_and_none_is_lost(server: Server) -> None:
    """Statuses are settled, renamed drafts are stored, all without keys."""
    world = server.world
    world.connections.recheck()
    with pytest.raises(VaultLocked):
        secret_of(world, "session.ipynb")
    with pytest.raises(WrongPassphrase):
        server.unlock("not the passphrase")
    world.connections.create(
        CreateConnection.model_validate({"provider_id": "postgresql", "name": "new", "fields": {}}),
        actor="ada",
    )
    world = server.unlock()
    assert statuses(world)["new"] == "fields_missing"
    assert secret_of(world, "session.ipynb") == CANARY


def test_a_take_over_that_breaks_off_leaves_the_vault_from_before(server: Server, path: Path) -> None:
    """And is taken over by the next unlock."""
    with closing(sqlite3.connect(path)) as opened:
        before = (
            opened.execute("SELECT * FROM vault").fetchall(),
            opened.execute("SELECT connection_id, envelope FROM secrets").fetchall(),
        )
    append = server.stores.audit.append
    server.stores.audit.append = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(StorageError):
        server.unlock()
    assert server.world.secrets.short_state == "locked"
    with closing(sqlite3.connect(path)) as opened:
        assert before == (
            opened.execute("SELECT * FROM vault").fetchall(),
            opened.execute("SELECT connection_id, envelope FROM secrets").fetchall(),
        )
    server.stores.audit.append = append  # type: ignore[method-assign]
    assert secret_of(server.unlock(), "session.ipynb") == CANARY


def fail(*_: object) -> None:
    raise StorageError


def test_two_servers_take_a_vault_from_before_over_once(server: Server, path: Path) -> None:
    """Both have read the old description; the second one finds another and opens that."""
    other = Server(path)
    custodian = other.world.secrets._custody._custodians["passphrase"]
    recover = custodian.recover

    def slow(*args: object) -> bytes:
        custodian.recover = recover  # type: ignore[method-assign]
        found = recover(*args)  # type: ignore[arg-type]
        server.unlock()
        return found

    custodian.recover = slow  # type: ignore[method-assign,assignment]
    other.unlock()
    assert secret_of(other.world, "session.ipynb") == CANARY
    assert secret_of(server.world, "session.ipynb") == CANARY
    assert server.world.recorded().count("vault:upgraded") == 1
    other.database.close()


def test_the_passphrase_of_a_vault_from_before_can_be_changed_before_the_first_unlock(server: Server) -> None:
    """Then it is taken over by that."""
    server.world.secrets.change_passphrase(
        ChangePassphrase.model_validate({"current": PASSPHRASE, "new": "another long passphrase"}),
        actor="ada",
    )
    world = server.unlock("another long passphrase")
    assert secret_of(world, "session.ipynb") == CANARY
    assert statuses(world)["early-draft"] == "secret_missing"


def test_a_damaged_secret_does_not_hold_up_the_take_over(server: Server, path: Path) -> None:
    """It is marked, and the others open."""
    with closing(sqlite3.connect(path)) as opened:
        (victim,) = opened.execute("SELECT id FROM connections WHERE name = 'shop'").fetchone()
    edit(path, f"UPDATE secrets SET envelope = zeroblob(60) WHERE connection_id = '{victim}'")
    world = server.unlock()
    assert statuses(world)["shop"] == "secret_unreadable"
    assert secret_of(world, "session.ipynb") == CANARY
    with pytest.raises(SecretInvalid):
        world.request(notebook("relayed.ipynb"), unasked, "shop")


def test_the_document_of_a_vault_from_before_is_the_same_afterwards(server: Server, path: Path) -> None:
    """Only the MAC comes; revision and times stay, so that no open form is refused."""
    with closing(sqlite3.connect(path)) as opened:
        before = dict(opened.execute("SELECT id, document FROM connections").fetchall())
    server.unlock()
    with closing(sqlite3.connect(path)) as opened:
        after = dict(opened.execute("SELECT id, document FROM connections").fetchall())
    assert {one: json.loads(text) for one, text in after.items()} == {
        one: json.loads(text) for one, text in before.items()
    }


def test_a_new_vault_is_never_from_before() -> None:
    """It begins with the generation whose documents have MACs."""
    world = World(custodians={"passphrase": PassphraseCustodian()}, unlocked=False)
    world.secrets.set_up(
        SetUpVault.model_validate({"custodian": "passphrase", "passphrase": PASSPHRASE}), actor="ada"
    )
    record = world.stores.vault.load()
    assert record is not None
    assert (record.generation, len(record.salt)) == (2, 32)
