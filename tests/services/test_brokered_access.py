"""A brokered handle on the one path by which a secret leaves: where it listens, what its relay may log in with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.access import Requester
from connvault_jupyter.contracts.connections import ConnectionRef, UpdateConnection
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import (
    BrokerUnavailable,
    HandleInvalid,
    NotAllowed,
    RevealForbidden,
    SecretInvalid,
    StorageFull,
)
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.canary import CANARY, found_in
from tests.support.services.brokered import given, replace_password, the
from tests.support.services.brokered import world as world
from tests.support.services.service_world import POSTGRES, World, notebook, unasked
from tests.support.services.stand_ins import UpdatedCatalogue, catalogue

FOREIGN = [notebook(run=2), notebook("other.ipynb"), notebook().model_copy(update={"instance": "x"})]

IDS = ["another run", "another notebook", "another process"]


def test_where_there_is_a_relay_the_handle_is_brokered(world: World) -> None:
    """The question says so, and there is nothing to choose."""
    asked = world.request(notebook(), world.meanwhile(lambda: seen(world)))
    assert (asked.mode, asked.delivery) == ("brokered", "relay")
    assert [delivery.mode for delivery in asked.deliveries] == ["brokered"]


def seen(world: World) -> None:
    assert world.question().mode == "brokered"
    world.decide("session")


@pytest.mark.parametrize(
    ("sslmode", "delivery"), [("disable", "hand_over"), ("require", "relay"), ("prefer", "relay")]
)
def test_a_session_with_a_plain_upstream_is_handed_over(world: World, sslmode: str, delivery: str) -> None:
    """The state of an encrypted one can't leave its process: told to the requester and in its list."""
    world.connection("other", provider="postgresql", fields={**POSTGRES, "sslmode": sslmode})
    asked = world.request(notebook(), world.answer("once"), name="other")
    assert asked.delivery == delivery
    assert {one.name: one.delivery for one in world.connections.summaries(notebook()).connections}[
        "other"
    ] == delivery
    assert world.open(notebook(), asked.ref).hand_over is (delivery == "hand_over")


def test_the_relays_are_warmed_while_a_person_is_asked(world: World) -> None:
    """They take a tenth of a second, a person much longer. A standing permission needs no warning."""
    world.request(notebook(), world.answer("session"))
    assert world.relays.warmed == 1
    world.connection("clear", provider=IN_CLEAR)
    world.request(notebook(), world.answer("session"), name="clear")
    assert world.relays.warmed == 1


def test_opening_gives_a_place_and_no_secret(world: World) -> None:
    """Nothing is unsealed, the connection's plain fields are there, and the order has its requester."""
    ref = given(world)
    world.secrets.sealed.unseal = lambda *_: pytest.fail("unsealed")  # type: ignore[method-assign]
    found = world.open(notebook(), ref)
    assert (found.protocol, found.directory, found.socket, found.port) == (
        "postgresql",
        "/run/h",
        "/run/h/s",
        None,
    )
    assert found.fields.items() >= POSTGRES.items()
    assert found.variables["PGUSER"] == "{user}"
    assert found_in(found.model_dump_json()) == []
    (order,) = world.relays.orders
    assert (order.ref, order.requester, order.connection_id, order.tcp) == (
        ref,
        notebook(),
        the(world).id,
        False,
    )
    assert found_in(repr(order)) == []
    assert ref not in repr(order)
    row = world.record()[-1]
    assert (row.type, row.mode) == ("access:checked", "brokered")


def test_a_port_is_opened_only_when_asked_for(world: World) -> None:
    """With the variables that lead to it."""
    ref = given(world)
    assert world.open(notebook(), ref, tcp=True).port == 50_000
    assert world.open(notebook(), ref, tcp=True).variables["PGHOST"] == "127.0.0.1"
    assert world.open(notebook(), ref).variables["PGHOST"] == "{directory}"


def test_the_relays_are_called_without_the_lock(world: World) -> None:
    """A fork takes long when the machine is busy; others must not wait for it."""
    ref = given(world)
    free: list[bool] = []

    def during() -> None:
        def take() -> None:
            free.append(world.lock.acquire(timeout=5))
            world.lock.release()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    world.relays.during = during
    world.open(notebook(), ref)
    assert free == [True]


def test_opening_without_a_relay_says_that_there_is_none(world: World) -> None:
    """And the handle is good for another attempt."""
    ref = given(world)
    world.relays.broken = True
    with pytest.raises(BrokerUnavailable):
        world.open(notebook(), ref)
    world.relays.broken = False
    world.open(notebook(), ref)


def test_a_login_is_recorded_before_the_secret_is_unsealed(world: World) -> None:
    """No row, no release; the row says brokered and by which grant."""
    ref = given(world)
    unseal = world.secrets.sealed.unseal
    before: list[str] = []

    def watched(*arguments: Any) -> str:
        assert not world.storage.open
        before.append(world.recorded()[-1])
        return unseal(*arguments)

    world.secrets.sealed.unseal = watched  # type: ignore[assignment, method-assign]
    found = world.login(notebook(), ref)
    assert found.secrets["password"].get_secret_value() == CANARY
    assert before == ["access:used"]
    row = world.record()[-1]
    assert (row.type, row.mode, row.connection, row.requester_instance, row.grant_id) == (
        "access:used",
        "brokered",
        "warehouse",
        notebook().instance,
        world.grants()[0].id,
    )
    view = world.view(the(world))
    assert view.last_used_at == world.clock.now
    assert world.connections.uses(ConnectionRef(id=view.connection.id)).days[-1].uses == 1


def test_on_a_full_disk_no_login_leaves(world: World) -> None:
    """Neither a place nor a login; what is open may stay."""
    ref = given(world)
    world.storage.full = True
    for use in (world.open, world.login):
        with pytest.raises(StorageFull):
            use(notebook(), ref)
    assert not world.relays.orders
    assert world.still_good(notebook(), ref)


def test_the_recipe_completes_the_fields_and_changes_none(world: World) -> None:
    """Constants of the definition: how to log in, never where."""
    provider = catalogue().get("postgresql")
    assert provider is not None
    (relay,) = provider.deliveries
    changed = provider.model_copy(
        update={"deliveries": [relay.model_copy(update={"recipe": {"style": "plain"}})]}
    )
    other = World(
        storage=(world.storage, world.stores),
        registry=UpdatedCatalogue({"postgresql": changed}),
        unlocked=False,
    )
    other.keyring.items.update(world.keyring.items)
    other.secrets.open_at_start()
    ref = given(other)
    # With the definition's own defaults, as ever.
    defaults = {"any_database": False, "keep_sessions": True}
    assert other.login(notebook(), ref).fields == {**POSTGRES, **defaults, "style": "plain"}
    assert other.open(notebook(), ref).fields == {**POSTGRES, **defaults, "style": "plain"}
    assert other.relays.orders[0].fields["style"] == "plain"


@pytest.mark.parametrize("other", FOREIGN, ids=IDS)
def test_another_run_gets_neither_a_place_nor_a_login(world: World, other: Requester) -> None:
    """A ref is no bearer token, and what it has open is not theirs; on record once."""
    ref = given(world, "always")
    for use in (world.open, world.login):
        with pytest.raises(HandleInvalid) as refused:
            use(other, ref)
        assert refused.value.details == {"reason": "foreign"}
    assert not world.still_good(other, ref)
    assert not world.relays.orders
    assert world.recorded().count("access:refused") == 1
    world.login(notebook(), ref)


def test_neither_mode_serves_the_others_handles(world: World) -> None:
    """Brokered is never delivered in the clear; in the clear has no relay; plain text has neither. Nothing is used."""
    world.connection("clear", provider=IN_CLEAR)
    world.connection("token", provider="secret", fields={}, secrets={"value": CANARY})
    brokered = given(world)
    clear = world.request(notebook(), world.answer("session"), name="clear").ref
    token = world.request(notebook(), unasked, name="token").ref
    attempts: list[tuple[Callable[[Requester, str], object], str]] = [
        (world.deliver, brokered),
        (world.open, clear),
        (world.login, clear),
        (world.deliver, token),
        (world.open, token),
        (world.login, token),
    ]
    for use, ref in attempts:
        with pytest.raises(NotAllowed):
            use(notebook(), ref)
    assert not world.still_good(notebook(), clear)
    assert not world.still_good(notebook(), token)
    assert not {"access:used", "access:checked"} & set(world.recorded())


def test_a_replaced_secret_is_in_the_next_login(world: World) -> None:
    """And the session before it goes on."""
    ref = given(world)
    before = world.login(notebook(), ref)
    replace_password(world, "rotated")
    after = world.login(notebook(), ref)
    assert after.secrets["password"].get_secret_value() == "rotated"
    assert before.rotation != after.rotation
    assert world.still_good(notebook(), ref)


def test_a_brokered_handle_works_again_after_lock_and_unlock(world: World) -> None:
    """The same handle; what was open is gone by then."""
    ref = given(world)
    world.secrets.lock(actor="ada")
    assert not world.still_good(notebook(), ref)
    world.secrets.unlock(UnlockVault(), actor="ada")
    assert world.still_good(notebook(), ref)
    world.login(notebook(), ref)


def test_a_secret_that_does_not_open_is_not_given(world: World) -> None:
    """The connection is marked, and its sessions end: whoever damaged it may have more in mind."""
    ref = given(world)
    for key, secret in [*world.storage.tables.secrets.items()]:
        spoiled = secret.envelope[:-1] + bytes([secret.envelope[-1] ^ 1])
        world.storage.tables.secrets[key] = replace(secret, envelope=spoiled)
    with pytest.raises(SecretInvalid):
        world.login(notebook(), ref)
    assert not world.still_good(notebook(), ref)


def test_asking_whether_a_client_may_stay_open_leaves_no_trace(world: World) -> None:
    """It is asked five times a second."""
    ref = given(world)
    rows, last_used = len(world.record()), world.view(the(world)).last_used_at
    for _ in range(5):
        world.clock.forward(1)
        assert world.still_good(notebook(), ref)
        assert not world.still_good(notebook(run=2), ref)
    assert len(world.record()) == rows
    assert world.view(the(world)).last_used_at == last_used


def test_a_new_brokered_connection_is_not_revealed(world: World) -> None:
    """Unless the person lets it be when it is made; nobody is asked, and the refusal says where to allow it."""
    ref = given(world)
    with pytest.raises(RevealForbidden, match="Connections panel"):
        world.reveal(notebook(), ref, unasked)
    assert not the(world).reveal_allowed
    assert world.connection("open", provider="postgresql", reveal_allowed=True).reveal_allowed


def test_the_reveal_of_a_brokered_connection_is_asked_about_each_time(world: World) -> None:
    """The permission to use it is none to read it."""
    changed = UpdateConnection(id=the(world).id, revision=1, reveal_allowed=True)
    world.connections.update(changed, actor="ada")
    ref = given(world, "always")
    found = world.reveal(notebook(), ref, world.answer("once"))
    assert found.secrets["password"].get_secret_value() == CANARY
    assert [row.mode for row in world.record() if row.type == "access:revealed"] == ["reveal"]
