"""What is open under a brokered handle, and how long: what cuts it, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.access import GrantFilter, GrantRef, HandleUse, RevokeOwn
from connvault_jupyter.contracts.connections import DeleteConnection, DeleteSecret, UpdateConnection
from connvault_jupyter.errors import (
    ConnectionNotReady,
    HandleInvalid,
    SecretMissing,
    StorageError,
    VaultLocked,
)
from connvault_jupyter.services.identifiers import ref_hash
from connvault_jupyter.services.ports import Handle
from tests.support.services.brokered import given, replace_password, the
from tests.support.services.brokered import world as world
from tests.support.services.service_world import POSTGRES, World, notebook
from tests.support.services.stand_ins import UpdatedCatalogue


def revoked(world: World, ref: str) -> None:
    (view,) = world.consent.grants(GrantFilter()).grants
    world.consent.revoke(GrantRef(id=view.grant.id), actor="ada")


def moved(world: World, ref: str) -> None:
    request = {"id": the(world).id, "revision": 1, "fields": {**POSTGRES, "host": "evil.test"}}
    world.connections.update(UpdateConnection.model_validate(request), actor="ada")


def moved_with_a_secret(world: World, ref: str) -> None:
    request = {
        "id": the(world).id,
        "revision": 1,
        "fields": {**POSTGRES, "host": "evil.test"},
        "secrets": {"password": {"value": "new"}},
    }
    world.connections.update(UpdateConnection.model_validate(request), actor="ada")


ENDS: dict[str, tuple[Callable[[World, str], Any], type[Exception]]] = {
    "revoked": (revoked, HandleInvalid),
    "revoked by its own notebook": (
        lambda world, ref: world.access.revoke_own(notebook(), RevokeOwn(connection="warehouse")),
        HandleInvalid,
    ),
    "released": (lambda world, ref: world.access.release(notebook(), HandleUse(ref=ref)), HandleInvalid),
    "its permission expired": (lambda world, ref: world.clock.forward(300), HandleInvalid),
    "its run has ended": (
        lambda world, ref: world.consent.instance_ended(notebook().instance),
        HandleInvalid,
    ),
    "its document was deleted": (
        lambda world, ref: world.consent.documents_gone(["report.ipynb"]),
        HandleInvalid,
    ),
    "the vault is locked": (lambda world, ref: world.secrets.lock(actor="ada"), VaultLocked),
    "another destination": (moved, HandleInvalid),
    "another destination and its secret": (moved_with_a_secret, HandleInvalid),
    "the connection is deleted": (
        lambda world, ref: world.connections.delete(
            DeleteConnection(id=the(world).id, revision=1), actor="ada"
        ),
        HandleInvalid,
    ),
}


@pytest.mark.parametrize(("end", "error"), ENDS.values(), ids=ENDS)
def test_when_a_permission_ends_no_login_is_given_and_what_is_open_is_cut(
    world: World, end: Callable[[World, str], Any], error: type[Exception]
) -> None:
    """Every way in which a permission ends."""
    ref = given(world, "for")
    world.login(notebook(), ref)
    assert world.still_good(notebook(), ref)
    end(world, ref)
    assert not world.still_good(notebook(), ref)
    for use in (world.open, world.login):
        with pytest.raises(error):
            use(notebook(), ref)


def test_when_released_the_relays_look_at_once(world: World) -> None:
    """Nothing is published, so nobody else would tell them. Letting go of nothing is no reason to look."""
    ref = given(world)
    for _ in range(2):
        world.access.release(notebook(), HandleUse(ref=ref))
    assert world.relays.looks == 1


def test_what_is_open_under_once_is_cut_after_its_limit(world: World) -> None:
    """`once` covers one handle for a bounded time, and what it has open with it."""
    ref = given(world, "once")
    world.clock.forward(99)
    assert world.still_good(notebook(), ref)
    world.clock.forward(1)
    assert not world.still_good(notebook(), ref)


def test_when_the_provider_is_gone_what_is_open_is_cut(world: World) -> None:
    """Nobody can say any more where it may lead."""
    ref = given(world, "always")
    nxt = World(
        storage=(world.storage, world.stores), registry=UpdatedCatalogue({"postgresql": None}), unlocked=False
    )
    nxt.keyring.items.update(world.keyring.items)
    nxt.secrets.open_at_start()
    assert not nxt.still_good(notebook(), ref)
    for use in (nxt.open, nxt.login):
        with pytest.raises(ConnectionNotReady):
            use(notebook(), ref)


def test_when_another_server_revokes_what_is_open_is_cut(world: World) -> None:
    """One vault, two brokers."""
    ref = given(world, "session")
    other = World(storage=(world.storage, world.stores), unlocked=False, broker="4712:1000")
    revoked(other, ref)
    assert not world.still_good(notebook(), ref)


def test_a_secret_that_is_missing_for_a_moment_ends_no_session(world: World) -> None:
    """A person replaces it: the next login waits for the new one, what is open goes on."""
    ref = given(world)
    world.connections.delete_secret(DeleteSecret(id=the(world).id, field="password"), actor="ada")
    assert world.still_good(notebook(), ref)
    for use in (world.open, world.login):
        with pytest.raises(SecretMissing):
            use(notebook(), ref)
    replace_password(world, "the new one")
    assert world.login(notebook(), ref).secrets["password"].get_secret_value() == "the new one"


def test_a_missing_secret_hides_no_revoke(world: World) -> None:
    """The order of the two does not count."""
    ref = given(world)
    world.connections.delete_secret(DeleteSecret(id=the(world).id, field="password"), actor="ada")
    revoked(world, ref)
    assert not world.still_good(notebook(), ref)


def test_a_missing_secret_keeps_no_handle_whose_grant_is_gone(world: World) -> None:
    """Its row, put back by hand, opens nothing; nor does it keep anything open."""
    ref = given(world)
    order = world.order(notebook(), ref)
    rows = dict(world.storage.tables.handles)
    world.connections.delete_secret(DeleteSecret(id=the(world).id, field="password"), actor="ada")
    revoked(world, ref)
    world.storage.tables.handles.update(rows)
    assert not world.access.still_good(order)


@pytest.mark.parametrize("missing", [False, True], ids=["with its secret", "without"])
def test_what_was_opened_under_one_grant_is_not_kept_by_another(world: World, *, missing: bool) -> None:
    """A handle's row, led there by hand, gets its next place under the other one: what is open ends, and no login
    comes of it."""
    first, second = given(world, "once"), given(world, "session")
    order = world.order(notebook(), first)
    handles = world.storage.tables.handles
    other = world.order(notebook(), second).grant_id
    handles[ref_hash(first)] = replace(handles[ref_hash(first)], grant_id=other)
    if missing:
        world.connections.delete_secret(DeleteSecret(id=the(world).id, field="password"), actor="ada")
    assert not world.access.still_good(order)
    with pytest.raises(HandleInvalid):
        world.access.login(notebook(), order)


def test_a_database_that_can_not_be_read_ends_no_session_until_the_vault_is_locked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment without it is no reason; but whoever damages it must not outlast a lock by that."""
    ref = given(world)
    order = world.order(notebook(), ref)

    def unreadable(_ref_hash: bytes) -> Handle | None:
        raise StorageError

    monkeypatch.setattr(world.stores.handles, "get", unreadable)
    assert world.access.still_good(order)
    world.secrets.lock(actor="ada")
    assert not world.access.still_good(order)
