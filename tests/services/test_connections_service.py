"""Connections through their life: drafts, secrets, changes of destination and of providers."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.contracts.audit import AuditFilter
from connvault_jupyter.contracts.connections import (
    ConnectionRef,
    CreateConnection,
    DeleteConnection,
    DeleteSecret,
)
from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.errors import (
    AuthenticationOff,
    ConnectionNotFound,
    ConnvaultError,
    HandleInvalid,
    InvalidFields,
    NameTaken,
    ProviderNotFound,
    RevisionConflict,
    SecretMissing,
    SecretNotFound,
    StorageFull,
    VaultLocked,
    VaultNotSetUp,
)
from tests.support.services.connections import HTTP, set_secret, update
from tests.support.services.service_world import POSTGRES, World, notebook, unasked
from tests.support.services.stand_ins import UpdatedCatalogue, catalogue


@pytest.fixture
def world() -> World:
    return World()


def paths(refused: pytest.ExceptionInfo[InvalidFields]) -> list[str]:
    return [error["path"] for error in refused.value.details["errors"]]


def updated(world: World, **changed: ProviderDefinition | None) -> World:
    """The next start, with other providers."""
    nxt = World(storage=(world.storage, world.stores), unlocked=False, registry=UpdatedCatalogue(changed))
    nxt.keyring.items.update(world.keyring.items)
    nxt.secrets.open_at_start()
    return nxt


def without_destination(provider_id: str, field: str) -> ProviderDefinition:
    found = catalogue().get(provider_id)
    assert found is not None
    properties = {name: dict(schema) for name, schema in found.fields["properties"].items()}
    del properties[field]["x-destination"]
    return found.model_copy(update={"fields": {**found.fields, "properties": properties}})


@pytest.mark.parametrize(
    ("fields", "secrets", "status", "reason"),
    [
        (POSTGRES, {"password": "x"}, "ready", None),
        (POSTGRES, {}, "draft", "secret_missing"),
        ({}, {}, "draft", "fields_missing"),
        ({**POSTGRES, "host": ""}, {}, "draft", "fields_missing"),
        ({"port": 5432}, {"password": "x"}, "draft", "fields_missing"),
    ],
)
def test_a_new_connections_status_tells_what_is_missing(
    world: World, fields: dict[str, Any], secrets: dict[str, str], status: str, reason: str | None
) -> None:
    """A draft can be completed later."""
    found = world.connection(fields=fields, secrets=secrets)
    assert (found.status, found.status_reason, found.revision) == (status, reason, 1)
    assert world.view(found).connection == found


def test_a_new_connection_is_on_record_and_told_to_the_page(world: World) -> None:
    """The connection and each secret, with the person."""
    world.events.clear()
    connection = world.connection()
    assert [(row.type, row.field, row.decided_by) for row in world.record()[-2:]] == [
        ("connection:created", None, "ada"),
        ("secret:set", "password", "ada"),
    ]
    assert [(event.event, event.id) for event in world.events] == [("connections:changed", connection.id)]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"fields": {**POSTGRES, "port": 99_999}}, "fields.port"),
        ({"fields": {**POSTGRES, "colour": "red"}}, "fields.colour"),
        ({"fields": {**POSTGRES, "password": "x"}}, "fields.password"),
        ({"secrets": {"pin": {"value": "1234"}}}, "secrets.pin"),
        ({"secrets": {"host": {"value": "1234"}}}, "secrets.host"),
        ({"scope": "workspace"}, "workspace"),
        ({"workspace": ""}, "workspace"),
    ],
)
def test_a_field_that_does_not_fit_is_named_and_nothing_is_stored(
    world: World, changes: dict[str, Any], path: str
) -> None:
    """The form shows it beside the field."""
    given = {"provider_id": "postgresql", "name": "w", "fields": POSTGRES, **changes}
    with pytest.raises(InvalidFields) as refused:
        world.connections.create(CreateConnection.model_validate(given), actor="ada")
    assert path in paths(refused)
    assert not world.stores.connections.all()


def test_a_url_with_userinfo_is_refused(world: World) -> None:
    """A password in an address would be a secret in a field."""
    with pytest.raises(InvalidFields) as refused:
        world.connection(
            provider="http", fields={**HTTP, "base_url": "https://ada:pw@api.example.org"}, secrets={}
        )
    assert "fields.base_url" in paths(refused)


def test_when_the_provider_is_unknown_nothing_can_be_created(world: World) -> None:
    """Its package must be installed first."""
    with pytest.raises(ProviderNotFound):
        world.connection(provider="nothing", fields={}, secrets={})


def test_a_taken_name_is_refused(world: World) -> None:
    """Without regard to case, and nothing is stored."""
    world.connection()
    with pytest.raises(NameTaken):
        world.connection("WAREHOUSE")
    assert len(world.stores.connections.all()) == 1
    assert len(world.stores.secrets.all()) == 1


@pytest.mark.parametrize(("vault", "error"), [("absent", VaultNotSetUp), ("locked", VaultLocked)])
def test_without_keys_drafts_work_and_secrets_do_not(vault: str, error: type[ConnvaultError]) -> None:
    """With a secret, nothing of the connection is stored."""
    world = World(unlocked=vault == "locked")
    world.secrets.lock(actor="ada")
    draft = world.connection(secrets={})
    draft = update(world, draft, fields={**POSTGRES, "database": "x"}, name="other")
    with pytest.raises(error):
        world.connection("second")
    with pytest.raises(error):
        set_secret(world, draft, "x")
    with pytest.raises(error):
        update(world, draft, secrets={"password": {"value": "x"}}, name="third")
    assert [one.connection.name for one in world.stores.connections.all()] == ["other"]
    assert not world.stores.secrets.all()
    assert "secret:set" not in world.recorded()


def test_without_authentication_secrets_are_not_stored() -> None:
    """Drafts are."""
    first = World()
    world = World(storage=(first.storage, first.stores), authenticated=False, unlocked=False)
    world.keyring.items.update(first.keyring.items)
    world.secrets.open_at_start()
    draft = world.connection(secrets={})
    with pytest.raises(AuthenticationOff):
        set_secret(world, draft, "x")
    with pytest.raises(AuthenticationOff):
        world.connection("second")


def test_a_change_must_name_the_revision_that_was_seen(world: World) -> None:
    """Two tabs: the second is told."""
    connection = world.connection()
    changed = update(world, connection, display_name="Warehouse")
    assert (changed.revision, changed.display_name, changed.status) == (2, "Warehouse", "ready")
    with pytest.raises(RevisionConflict):
        update(world, connection, display_name="Other")
    with pytest.raises(RevisionConflict):
        world.connections.delete(DeleteConnection(id=connection.id, revision=1), actor="ada")


@pytest.mark.parametrize(
    "change",
    [{"host": "db2.example.org"}, {"port": 5433}, {"sslmode": "disable"}, {"sslmode": "verify-full"}],
    ids=str,
)
def test_when_the_destination_changes_the_secret_is_asked_for_again(
    world: World, change: dict[str, Any]
) -> None:
    """In the same transaction, and it stays a draft until then."""
    connection = world.connection()
    moved = update(world, connection, fields={**POSTGRES, **change})
    assert (moved.status, moved.status_reason) == ("draft", "destination_changed")
    assert not world.stores.secrets.all()
    assert "secret:removed" in world.recorded()
    moved = update(world, moved, display_name="x")
    assert moved.status_reason == "destination_changed"
    with pytest.raises(SecretMissing):
        world.request(notebook(), unasked)
    assert set_secret(world, moved, "new").status == "ready"


def test_a_connection_that_moves_with_its_new_secret_stays_ready(world: World) -> None:
    """One save in the form."""
    connection = world.connection()
    moved = update(
        world,
        connection,
        fields={**POSTGRES, "host": "db2.example.org"},
        secrets={"password": {"value": "for the new host"}},
    )
    assert moved.status == "ready"
    asked = world.request(notebook(), world.answer("once"))
    found = world.deliver(notebook(), asked.ref)
    assert found.secrets["password"].get_secret_value() == "for the new host"


def test_when_user_or_database_change_the_secret_stays(world: World) -> None:
    """They do not say where it is sent."""
    connection = world.connection()
    assert update(world, connection, fields={**POSTGRES, "user": "bob", "database": "x"}).status == "ready"
    # Also in its row, which whoever lists connections without the keys believes.
    (stored,) = world.stores.connections.all()
    assert (stored.connection.status, stored.connection.status_reason) == ("ready", None)


def test_a_secret_that_is_set_makes_the_row_of_its_connection_ready(world: World) -> None:
    """Whoever lists connections without the keys believes the row."""
    connection = world.connection(secrets={})
    set_secret(world, connection, "the missing one")
    (stored,) = world.stores.connections.all()
    assert (stored.connection.status, stored.connection.status_reason) == ("ready", None)


def test_of_a_deletion_that_fails_nothing_is_gone(world: World) -> None:
    """Neither the connection nor what was given for it."""
    connection = world.connection()
    asked = world.request(notebook(), world.answer("session"))
    world.storage.record_full = True
    with pytest.raises(StorageFull):
        world.connections.delete(DeleteConnection(id=connection.id, revision=1), actor="ada")
    world.storage.record_full = False
    assert world.view(connection).connection.status == "ready"
    world.deliver(notebook(), asked.ref)


def test_a_connection_that_is_not_there_can_not_be_tested(world: World) -> None:
    """It was deleted in another tab, say."""
    with pytest.raises(ConnectionNotFound):
        world.connections.test(ConnectionRef(id="c" * 22), actor="ada")


def test_of_a_change_that_fails_nothing_is_stored(world: World) -> None:
    """Secrets, grants and fields together."""
    connection = world.connection()
    world.connection("other", secrets={})
    world.request(notebook(), world.answer("always"))
    with pytest.raises(NameTaken):
        update(world, connection, name="other", fields={**POSTGRES, "host": "db2.example.org"})
    assert world.view(connection).connection == connection
    assert world.stores.secrets.all()
    assert world.grants()


def test_another_way_to_log_in_needs_another_secret(world: World) -> None:
    """Conditions of the schema decide what is missing."""
    connection = world.connection("api", provider="http", fields=HTTP, secrets={"token": "t"})
    assert connection.status == "ready"
    basic = update(world, connection, fields={**HTTP, "auth": "basic", "username": "ada"})
    assert (basic.status, basic.status_reason) == ("draft", "destination_changed")
    assert set_secret(world, basic, "p").status == "ready"
    nothing = update(world, basic, fields={**HTTP, "auth": "none"})
    assert nothing.status == "ready"
    assert not world.view(nothing).secrets


def test_a_connection_whose_secret_is_removed_is_a_draft(world: World) -> None:
    """Works locked; an unknown field is told."""
    connection = world.connection()
    world.secrets.lock(actor="ada")
    request = DeleteSecret(id=connection.id, field="password")
    assert world.connections.delete_secret(request, actor="ada").connection.status_reason == "secret_missing"
    with pytest.raises(SecretNotFound):
        world.connections.delete_secret(request, actor="ada")
    with pytest.raises(SecretNotFound):
        set_secret(world, connection, "x", field="pin")


def test_a_deleted_connections_secrets_grants_and_handles_go_with_it(world: World) -> None:
    """Secrets, grants and handles; the rows of the record stay."""
    connection = world.connection()
    asked = [world.request(notebook(path), world.answer("always")) for path in ("a.ipynb", "b.ipynb")]
    world.connections.delete(DeleteConnection(id=connection.id, revision=1), actor="ada")
    tables = world.storage.tables
    assert not any((tables.connections, tables.secrets, tables.grants, tables.handles))
    *_, first, second, last = world.record()
    assert [row.type for row in (first, second, last)] == [
        "grant:voided",
        "grant:voided",
        "connection:deleted",
    ]
    assert {row.requester_label for row in (first, second)} == {"a.ipynb", "b.ipynb"}
    for path, one in zip(("a.ipynb", "b.ipynb"), asked, strict=True):
        with pytest.raises(HandleInvalid) as refused:
            world.deliver(notebook(path), one.ref)
        assert refused.value.details == {"reason": "deleted"}
    with pytest.raises(ConnectionNotFound):
        world.view(connection)
    assert world.audit.list(AuditFilter(connection_id=connection.id)).events


def test_a_connection_without_its_provider_is_listed_and_can_be_renamed(world: World) -> None:
    """And is ready again when the package is back."""
    connection = world.connection()
    nxt = updated(world, ledger=None)
    found = nxt.view(connection)
    assert (found.connection.status, found.connection.status_reason) == ("invalid", "provider_missing")
    assert found.secrets
    assert nxt.connections.recheck() == 1
    renamed = update(nxt, found.connection, name="renamed")
    assert renamed.status_reason == "provider_missing"
    with pytest.raises(ProviderNotFound):
        update(nxt, renamed, fields={})
    back = updated(world)
    assert back.connections.recheck() == 1
    assert back.view(connection).connection.status == "ready"
    assert back.connections.recheck() == 0


def test_when_its_schema_has_changed_a_connection_is_marked(world: World) -> None:
    """Its fields do not fit any more; nothing is lost."""
    connection = world.connection()
    old = catalogue().get("ledger")
    assert old is not None
    properties = {**old.fields["properties"], "port": {"type": "integer", "maximum": 5000}}
    nxt = updated(world, ledger=old.model_copy(update={"fields": {**old.fields, "properties": properties}}))
    nxt.connections.recheck()
    found = nxt.view(connection)
    assert (found.connection.status, found.connection.status_reason) == ("invalid", "provider_changed")
    assert found.connection.fields == connection.fields


def test_when_the_destination_fields_shrank_the_secret_does_not_open(world: World) -> None:
    """A definition that binds less could send the secret elsewhere."""
    world.connection()
    world.request(notebook(), world.answer("always"))
    nxt = updated(world, ledger=without_destination("ledger", "host"))
    asked = nxt.request(notebook(), nxt.answer("once"))
    with pytest.raises(ConnvaultError) as refused:
        nxt.deliver(notebook(), asked.ref)
    assert refused.value.code == "secret_invalid"
