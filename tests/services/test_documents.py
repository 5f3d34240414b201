"""Connections whose rows were edited, stripped, put back or planted: no power until a person takes them for right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.access import AccessResponse
from connvault_jupyter.contracts.connections import (
    DeleteConnection,
    DeleteSecret,
    SetSecret,
    UpdateConnection,
)
from connvault_jupyter.errors import (
    ConnectionNotReady,
    ConsentInterrupted,
    HandleInvalid,
    RevisionConflict,
    SecretMissing,
)
from tests.support.canary import CANARY
from tests.support.services.edited_documents import (
    another,
    edit,
    fields,
    locked,
    no_power,
    save,
    state,
    the,
    unlock,
    view,
)
from tests.support.services.edited_documents import asked as asked
from tests.support.services.edited_documents import world as world
from tests.support.services.service_world import POSTGRES, World, notebook, unasked
from tests.support.services.stand_ins import NOON

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
def test_saving_an_edited_connection_asks_for_the_secret_anew(
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


def test_an_edited_connection_that_is_saved_with_its_secret_is_ready(world: World) -> None:
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


def test_an_open_question_about_an_edited_connection_ends(world: World) -> None:
    """Nobody can say yes to what is not there any more."""

    def tampered() -> None:
        edit(world, **fields(user="root"))

    with pytest.raises(ConsentInterrupted):
        world.request(notebook(), world.meanwhile(tampered))


Reading = Callable[[World], str | None]

READINGS: dict[str, Reading] = {
    "operator, one": lambda world: view(world).connection.status_reason,
    "operator, list": lambda world: world.connections.list().connections[0].connection.status_reason,
    "requester, list": lambda world: world.connections.summaries(notebook()).connections[0].status_reason,
}


@pytest.mark.parametrize("name", READINGS)
def test_every_list_says_that_a_connection_was_edited(world: World, name: str) -> None:
    """At both doors."""
    edit(world, **fields(user="root"))
    assert READINGS[name](world) == "edited"


def test_a_recheck_makes_no_edited_connection_right(world: World) -> None:
    """At the start of a broker, unlocked or not: a settled status is no confirmation."""
    edit(world, **fields(user="root"))
    nxt = another(world)
    nxt.connections.recheck()
    assert state(nxt) == ("invalid", "edited")
    locked(nxt)
    nxt.connections.recheck()
    unlock(nxt)
    assert state(nxt) == ("invalid", "edited")
