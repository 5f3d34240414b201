"""The one path by which a secret leaves, step by step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from connvault_jupyter.contracts.access import HandleUse, Requester
from connvault_jupyter.contracts.connections import (
    ConnectionRef,
    DeleteSecret,
    SetSecret,
)
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import (
    ConnectionNotFound,
    ConnectionNotReady,
    HandleInvalid,
    SecretInvalid,
    SecretMissing,
    StorageFull,
    VaultLocked,
    VaultNotSetUp,
)
from tests.support.canary import CANARY
from tests.support.services.service_world import POSTGRES, World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


def damage(world: World) -> None:
    for key, secret in [*world.storage.tables.secrets.items()]:
        spoiled = secret.envelope[:-1] + bytes([secret.envelope[-1] ^ 1])
        world.storage.tables.secrets[key] = replace(secret, envelope=spoiled)


def set_password(world: World, value: str) -> None:
    connection = world.connections.list().connections[0].connection
    world.connections.set_secret(
        SetSecret.model_validate({"id": connection.id, "field": "password", "value": value}), actor="ada"
    )


def test_when_granted_the_login_is_delivered(world: World) -> None:
    """Fields with their defaults, and the secret."""
    asked = world.request(notebook(), world.answer("once"))
    found = world.deliver(notebook(), asked.ref)
    assert found.secrets["password"].get_secret_value() == CANARY
    assert found.fields.items() >= POSTGRES.items()
    assert found.revision == 1


def test_the_row_is_committed_before_the_secret_is_unsealed(world: World) -> None:
    """No row, no release."""
    asked = world.request(notebook(), world.answer("once"))
    unseal = world.secrets.sealed.unseal
    seen = []

    def watched(*arguments: object) -> str:
        assert not world.storage.open
        seen.append(world.recorded()[-1])
        return unseal(*arguments)  # type: ignore[arg-type]

    world.secrets.sealed.unseal = watched  # type: ignore[assignment]
    world.deliver(notebook(), asked.ref)
    assert seen == ["access:used"]


def test_when_the_disk_is_full_nothing_is_delivered(world: World) -> None:
    """Use and check are refused with the right error."""
    asked = world.request(notebook(), world.answer("session"))
    world.storage.full = True
    for use in (world.deliver, world.check):
        with pytest.raises(StorageFull):
            use(notebook(), asked.ref)
    with pytest.raises(StorageFull):
        world.request(notebook(), unasked)


def test_only_the_first_use_is_synced(world: World) -> None:
    """The syncs of repeated uses are grouped."""
    asked = world.request(notebook(), world.answer("session"))
    before = world.storage.durable_commits
    for _ in range(5):
        world.deliver(notebook(), asked.ref)
        world.check(notebook(), asked.ref)
    assert world.storage.durable_commits == before + 1


def test_each_use_is_on_record_with_its_grant(world: World) -> None:
    """Deliveries and checks apart."""
    asked = world.request(notebook(), world.answer("session"))
    world.deliver(notebook(), asked.ref)
    world.check(notebook(), asked.ref)
    used, checked = world.record()[-2:]
    assert (used.type, checked.type) == ("access:used", "access:checked")
    for row in (used, checked):
        assert (row.connection, row.requester_key, row.requester_instance, row.mode) == (
            "warehouse",
            notebook().key,
            notebook().instance,
            "in_clear",
        )
        assert (row.grant_id, row.decision) == (world.grants()[0].id, "session")
    view = world.connections.list().connections[0]
    assert view.last_used_at == world.clock.now
    assert world.connections.uses(ConnectionRef(id=view.connection.id)).days[-1].uses == 2


def test_the_view_of_a_connection_has_its_last_use_at_once(world: World) -> None:
    """Before the count is stored, which is once a second."""
    connection = world.connection("other")
    asked = world.request(notebook(), world.answer("session"), "other")
    world.consent.tick()
    world.clock.forward(0.5)
    world.deliver(notebook(), asked.ref)
    world.consent.tick()
    assert world.view(connection).last_used_at == world.clock.now


def test_a_last_use_that_is_stored_is_not_stored_again_with_another(world: World) -> None:
    """Another server on the vault may have used the connection since."""
    connection = world.connection("other")
    refs = [world.request(notebook(), world.answer("session"), name).ref for name in ("other", "warehouse")]
    world.deliver(notebook(), refs[0])
    world.consent.tick()
    world.clock.forward(60)
    with world.lock:
        world.stores.connections.touch(connection.id, world.clock.now)
    world.deliver(notebook(), refs[1])
    world.consent.tick()
    assert world.view(connection).last_used_at == world.clock.now


def test_the_ref_itself_is_not_stored(world: World) -> None:
    """Who reads the database gets no handle."""
    asked = world.request(notebook(), world.answer("session"))
    assert asked.ref not in repr(world.storage.tables)
    assert hashlib.sha256(asked.ref.encode()).digest() in world.storage.tables.handles


@pytest.mark.parametrize(
    "other",
    [notebook(run=2), notebook("other.ipynb"), notebook().model_copy(update={"instance": "x"})],
    ids=["another run", "another notebook", "another process"],
)
def test_a_ref_that_another_run_uses_is_refused_and_recorded(world: World, other: Requester) -> None:
    """A handle ref is no bearer token."""
    asked = world.request(notebook(), world.answer("always"))
    uses: list[Callable[[], object]] = [
        lambda: world.deliver(other, asked.ref),
        lambda: world.check(other, asked.ref),
        lambda: world.reveal(other, asked.ref, unasked),
        lambda: world.access.release(other, HandleUse(ref=asked.ref)),
    ]
    for use in uses:
        with pytest.raises(HandleInvalid) as refused:
            use()
        assert refused.value.details == {"reason": "foreign"}
    assert world.recorded().count("access:refused") == 1
    world.deliver(notebook(), asked.ref)


def test_an_unknown_ref_is_refused(world: World) -> None:
    """Guessed refs are not on record: they are none."""
    with pytest.raises(HandleInvalid) as refused:
        world.deliver(notebook(), "A" * 43)
    assert refused.value.details == {"reason": "unknown"}


def test_when_locked_a_handle_waits_for_the_unlock(world: World) -> None:
    """The same handle works again."""
    asked = world.request(notebook(), world.answer("session"))
    world.secrets.lock(actor="ada")
    for use in (world.deliver, world.check):
        with pytest.raises(VaultLocked):
            use(notebook(), asked.ref)
    with pytest.raises(VaultLocked):
        world.request(notebook(), unasked)
    world.secrets.unlock(UnlockVault(), actor="ada")
    world.deliver(notebook(), asked.ref)


def test_without_a_vault_a_use_is_refused_as_not_set_up() -> None:
    """A draft asks for its secret first."""
    world = World(unlocked=False)
    world.connection(secrets={})
    with pytest.raises(SecretMissing):
        world.request(notebook(), unasked)
    world.connection(
        "open", provider="http", fields={"base_url": "https://x.example", "auth": "none"}, secrets={}
    )
    with pytest.raises(VaultNotSetUp):
        world.request(notebook(), unasked, name="open")


def test_for_an_unknown_name_a_similar_one_is_suggested(world: World) -> None:
    """A name, and nothing else of the connection."""
    with pytest.raises(ConnectionNotFound) as refused:
        world.request(notebook(), unasked, name="warehuose")
    assert refused.value.details == {"suggestion": "warehouse"}
    with pytest.raises(ConnectionNotFound) as refused:
        world.request(notebook(), unasked, name="Warehouse")
    assert refused.value.details == {"suggestion": "warehouse"}
    with pytest.raises(ConnectionNotFound) as refused:
        world.request(notebook(), unasked, name="zzz")
    assert refused.value.details == {}


def test_a_use_after_the_secret_was_removed_says_that_it_is_missing(world: World) -> None:
    """For new requests and for handles that are out."""
    asked = world.request(notebook(), world.answer("session"))
    connection = world.connections.list().connections[0].connection
    world.connections.delete_secret(DeleteSecret(id=connection.id, field="password"), actor="ada")
    with pytest.raises(SecretMissing):
        world.deliver(notebook(), asked.ref)
    with pytest.raises(SecretMissing):
        world.request(notebook(), unasked)


def test_a_connection_with_missing_fields_is_not_ready(world: World) -> None:
    """The person completes it in the panel."""
    world.connection("empty", fields={}, secrets={})
    with pytest.raises(ConnectionNotReady):
        world.request(notebook(), unasked, name="empty")


def test_when_an_envelope_does_not_open_the_connection_asks_for_a_new_secret(world: World) -> None:
    """It is marked and on record, and never deleted."""
    asked = world.request(notebook(), world.answer("session"))
    damage(world)
    with pytest.raises(SecretInvalid):
        world.deliver(notebook(), asked.ref)
    found = world.connections.list().connections[0]
    assert (found.connection.status, found.connection.status_reason) == ("invalid", "secret_unreadable")
    assert found.connection.revision == 1
    assert found.secrets
    row = world.record()[-1]
    assert (row.type, row.field, row.outcome) == ("secret:unreadable", "password", "failed")
    with pytest.raises(SecretInvalid):
        world.request(notebook(), unasked)
    set_password(world, "new one")
    assert world.connections.list().connections[0].connection.status == "ready"
    assert world.deliver(notebook(), asked.ref).secrets["password"].get_secret_value() == "new one"


def test_when_the_secret_is_replaced_the_rotation_changes(world: World) -> None:
    """A client logs in anew; the grant goes on."""
    asked = world.request(notebook(), world.answer("session"))
    before = world.check(notebook(), asked.ref)
    set_password(world, CANARY)
    after = world.check(notebook(), asked.ref)
    assert before.rotation != after.rotation
    assert world.deliver(notebook(), asked.ref).rotation == after.rotation
    assert before.revision == after.revision


def test_a_secret_in_a_claim_is_masked_everywhere(world: World) -> None:
    """Shown, stored and told without it."""

    def look() -> None:
        assert world.question().reasons == ["debug [secret] now"]
        assert world.question().agent == "[secret]"
        world.decide("once")

    world.request(notebook(), world.meanwhile(look), reason=f"debug {CANARY}\u202e now", agent=CANARY[:60])
    assert CANARY not in repr(world.storage.tables)
