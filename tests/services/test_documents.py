"""Connections whose rows were edited, stripped, put back or planted: no power until a person takes them for right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.access import AccessResponse
from connvault_jupyter.contracts.connections import (
    Connection,
    ConnectionRef,
    ConnectionView,
    DeleteConnection,
    DeleteSecret,
    SetSecret,
    UpdateConnection,
)
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import (
    ConnectionNotReady,
    ConsentInterrupted,
    HandleInvalid,
    RevisionConflict,
    SecretMissing,
)
from tests.support.canary import CANARY
from tests.support.services.service_world import NOON, POSTGRES, World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


@pytest.fixture
def asked(world: World) -> AccessResponse:
    """An `always` of a notebook."""
    return world.request(notebook(), world.answer("always"))


def the(world: World, name: str = "warehouse") -> Connection:
    (found,) = [
        one.connection for one in world.storage.tables.connections.values() if one.connection.name == name
    ]
    return found


def edit(world: World, of: str = "warehouse", *, strip: bool = False, **changes: Any) -> None:
    """What somebody with an SQLite shell would do; `strip`: takes the MAC away too."""
    stored = world.storage.tables.connections[the(world, of).id]
    world.storage.tables.connections[stored.connection.id] = replace(
        stored,
        connection=stored.connection.model_copy(update=changes),
        mac=None if strip else stored.mac,
    )


def fields(**changes: Any) -> dict[str, Any]:
    return {"fields": {**POSTGRES, **changes}}


def view(world: World, name: str = "warehouse") -> ConnectionView:
    return world.connections.get(ConnectionRef(id=the(world, name).id))


def state(world: World, name: str = "warehouse") -> tuple[str, str | None]:
    found = view(world, name).connection
    return found.status, found.status_reason


def save(world: World, *, secret: str | None = None, **changes: Any) -> ConnectionView:
    """The person saves what the form shows."""
    shown = view(world).connection
    secrets = {} if secret is None else {"password": {"value": secret}}
    given = {"id": shown.id, "revision": shown.revision, "fields": shown.fields, "secrets": secrets}
    return world.connections.update(UpdateConnection.model_validate(given | changes), actor="ada")


def no_power(world: World, asked: AccessResponse) -> None:
    """Nothing leaves by the old handle or a new one, for a login, a test or as plain text, and nobody is asked."""
    for use in (
        lambda: world.deliver(notebook(), asked.ref),
        lambda: world.check(notebook(), asked.ref),
        lambda: world.reveal(notebook(), asked.ref, unasked),
        lambda: world.request(notebook(), unasked),
        lambda: world.request(notebook(run=2), unasked),
        lambda: world.connections.test(ConnectionRef(id=the(world).id), actor="ada"),
    ):
        with pytest.raises(ConnectionNotReady):
            use()
    assert not world.still_good(notebook(), asked.ref)
    assert not world.probe.seen


EDITS: dict[str, dict[str, Any]] = {
    "host": fields(host="evil.example.org"),
    "database": fields(database="salaries"),
    "user": fields(user="root"),
    "verification": fields(sslmode="disable"),
    "a type": fields(port="5432"),
    "a field more": fields(options="-c log_statement=all"),
    "a field less": {"fields": {name: value for name, value in POSTGRES.items() if name != "sslmode"}},
    "provider": {"provider_id": "postgresql"},
    "scope": {"scope": "workspace"},
    "display name": {"display_name": "Something harmless"},
    "reveal": {"reveal_allowed": False},
    "revision": {"revision": 7},
    "created": {"created_at": NOON.replace(year=2020)},
    "updated": {"updated_at": NOON.replace(year=2020)},
}


@pytest.mark.parametrize("strip", [False, True], ids=["wrong MAC", "no MAC"])
@pytest.mark.parametrize("name", EDITS)
def test_an_edited_document_has_no_power_and_is_on_record_once(
    world: World, asked: AccessResponse, name: str, strip: bool
) -> None:
    """Whatever was edited: a question was answered for what is not there any more."""
    edit(world, strip=strip, **EDITS[name])
    no_power(world, asked)
    assert state(world) == (("draft", "unconfirmed") if strip else ("invalid", "edited"))
    world.consent.tick()
    world.consent.tick()
    no_power(world, asked)
    world.consent.tick()
    (row,) = [row for row in world.record() if row.type == "connection:edited"]
    assert (row.connection, row.outcome) == ("warehouse", "failed")
    assert row.code == ("connection_unconfirmed" if strip else "connection_edited")


def test_an_edit_that_nobody_meets_is_on_record_too(world: World) -> None:
    """The timer looks at all documents when anything was changed."""
    edit(world, **fields(user="root"))
    world.events.clear()
    world.clock.forward(10)
    world.consent.tick()
    assert world.recorded()[-1] == "connection:edited"
    assert "connections:changed" in [event.event for event in world.events]


def test_another_edit_is_another_row(world: World) -> None:
    """Once for each content."""
    for user in ("root", "root", "postgres"):
        edit(world, **fields(user=user))
        view(world)
        world.consent.tick()
    assert world.recorded().count("connection:edited") == 2


def test_an_edited_status_has_no_effect(world: World, asked: AccessResponse) -> None:
    """It follows from the rest: neither does it make ready what is not, nor the other way round."""
    edit(world, status="draft", status_reason="secret_missing")
    assert state(world) == ("ready", None)
    world.deliver(notebook(), asked.ref)
    world.connections.delete_secret(DeleteSecret(id=the(world).id, field="password"), actor="ada")
    edit(world, status="ready", status_reason=None)
    assert state(world) == ("draft", "secret_missing")
    with pytest.raises(SecretMissing):
        world.request(notebook(), unasked)
    for reason in ("edited", "unconfirmed"):
        edit(world, status="draft", status_reason=reason)
        assert state(world) == ("draft", "secret_missing")


def test_reveal_is_not_switched_on_by_an_edit() -> None:
    """Neither at once nor when a person saves something else: it has to be saved as it is shown."""
    world = World()
    connection = world.connection()
    save(world, reveal_allowed=False)
    asked = world.request(notebook(), world.answer("always"))
    edit(world, reveal_allowed=True)
    with pytest.raises(ConnectionNotReady):
        world.reveal(notebook(), asked.ref, unasked)
    assert world.view(connection).connection.reveal_allowed is True, "it is shown as it is in the row"
    saved = save(world, reveal_allowed=False, secret=CANARY)
    assert (saved.connection.status, saved.connection.reveal_allowed) == ("ready", False)


def test_when_the_row_is_put_right_again_all_is_as_before(world: World, asked: AccessResponse) -> None:
    """Nothing was taken away because of an edit."""
    edit(world, **fields(user="root"))
    no_power(world, asked)
    edit(world, **fields())
    assert world.deliver(notebook(), asked.ref).secrets["password"].get_secret_value() == CANARY


@pytest.mark.parametrize("strip", [False, True], ids=["wrong MAC", "no MAC"])
def test_when_a_person_saves_it_the_secret_is_asked_for_anew(
    world: World, asked: AccessResponse, strip: bool
) -> None:
    """The secret is bound to where it goes, not to as whom: a skimmed form must not hand it over."""
    edit(world, strip=strip, **fields(user="root"))
    saved = save(world)
    assert (saved.connection.status, saved.connection.status_reason) == ("draft", "secret_missing")
    assert not saved.secrets
    assert not world.grants()
    with pytest.raises(HandleInvalid):
        world.deliver(notebook(), asked.ref)
    world.connections.set_secret(
        SetSecret.model_validate({"id": saved.connection.id, "field": "password", "value": "new"}),
        actor="ada",
    )
    assert state(world) == ("ready", None)
    confirmed = [row for row in world.record() if row.type == "connection:confirmed"]
    assert [(row.code, row.decided_by) for row in confirmed] == [
        ("unconfirmed" if strip else "edited", "ada")
    ]


def test_when_a_person_saves_it_with_its_secret_it_is_ready(world: World) -> None:
    """Both in one act of the form."""
    edit(world, **fields(user="root"))
    assert save(world, secret="another").connection.status == "ready"
    again = world.request(notebook(), world.answer("once"))
    assert world.deliver(notebook(), again.ref).fields["user"] == "root"


def test_what_was_not_shown_is_not_confirmed(world: World) -> None:
    """Edited between the look and the save: with the same revision, so that only the content tells."""
    edit(world, strip=True, **fields(user="root"))
    shown = view(world).connection
    edit(world, strip=True, **fields(user="root", host="evil.example.org"))
    with pytest.raises(RevisionConflict):
        world.connections.set_secret(
            SetSecret.model_validate({"id": shown.id, "field": "password", "value": "new"}), actor="ada"
        )
    with pytest.raises(RevisionConflict):
        world.connections.update(
            UpdateConnection(id=shown.id, revision=1, display_name="Warehouse"), actor="ada"
        )
    assert state(world) == ("draft", "unconfirmed")


def test_a_secret_is_not_entered_into_an_edited_connection(world: World) -> None:
    """Whoever only replaces a secret does not look at the rest; the error says what to do."""
    edit(world, **fields(host="evil.example.org"))
    view(world)
    with pytest.raises(ConnectionNotReady, match="review it, save it"):
        world.connections.set_secret(
            SetSecret.model_validate({"id": the(world).id, "field": "password", "value": "new"}), actor="ada"
        )


def test_an_edited_connection_can_be_deleted_and_its_secret_removed(world: World) -> None:
    """Getting rid of it needs no looking through."""
    edit(world, **fields(user="root"))
    world.connections.delete_secret(DeleteSecret(id=the(world).id, field="password"), actor="ada")
    assert state(world) == ("invalid", "edited")
    world.connections.delete(DeleteConnection(id=the(world).id, revision=1), actor="ada")
    assert not world.storage.tables.connections


def test_two_documents_that_were_exchanged_count_for_neither(world: World) -> None:
    """Names and ids are in them: `warehouse` must not open what was `archive`."""
    world.connection("archive")
    asked = world.request(notebook(), world.answer("always"))
    one, other = the(world, "warehouse"), the(world, "archive")
    edit(world, "warehouse", name="spare")
    edit(world, "archive", name="warehouse")
    edit(world, "spare", name="archive")
    tables = world.storage.tables.connections
    tables[one.id], tables[other.id] = (
        replace(tables[one.id], mac=tables[other.id].mac),
        replace(tables[other.id], mac=tables[one.id].mac),
    )
    with pytest.raises(ConnectionNotReady):
        world.request(notebook(), unasked)
    with pytest.raises(ConnectionNotReady):
        world.deliver(notebook(), asked.ref)


def test_an_older_document_that_is_put_back_is_noticed_while_a_broker_knows_better(world: World) -> None:
    """Not by the next broker: that is the older database of SECURITY.md."""
    before = world.storage.tables.connections[the(world).id]
    save(world, reveal_allowed=False)
    world.storage.tables.connections[the(world).id] = before
    assert state(world) == ("invalid", "edited")
    nxt = another(world)
    assert state(nxt) == ("ready", None)


def another(world: World, **settings: Any) -> World:
    """The next broker on this vault, unlocked by the keyring."""
    nxt = World(storage=(world.storage, world.stores), clock=world.clock, unlocked=False, **settings)
    nxt.keyring.items.update(world.keyring.items)
    nxt.secrets.open_at_start()
    return nxt


def test_an_open_question_about_it_ends(world: World) -> None:
    """Nobody can say yes to what is not there any more."""

    def tampered() -> None:
        edit(world, **fields(user="root"))

    with pytest.raises(ConsentInterrupted):
        world.request(notebook(), world.meanwhile(tampered))


def locked(world: World) -> World:
    world.secrets.lock(actor="ada")
    return world


def unlock(world: World) -> None:
    world.secrets.unlock(UnlockVault(), actor="ada")


def test_what_this_broker_saved_while_locked_is_confirmed_at_unlock(world: World) -> None:
    """A new draft and an edit; no one has to look at them again."""
    locked(world)
    world.connection("draft", secrets={})
    save(world, display_name="Renamed")
    save(world, display_name="Renamed twice")
    assert world.storage.tables.connections[the(world).id].mac is None
    unlock(world)
    assert state(world) == ("ready", None)
    assert state(world, "draft") == ("draft", "secret_missing")
    assert all(stored.mac for stored in world.storage.tables.connections.values())


def test_drafts_from_before_the_vault_are_confirmed_when_it_is_set_up() -> None:
    """The first minutes: a form saved first, a passphrase chosen then."""
    world = World(unlocked=False)
    world.connection("draft", secrets={})
    world.set_up()
    assert state(world, "draft") == ("draft", "secret_missing")


def test_an_edit_of_what_was_saved_while_locked_is_not_confirmed(world: World) -> None:
    """It is remembered by its content."""
    locked(world)
    world.connection("draft", secrets={})
    save(world, display_name="Renamed")
    edit(world, **fields(user="root"))
    edit(world, "draft", **fields(user="root"))
    unlock(world)
    assert state(world) == state(world, "draft") == ("draft", "unconfirmed")


def test_saving_while_locked_confirms_nothing_that_was_edited_before(world: World) -> None:
    """A person renames it, and does not see what somebody has changed in it: what counts is what it was before."""
    locked(world)
    edit(world, **fields(user="root"))
    shown = view(world).connection
    world.connections.update(UpdateConnection(id=shown.id, revision=1, display_name="Renamed"), actor="ada")
    unlock(world)
    assert state(world) == ("draft", "unconfirmed")


def test_an_edit_between_two_saves_while_locked_is_not_confirmed(world: World) -> None:
    """The second save began with what somebody else had written."""
    locked(world)
    save(world, display_name="Renamed")
    edit(world, **fields(user="root"))
    shown = view(world).connection
    world.connections.update(
        UpdateConnection(id=shown.id, revision=2, display_name="Renamed twice"), actor="ada"
    )
    unlock(world)
    assert state(world) == ("draft", "unconfirmed")


def test_what_another_broker_saved_while_locked_needs_a_person(world: World) -> None:
    """It may as well be somebody's editor; entering the secret confirms it as it was shown."""
    locked(world)
    world.connection("draft", secrets={})
    nxt = another(world)
    assert state(nxt, "draft") == ("draft", "unconfirmed")
    shown = view(nxt, "draft").connection
    nxt.connections.set_secret(
        SetSecret.model_validate({"id": shown.id, "field": "password", "value": CANARY}), actor="ada"
    )
    assert state(nxt, "draft") == ("ready", None)
    asked = nxt.request(notebook(), nxt.answer("once"), "draft")
    assert nxt.deliver(notebook(), asked.ref).secrets["password"].get_secret_value() == CANARY
    assert [row.code for row in nxt.record() if row.type == "connection:confirmed"] == ["unconfirmed"]


def test_a_planted_connection_with_a_planted_grant_has_no_power(world: World) -> None:
    """Rows of one's own without MACs: neither is anything before a person took it for right."""
    asked = world.request(notebook(), world.answer("always"))
    stored = world.storage.tables.connections[the(world).id]
    planted = stored.connection.model_copy(update={"id": "planted", "name": "planted"})
    world.storage.tables.connections["planted"] = replace(stored, connection=planted, mac=None)
    for key, secret in [*world.storage.tables.secrets.items()]:
        world.storage.tables.secrets["planted", key[1]] = replace(secret, connection_id="planted")  # type: ignore[arg-type]
    assert state(world, "planted") == ("draft", "unconfirmed")
    with pytest.raises(ConnectionNotReady):
        world.request(notebook(), unasked, "planted")
    assert world.deliver(notebook(), asked.ref).connection == "warehouse"


Reading = Callable[[World], str | None]

READINGS: dict[str, Reading] = {
    "operator, one": lambda world: view(world).connection.status_reason,
    "operator, list": lambda world: world.connections.list().connections[0].connection.status_reason,
    "requester, list": lambda world: world.connections.summaries().connections[0].status_reason,
}


@pytest.mark.parametrize("name", READINGS)
def test_every_list_says_so(world: World, name: str) -> None:
    """At both doors."""
    edit(world, **fields(user="root"))
    assert READINGS[name](world) == "edited"


def test_a_recheck_makes_nothing_of_it_right(world: World) -> None:
    """At the start of a broker, unlocked or not: a settled status is no confirmation."""
    edit(world, **fields(user="root"))
    nxt = another(world)
    nxt.connections.recheck()
    assert state(nxt) == ("invalid", "edited")
    locked(nxt)
    nxt.connections.recheck()
    unlock(nxt)
    assert state(nxt) == ("invalid", "edited")
