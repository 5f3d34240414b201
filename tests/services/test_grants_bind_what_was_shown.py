"""A grant is for what its dialog showed: a change of any of it, by whomever, ends the grant."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from connvault_jupyter.contracts.access import AccessResponse, GrantFilter, GrantView
from connvault_jupyter.contracts.connections import Connection, UpdateConnection
from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.errors import AccessDenied, HandleInvalid
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.canary import CANARY
from tests.support.services.service_world import POSTGRES, World, notebook, unasked
from tests.support.services.stand_ins import UpdatedCatalogue, catalogue

OAUTH2 = {
    "base_url": "https://api.test/v1",
    "auth": "oauth2",
    "token_url": "https://login.test/token",
    "client_id": "reports",
}
S3 = {"base_url": "https://s3.test", "region": "eu-central-1", "access_key_id": "AKIA"}

# Kind, its fields and secrets, and an edit that leads the same secret to something else at the same place.
EDITS: dict[str, tuple[str, dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "another database": (IN_CLEAR, POSTGRES, {"password": CANARY}, {"fields": {"database": "payroll"}}),
    "another user": (IN_CLEAR, POSTGRES, {"password": CANARY}, {"fields": {"user": "root"}}),
    "another database, brokered": (
        "postgresql",
        POSTGRES,
        {"password": CANARY},
        {"fields": {"database": "payroll"}},
    ),
    "another host": (IN_CLEAR, POSTGRES, {"password": CANARY}, {"fields": {"host": "evil.test"}}),
    "another scope": ("http", OAUTH2, {"client_secret": CANARY}, {"fields": {"scope": "admin"}}),
    "another audience": ("http", OAUTH2, {"client_secret": CANARY}, {"fields": {"audience": "pay"}}),
    "another client": ("http", OAUTH2, {"client_secret": CANARY}, {"fields": {"client_id": "x"}}),
    "another region": ("s3", S3, {"secret_access_key": CANARY}, {"fields": {"region": "us-east-1"}}),
    "another name": (IN_CLEAR, POSTGRES, {"password": CANARY}, {"name": "warehouse2"}),
    "another display name": (IN_CLEAR, POSTGRES, {"password": CANARY}, {"display_name": "Harmless"}),
}


def given(case: str) -> tuple[World, Connection, AccessResponse, dict[str, Any]]:
    """A world with an `always`, and the edit of the connection that it is for."""
    provider, fields, secrets, edit = EDITS[case]
    world = World()
    known = catalogue().get(provider)
    assert known is not None
    declared = known.field_schemas.keys()
    assert fields.keys() <= declared
    assert edit.get("fields", {}).keys() <= declared
    connection = world.connection(provider=provider, fields=fields, secrets=secrets)
    assert connection.status == "ready"
    asked = world.request(notebook(), world.answer("always"))
    changes = dict(edit)
    if "fields" in changes:
        changes["fields"] = {**connection.fields, **changes["fields"]}
    return world, connection, asked, changes


def use(world: World, asked: AccessResponse) -> None:
    """Whatever is judged at each use, in the clear or brokered."""
    world.check(notebook(), asked.ref)


def view(world: World) -> GrantView:
    (found,) = world.consent.grants(GrantFilter()).grants
    return found


def put(world: World, connection: Connection) -> None:
    """Another document, and the broker's own: as if an old one of it had been put back, or a change had voided nothing.
    (One that is not its own is not asked about; test_documents.py.)"""
    with world.lock:
        world.connections._documents.update(connection, expected_revision=connection.revision)


def test_the_digest_of_a_destination_follows_from_its_description() -> None:
    """It is stored with grants and secrets: another form of it would end them all."""
    world = World()
    world.connection()
    world.request(notebook(), world.answer("session"))
    (grant,) = world.grants()
    described = {
        "names": ["ca_certificate", "host", "port", "sslmode"],
        "provider": IN_CLEAR,
        "values": [None, "db.example.org", 5432, "require"],
    }
    text = json.dumps(described, separators=(",", ":")).encode()
    assert grant.destination_digest == hashlib.sha256(b"connvault-destination-1\0" + text).hexdigest()


@pytest.mark.parametrize("case", EDITS)
def test_when_the_document_is_another_one_the_grant_does_not_count(case: str) -> None:
    """Whatever its MAC and revision say. A person is asked, and the list says why."""
    world, connection, asked, changes = given(case)
    use(world, asked)
    put(world, connection.model_copy(update=changes))
    with pytest.raises(HandleInvalid) as refused:
        use(world, asked)
    assert refused.value.details["reason"] == "changed"
    assert not world.still_good(notebook(), asked.ref)
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"), name=changes.get("name", "warehouse"))
    found = view(world)
    assert not found.counts
    assert found.reason_not == ("destination_changed" if case == "another host" else "changed")


@pytest.mark.parametrize("case", EDITS)
def test_a_grant_is_void_when_a_person_changes_what_its_dialog_showed(case: str) -> None:
    """In the panel, with a row for the grant; a no stays."""
    world, connection, asked, changes = given(case)
    with pytest.raises(AccessDenied):
        world.request(notebook("never.ipynb"), world.answer("deny_always"))
    world.events.clear()
    world.connections.update(
        UpdateConnection.model_validate({"id": connection.id, "revision": 1, **changes}), actor="ada"
    )
    with pytest.raises(HandleInvalid):
        use(world, asked)
    assert [grant.decision for grant in world.grants()] == ["deny_always"]
    assert world.recorded().count("grant:voided") == 1
    assert "grants:changed" in [event.event for event in world.events]
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook("never.ipynb"), unasked, name=changes.get("name", "warehouse"))
    assert refused.value.details["reason"] == "never"


@pytest.mark.parametrize(
    "changes",
    [{}, {"fields": dict(POSTGRES)}, {"reveal_allowed": False}, {"secrets": {"password": {"value": "new"}}}],
    ids=["nothing", "the same fields", "whether it may be revealed", "the secret"],
)
def test_when_nothing_that_was_shown_changes_the_grant_stays(changes: dict[str, Any]) -> None:
    """A rotated password is no reason to ask everybody again."""
    world = World()
    connection = world.connection()
    asked = world.request(notebook(), world.answer("always"))
    world.connections.update(
        UpdateConnection.model_validate({"id": connection.id, "revision": 1, **changes}), actor="ada"
    )
    use(world, asked)
    assert view(world).counts


def definition_changes(known: ProviderDefinition) -> dict[str, ProviderDefinition]:
    (delivery,) = known.deliveries
    recipe = delivery.model_copy(update={"recipe": {**delivery.recipe, "application_name": "x"}})
    variables = delivery.model_copy(update={"variables": {"PGHOST": "elsewhere"}})
    return {
        "name": known.model_copy(update={"name": "Something else"}),
        "line": known.model_copy(update={"destination": "{host}"}),
        "recipe": known.model_copy(update={"deliveries": [recipe]}),
        "variables": known.model_copy(update={"deliveries": [variables]}),
    }


@pytest.mark.parametrize("change", ["name", "line", "recipe", "variables"])
def test_when_the_kind_of_connection_changes_the_grant_does_not_count(change: str) -> None:
    """An edited definition may show something else, or log in in another way, at the same place."""
    before = World()
    before.connection(provider="postgresql")
    asked = before.request(notebook(), before.answer("always"))
    known = catalogue().get("postgresql")
    assert known is not None
    after = World(
        storage=(before.storage, before.stores),
        registry=UpdatedCatalogue({"postgresql": definition_changes(known)[change]}),
        unlocked=False,
    )
    after.keyring.items.update(before.keyring.items)
    after.secrets.open_at_start()
    with pytest.raises(HandleInvalid) as refused:
        use(after, asked)
    assert refused.value.details["reason"] == "changed"
    assert view(after).reason_not == "changed"


def test_when_the_document_changes_while_a_person_looks_the_question_is_another_one() -> None:
    """The digest of the question covers all fields, whether or not they are in the line."""
    world = World()
    connection = world.connection("api", provider="http", fields=OAUTH2, secrets={"client_secret": CANARY})
    caller = world.start(notebook(), "api")
    before = world.question().digest
    put(world, connection.model_copy(update={"fields": {**connection.fields, "scope": "admin"}}))
    assert world.question().digest != before
    assert caller.waits
