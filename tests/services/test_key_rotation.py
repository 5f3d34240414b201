"""A changed passphrase is another key: what was stored before an old copy was made is all that the old copy opens."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import UpdateConnection
from connvault_jupyter.contracts.vault import SetUpVault
from connvault_jupyter.errors import (
    AccessDenied,
    ConnectionNotReady,
    HandleInvalid,
    SecretInvalid,
    StorageError,
    VaultLocked,
    WrongPassphrase,
)
from connvault_jupyter.services.audit import chain
from connvault_jupyter.services.grants.service import NO_MAC
from tests.services.test_key_rotation_two_servers import two as two
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.canary import CANARY
from tests.support.services.plain_passphrase import PASSPHRASE
from tests.support.services.rotation import NEW, change, opened, secret_of, set_secret, unlock
from tests.support.services.rotation import world as world
from tests.support.services.service_world import World, notebook, unasked
from tests.support.services.stand_ins import catalogue


def test_the_keys_are_others_and_everything_goes_on(world: World) -> None:
    """Handles, grants, documents and the record, through several changes."""
    asked = world.request(notebook(), world.answer("always"))
    with pytest.raises(AccessDenied):
        world.request(notebook("other.ipynb"), world.answer("deny_always"))
    current = PASSPHRASE
    for number in range(3):
        before, envelopes = world.stores.vault.load(), [one.envelope for one in world.stores.secrets.all()]
        change(world, current=current, new=f"{NEW} {number}")
        current = f"{NEW} {number}"
        after = world.stores.vault.load()
        assert before is not None
        assert after is not None
        assert after.generation == before.generation + 1
        assert after.check != before.check
        assert [one.envelope for one in world.stores.secrets.all()] != envelopes
        assert secret_of(world, asked.ref) == CANARY
    assert world.request(notebook(run=2), unasked).decision == "always"
    with pytest.raises(AccessDenied):
        world.request(notebook("other.ipynb"), unasked)
    assert world.connections.list().connections[0].connection.status == "ready"
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, True)
    world.secrets.lock(actor="ada")
    unlock(world, current)
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, True)


def test_an_old_copy_with_the_old_passphrase_opens_nothing_stored_later(tmp_path: Path) -> None:
    """With the real custodian and files: the old key unseals nothing of the new database, neither by its description of
    the vault nor by what is stored there."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    with opened(live) as (world, _):
        world.secrets.set_up(
            SetUpVault.model_validate({"passphrase": PASSPHRASE, "custodian": "passphrase"}), actor="ada"
        )
        world.connection()
        asked = world.request(notebook(), world.answer("always"))
        shutil.copytree(live, copy)
        change(world)
        set_secret(world, "stored later")
        assert secret_of(world, asked.ref) == "stored later"
        later = world.stores.secrets.all()
        changed = world.stores.vault.load()
    with opened(copy) as (thief, stores):
        unlock(thief, PASSPHRASE)
        assert secret_of(thief, asked.ref) == CANARY, "what was stored before is what the old copy has"
        for secret in later:
            stores.secrets.put(secret)
        with pytest.raises(SecretInvalid):
            secret_of(thief, asked.ref)
        # The description of now with the passphrase of then.
        assert changed is not None
        thief.secrets.lock(actor="mallory")
        stores.vault.replace(changed)
        with pytest.raises(WrongPassphrase):
            unlock(thief, PASSPHRASE)


@pytest.mark.parametrize("length", [30, 20_000], ids=["a password", "a long key"])
def test_what_the_old_key_opens_is_not_left_in_the_files(tmp_path: Path, length: int) -> None:
    """Neither in free pages nor in the WAL: the old wrapping and the old envelopes are overwritten."""
    with opened(tmp_path) as (world, _):
        world.secrets.set_up(
            SetUpVault.model_validate({"passphrase": PASSPHRASE, "custodian": "passphrase"}), actor="ada"
        )
        world.connection(secrets={"password": "x" * length})
        before = world.stores.vault.load()
        (sealed,) = world.stores.secrets.all()
        assert before is not None
        (slot,) = before.slots
        held, master = str(slot.parameters["wrapped"]).encode(), base64.b64encode(slot.wrapped)
        traces = [held, master, sealed.envelope[-60:]]
        assert all(trace in content(tmp_path) for trace in traces), "the search finds them"
        change(world)
        assert not any(trace in content(tmp_path) for trace in traces)


def content(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file())


def test_a_locked_vault_changes_its_passphrase_and_stays_locked(world: World) -> None:
    """The current passphrase is enough; the row of the change is keyed all the same."""
    asked = world.request(notebook(), world.answer("always"))
    world.secrets.lock(actor="ada")
    change(world)
    assert world.secrets.short_state == "locked"
    assert world.storage.tables.audit[-1].event.type == "vault:passphrase_changed"
    assert world.storage.tables.audit[-1].mac is not None
    with pytest.raises(VaultLocked):
        world.deliver(notebook(), asked.ref)
    with pytest.raises(WrongPassphrase):
        unlock(world, PASSPHRASE)
    unlock(world)
    assert secret_of(world, asked.ref) == CANARY


@pytest.mark.parametrize("step", ["vault.replace", "audit.append", "secrets.put", "connections.update"])
def test_a_change_of_keys_that_breaks_off_changes_nothing(world: World, step: str) -> None:
    """One transaction: the passphrase of before opens the vault, and this server goes on with the keys that it had."""
    asked = world.request(notebook(), world.answer("always"))
    before = world.storage.tables.copied()
    store, method = step.split(".")

    def fail(*_: object, **__: object) -> None:
        raise StorageError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(getattr(world.stores, store), method, fail)
        with pytest.raises(StorageError):
            change(world)
    assert world.storage.tables == before
    assert secret_of(world, asked.ref) == CANARY
    world.secrets.lock(actor="ada")
    unlock(world, PASSPHRASE)
    assert secret_of(world, asked.ref) == CANARY


def test_what_was_forged_stays_forged(world: World) -> None:
    """A new MAC is given to what had a right one only."""
    genuine = world.request(notebook(), world.answer("session"))
    forged = world.request(notebook("b.ipynb"), world.answer("session"))
    tables = world.storage.tables
    ids = [one.grant.id for one in tables.grants.values() if one.grant.requester_label == "b.ipynb"]
    for grant_id in ids:
        stored = tables.grants[grant_id]
        tables.grants[grant_id] = replace(
            stored, grant=stored.grant.model_copy(update={"decision": "always", "instance": None})
        )
    edited = world.connection("edited")
    stripped = world.connection("stripped")
    for connection, mac in ((edited, b"x" * 32), (stripped, None)):
        tables.connections[connection.id] = replace(tables.connections[connection.id], mac=mac)
    change(world)
    assert secret_of(world, genuine.ref) == CANARY
    with pytest.raises(HandleInvalid):
        world.deliver(notebook("b.ipynb"), forged.ref)
    for name in ("edited", "stripped"):
        with pytest.raises(ConnectionNotReady):
            world.request(notebook(), unasked, name)


def test_a_no_from_a_locked_vault_still_counts(world: World) -> None:
    """It has no MAC, and gets none."""
    world.secrets.lock(actor="ada")
    grant = world.stores.grants
    unlock(world, PASSPHRASE)
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"))
    (stored,) = grant.all()
    world.storage.tables.grants[stored.grant.id] = replace(stored, mac=NO_MAC)
    change(world)
    assert [one.mac for one in grant.all()] == [NO_MAC]
    with pytest.raises(AccessDenied):
        world.request(notebook(), unasked)


def test_a_secret_that_does_not_open_is_kept_and_marked(world: World) -> None:
    """Its definition has changed, perhaps for a while: nothing is lost."""
    asked = world.request(notebook(), world.answer("always"))
    ((key, stored),) = world.storage.tables.secrets.items()
    world.storage.tables.secrets[key] = replace(stored, envelope=stored.envelope[:-1] + b"\0")
    change(world)
    shown = world.connections.list().connections[0]
    assert (shown.connection.status, shown.connection.status_reason) == ("invalid", "secret_unreadable")
    assert shown.secrets
    assert [row.code for row in world.record() if row.type == "secret:unreadable"] == ["secret_invalid"]
    with pytest.raises(SecretInvalid):
        world.deliver(notebook(), asked.ref)


def test_a_secret_whose_provider_is_not_installed_opens_when_it_is_back(world: World) -> None:
    """Through two changes: taken over as it is, under the new key alone."""
    asked = world.request(notebook(), world.answer("always"))
    registry = catalogue()
    without = World(
        custodians={"passphrase": world.secrets._custody._custodians["passphrase"]},
        storage=(world.storage, world.stores),
        registry=Without(registry),
        clock=world.clock,
        unlocked=False,
    )
    unlock(without, PASSPHRASE)
    change(without)
    change(without, current=NEW, new=f"{NEW} again")
    with pytest.raises(ConnectionNotReady):
        without.deliver(notebook(), asked.ref)
    back = World(
        custodians={"passphrase": world.secrets._custody._custodians["passphrase"]},
        storage=(world.storage, world.stores),
        clock=world.clock,
        unlocked=False,
    )
    unlock(back, f"{NEW} again")
    assert secret_of(back, asked.ref) == CANARY


class Without:
    """A registry that lacks the kind of the connection."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def get(self, provider_id: str) -> Any:
        return None if provider_id == IN_CLEAR else self._registry.get(provider_id)


def test_who_has_the_old_key_adds_nothing_to_the_record(world: World) -> None:
    """A row at the end or a checkpoint with a MAC of before the change is noticed."""
    with world.lock:
        old = world.secrets._held.now
    change(world)
    assert world.audit.verify().consistent
    last = world.storage.tables.audit[-1]
    forged = chain.link(last.event.model_copy(update={"sequence": last.event.sequence + 1}), last.digest, old)
    world.storage.tables.audit.append(forged)
    assert world.audit.verify().broken_at == forged.event.sequence
    world.storage.tables.audit.pop()
    world.storage.tables.checkpoint[:] = [chain.checkpoint(2, world.storage.tables.audit[1].digest, old)]
    del world.storage.tables.audit[:2]
    assert not world.audit.verify().consistent


def test_a_checkpoint_of_before_still_counts(world: World) -> None:
    """It gets a new MAC; one that was forged does not."""
    with world.lock:
        unlocked = world.secrets._held.now
    cut = world.storage.tables.audit[1]
    world.stores.audit.prune(chain.checkpoint(2, cut.digest, unlocked))
    change(world)
    found = world.audit.verify()
    assert (found.consistent, found.keyed, found.first_sequence) == (True, True, 3)


def test_a_generation_that_is_edited_in_a_row_is_noticed(world: World) -> None:
    """Up or down, or where nobody kept the key of."""
    change(world)
    for at in (0, len(world.storage.tables.audit) - 1):
        row = world.storage.tables.audit[at]
        for generation in (None, 1, 2, 3, 4, 99):
            world.storage.tables.audit[at] = replace(row, generation=generation)
            assert world.audit.verify().consistent is (generation == row.generation)
        world.storage.tables.audit[at] = row


def test_kept_keys_that_were_damaged_are_told_by_their_rows(world: World) -> None:
    """And lock nobody out."""
    change(world)
    record = world.stores.vault.load()
    assert record is not None
    world.storage.tables.vault[:] = [replace(record, older={2: b"damaged"})]
    world.secrets.lock(actor="ada")
    unlock(world)
    assert world.audit.verify().broken_at == 1


@pytest.mark.parametrize(
    "changes", [{"generation": 1}, {"generation": 3}, {"salt": bytes(32)}, {"vault_id": "other"}]
)
def test_an_edited_generation_opens_nothing(world: World, changes: dict[str, Any]) -> None:
    """Generation and salt are part of what the check value covers."""
    record = world.stores.vault.load()
    assert record is not None
    world.secrets.lock(actor="ada")
    world.storage.tables.vault[:] = [replace(record, **changes)]
    with pytest.raises(WrongPassphrase):
        unlock(world, PASSPHRASE)


def test_unsaved_drafts_survive_a_change_while_locked(world: World) -> None:
    """What this broker saved without keys is confirmed by the old ones first."""
    world.secrets.lock(actor="ada")
    connection = world.connections.list().connections[0].connection
    world.connections.update(
        UpdateConnection(id=connection.id, revision=1, display_name="Renamed"), actor="ada"
    )
    world.connection("draft", secrets={})
    change(world)
    unlock(world)
    assert [one.connection.status_reason for one in world.connections.list().connections] == [
        "secret_missing",
        None,
    ]


def test_a_generation_can_not_fall_by_mistake(two: tuple[World, World], tmp_path: Path) -> None:
    """The database refuses it."""
    with (
        closing(sqlite3.connect(tmp_path / "connvault.db", isolation_level=None)) as edited,
        pytest.raises(sqlite3.IntegrityError),
    ):
        edited.execute("UPDATE vault SET generation = 1")


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize("how", ["edited", "stripped"])
def test_a_connection_that_was_edited_is_recorded_as_that_and_not_as_unreadable(
    world: World, how: str, locked: bool
) -> None:
    """Its secret does not open at its new destination; what happened is the edit, also if the vault was locked."""
    tables = world.storage.tables
    ((key, stored),) = tables.connections.items()
    moved = stored.connection.model_copy(
        update={"fields": {**stored.connection.fields, "host": "evil.example"}}
    )
    tables.connections[key] = replace(stored, connection=moved, mac=None if how == "stripped" else stored.mac)
    if locked:
        world.secrets.lock(actor="ada")
    change(world)
    if locked:
        unlock(world)
    world.clock.forward(60)
    world.consent.tick()
    assert "secret:unreadable" not in world.recorded()
    (row,) = [one for one in world.record() if one.type == "connection:edited"]
    assert row.code == ("connection_unconfirmed" if how == "stripped" else "connection_edited")
    shown = world.connections.list().connections[0].connection
    assert shown.status_reason == ("unconfirmed" if how == "stripped" else "edited")


def test_a_draft_that_this_server_saved_while_locked_is_no_edit_at_the_change(world: World) -> None:
    """It is confirmed by the old keys first, and a secret of it that does not open is recorded as that."""
    world.secrets.lock(actor="ada")
    (stored,) = world.stores.connections.all()
    saved = stored.connection
    world.connections.update(
        UpdateConnection.model_validate({"id": saved.id, "revision": saved.revision, "name": "renamed"}),
        actor="ada",
    )
    ((key, sealed),) = world.storage.tables.secrets.items()
    world.storage.tables.secrets[key] = replace(sealed, envelope=sealed.envelope[:-1] + b"\0")
    change(world)
    unlock(world)
    shown = world.connections.list().connections[0].connection
    assert (shown.name, shown.status_reason) == ("renamed", "secret_unreadable")
    assert "secret:unreadable" in world.recorded()
