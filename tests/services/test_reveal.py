"""Plain text: the third, louder question, asked each time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import Connection, CreateConnection, UpdateConnection
from connvault_jupyter.errors import (
    AccessDenied,
    AccessRequestChanged,
    DecisionNotOffered,
    HandleInvalid,
    NotAllowed,
    RevealForbidden,
    StorageFull,
    VaultLocked,
)
from connvault_jupyter.services.grants.service import Subject
from connvault_jupyter.services.identifiers import ref_hash
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.canary import CANARY
from tests.support.services.service_world import World, notebook, unasked
from tests.support.services.stand_ins import catalogue


@pytest.fixture
def world() -> World:
    world = World()
    world.connection("token", provider="secret", fields={}, secrets={"value": CANARY})
    return world


def test_a_request_for_what_only_gives_plain_text_asks_nobody(world: World) -> None:
    """Nothing is given yet: the handle can only ask."""
    found = world.request(notebook(), unasked, name="token")
    assert (found.mode, found.decision, found.expires_at, found.reveal_allowed) == (
        "reveal",
        None,
        None,
        True,
    )
    assert not world.grants()
    with pytest.raises(NotAllowed):
        world.deliver(notebook(), found.ref)
    assert world.check(notebook(), found.ref).mode == "reveal"


def test_a_person_is_asked_about_each_reveal(world: World) -> None:
    """Nothing of the yes is left but its rows."""
    handle = world.request(notebook(), unasked, name="token", agent="helper")
    for _ in range(2):

        def look() -> None:
            question = world.question()
            assert (question.mode, question.durations, question.agent) == ("reveal", ["once"], "helper")
            world.decide("once")

        found = world.reveal(notebook(), handle.ref, world.meanwhile(look), reason="look at it")
        assert found.secrets["value"].get_secret_value() == CANARY
    assert not world.grants()
    assert [row for row in world.recorded() if row.startswith("access:")] == [
        "access:asked",
        "access:granted",
        "access:revealed",
    ] * 2
    row = world.record()[-1]
    assert (row.mode, row.reason_claim, row.decision) == ("reveal", "look at it", "once")


@pytest.mark.parametrize("decision", ["session", "for", "always"])
def test_a_reveal_offers_no_longer_answer_than_once(world: World, decision: str) -> None:
    """Plain text has no standing permission."""
    handle = world.request(notebook(), unasked, name="token")

    def try_it() -> None:
        with pytest.raises(DecisionNotOffered):
            world.decide(decision)  # type: ignore[arg-type]
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.reveal(notebook(), handle.ref, world.meanwhile(try_it))


def test_the_row_of_a_reveal_has_the_agent_of_its_handle(world: World) -> None:
    """The claim is the grant's, not what the code says when it reveals."""
    world.connection("login", secrets={"password": CANARY}, reveal_allowed=True)
    asked = world.request(notebook(), world.answer("session"), "login", agent="helper")
    world.reveal(notebook(), asked.ref, world.answer("once"))
    assert (world.record()[-1].type, world.record()[-1].agent) == ("access:revealed", "helper")


def test_the_row_of_a_reveal_is_synced_first(world: World) -> None:
    """A reveal is never grouped with others."""
    handle = world.request(notebook(), unasked, name="token")

    def full_disk() -> None:
        world.decide("once")
        world.storage.full = True

    with pytest.raises(StorageFull):
        world.reveal(notebook(), handle.ref, world.meanwhile(full_disk))
    world.storage.full = False
    before = world.storage.durable_commits
    world.reveal(notebook(), handle.ref, world.answer("once"))
    assert world.storage.durable_commits == before + 3


def test_a_never_is_for_reveal_and_login_alike(world: World) -> None:
    """One no for the connection."""
    handle = world.request(notebook(), unasked, name="token")
    with pytest.raises(AccessDenied):
        world.reveal(notebook(), handle.ref, world.answer("deny_always"))
    with pytest.raises(AccessDenied) as refused:
        world.reveal(notebook(), handle.ref, unasked)
    assert refused.value.details == {"reason": "never"}
    with pytest.raises(AccessDenied):
        world.request(notebook(), unasked, name="token")


def test_a_login_is_revealed_only_under_a_grant_that_counts(world: World) -> None:
    """A revoked handle can't even ask."""
    world.connection()
    handle = world.request(notebook(), world.answer("once"))
    found = world.reveal(notebook(), handle.ref, world.answer("once"))
    assert found.secrets["password"].get_secret_value() == CANARY
    world.clock.forward(3600)
    with pytest.raises(HandleInvalid):
        world.reveal(notebook(), handle.ref, unasked)


def test_logins_are_not_revealed_where_reveal_is_switched_off() -> None:
    """A connection that is good for nothing else still is."""
    world = World(reveal_allowed=False)
    world.connection()
    world.connection("token", provider="secret", fields={}, secrets={"value": CANARY})
    handle = world.request(notebook(), world.answer("once"))
    assert not handle.reveal_allowed
    with pytest.raises(RevealForbidden):
        world.reveal(notebook(), handle.ref, unasked)
    token = world.request(notebook(), unasked, name="token")
    world.reveal(notebook(), token.ref, world.answer("once"))


def turned(world: World, connection: Connection, allowed: bool | None) -> Connection:
    request = UpdateConnection(id=connection.id, revision=connection.revision, reveal_allowed=allowed)
    return world.connections.update(request, actor="ada").connection


def test_nobody_is_asked_about_a_reveal_that_the_connection_does_not_allow() -> None:
    """A handle from before may not ask either; a new one says so; switched on again it may."""
    world = World()
    connection = world.connection()
    before = world.request(notebook(), world.answer("session"))
    assert before.reveal_allowed
    connection = turned(world, connection, allowed=False)
    assert not connection.reveal_allowed
    after = world.request(notebook(), unasked)
    assert not after.reveal_allowed
    for handle in (before, after):
        with pytest.raises(RevealForbidden):
            world.reveal(notebook(), handle.ref, unasked)
    world.deliver(notebook(), before.ref)
    turned(world, connection, allowed=True)
    world.reveal(notebook(), before.ref, world.answer("once"))


@pytest.mark.parametrize("provider", sorted(one.id for one in catalogue().all()))
def test_a_new_connection_of_a_brokered_kind_may_not_be_revealed_by_default(provider: str) -> None:
    """Of every kind. What is in the clear or plain text alone may: there a no would keep back nothing."""
    world = World()
    found = catalogue().get(provider)
    assert found is not None
    view = world.connections.create(CreateConnection(provider_id=provider, name="new"), actor="ada")
    assert view.connection.reveal_allowed is ("brokered" not in {one.mode for one in found.deliveries})


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("provider", ["postgresql", IN_CLEAR])
def test_what_a_person_says_about_reveal_counts(provider: str, *, allowed: bool) -> None:
    """Whatever the kind."""
    assert World().connection(provider=provider, reveal_allowed=allowed).reveal_allowed is allowed


def test_whether_reveal_is_allowed_stays_when_something_else_changes(world: World) -> None:
    """Left out is unchanged."""
    connection = world.connection()
    assert connection.reveal_allowed
    connection = turned(world, turned(world, connection, allowed=False), allowed=None)
    assert not connection.reveal_allowed


def test_nothing_is_revealed_if_reveal_is_switched_off_while_the_question_is_open() -> None:
    """The yes was for another state of the connection."""
    world = World()
    connection = world.connection()
    handle = world.request(notebook(), world.answer("session"))

    def off() -> None:
        world.decide("once")
        turned(world, connection, allowed=False)

    with pytest.raises((AccessRequestChanged, RevealForbidden)):
        world.reveal(notebook(), handle.ref, world.meanwhile(off))
    assert "access:revealed" not in world.recorded()


def test_the_servers_setting_of_reveal_comes_first() -> None:
    """A connection can forbid what the server allows, not the other way round."""
    world = World(reveal_allowed=False)
    assert world.connection().reveal_allowed
    assert not world.request(notebook(), world.answer("once")).reveal_allowed


def test_a_change_of_whether_reveal_is_allowed_is_on_record(world: World) -> None:
    """By whom; other changes do not look like it."""
    connection = turned(world, world.connection(), allowed=False)
    turned(world, connection, allowed=None)
    rows = [row for row in world.record() if row.type == "connection:changed"]
    assert [(row.field, row.decided_by) for row in rows] == [("reveal_allowed", "ada"), (None, "ada")]


def test_a_connection_from_before_the_setting_may_be_revealed(world: World) -> None:
    """A document without it is read as one that allows."""
    document = json.loads(world.connection().model_dump_json())
    assert document.pop("reveal_allowed") is True
    assert Connection.model_validate_json(json.dumps(document)).reveal_allowed


def test_a_connection_that_only_gives_plain_text_may_always_be_revealed(world: World) -> None:
    """Else it would be of no use."""
    (token,) = [one.connection for one in world.connections.list().connections]
    turned(world, token, allowed=False)
    handle = world.request(notebook(), unasked, name="token")
    assert handle.reveal_allowed
    world.reveal(notebook(), handle.ref, world.answer("once"))


def test_nothing_is_revealed_if_the_connection_changed_after_the_yes(world: World) -> None:
    """The yes was for what was read."""
    handle = world.request(notebook(), unasked, name="token")
    connection = world.connections.list().connections[0].connection

    def change() -> None:
        world.decide("once")
        world.connections.update(
            UpdateConnection(id=connection.id, revision=1, display_name="Other"), actor="ada"
        )

    with pytest.raises(AccessRequestChanged):
        world.reveal(notebook(), handle.ref, world.meanwhile(change))
    assert "access:revealed" not in world.recorded()


@pytest.mark.parametrize("edited", ["connection_id", "agent_hash", "mode"])
def test_nothing_is_revealed_if_the_handles_row_was_edited_after_the_question(
    world: World, edited: str
) -> None:
    """A yes for one connection is none for another, whose reveal may be off and which may be forbidden for ever."""
    prod = world.connection("prod", fields=None, reveal_allowed=False)
    handle = world.request(notebook(), unasked, name="token", agent="helper")
    rows, key = world.storage.tables.handles, ref_hash(handle.ref)
    to: dict[str, Any] = {"connection_id": prod.id, "agent_hash": None, "mode": "in_clear"}

    def edit() -> None:
        rows[key] = replace(rows[key], **{edited: to[edited]})
        world.decide("once")

    with pytest.raises(HandleInvalid):
        world.reveal(notebook(), handle.ref, world.meanwhile(edit))
    assert "access:revealed" not in world.recorded()


def test_nothing_is_revealed_if_a_never_came_after_the_yes(world: World) -> None:
    """By another server, between the answer and the look."""
    handle = world.request(notebook(), unasked, name="token")

    def forbid() -> None:
        world.decide("once")
        (connection,) = [one.connection for one in world.connections.list().connections]
        with world.lock:
            destination = world.services.connections._checks._resolver.ready(connection)
        subject = Subject(connection, destination, notebook(), None, "reveal")
        with world.lock, world.stores.transactions.transaction():
            world.consent._grants.give(subject, "deny_always", seconds=None, actor="ada")

    with pytest.raises(AccessDenied):
        world.reveal(notebook(), handle.ref, world.meanwhile(forbid))
    assert "access:revealed" not in world.recorded()


def test_nothing_is_revealed_if_the_vault_was_locked_after_the_yes(world: World) -> None:
    """Lock bites at once."""
    handle = world.request(notebook(), unasked, name="token")

    def lock() -> None:
        world.decide("once")
        world.secrets.lock(actor="ada")

    with pytest.raises(VaultLocked):
        world.reveal(notebook(), handle.ref, world.meanwhile(lock))


def test_when_a_claim_was_edited_in_the_row_the_handle_is_void(world: World) -> None:
    """It would be shown to a person. Mark and envelope are only good together, and for their connection."""
    world.connection("twin", provider="secret", fields={}, secrets={"value": CANARY})
    rows = [
        world.storage.tables.handles[ref_hash(world.request(notebook(), unasked, name=name, agent=agent).ref)]
        for name, agent in (("token", "helper"), ("token", "other"), ("twin", "helper"))
    ]
    mine, other, twin = rows
    asked = world.request(notebook(), unasked, name="token", agent="helper")
    edits: list[dict[str, str | None]] = [
        {"agent_sealed": None},
        {"agent_sealed": ""},
        {"agent_sealed": "approved by admin"},
        {"agent_sealed": f"{world.secrets.keys.generation}.approved"},
        {"agent_sealed": f"{world.secrets.keys.generation}.\u00e9"},
        {"agent_hash": "\u00e9"},
        {"agent_hash": ""},
        {"agent_sealed": "9." + str(mine.agent_sealed)[2:]},
        {"agent_sealed": other.agent_sealed},
        {"agent_hash": other.agent_hash},
        {"agent_sealed": twin.agent_sealed},
        {"agent_sealed": twin.agent_sealed, "agent_hash": twin.agent_hash},
    ]
    for edited in edits:
        world.storage.tables.handles[ref_hash(asked.ref)] = replace(
            mine,
            ref_hash=ref_hash(asked.ref),
            **edited,  # type: ignore[arg-type]
        )
        with pytest.raises(HandleInvalid):
            world.reveal(notebook(), asked.ref, unasked)
    world.storage.tables.handles[ref_hash(asked.ref)] = replace(mine, ref_hash=ref_hash(asked.ref))
    world.reveal(notebook(), asked.ref, world.answer("once"))


@pytest.mark.parametrize("allowed", [True, False])
def test_the_operator_is_told_what_the_server_allows(allowed: bool) -> None:
    """So that nothing is shown as revealable where no connection is."""
    assert World(reveal_allowed=allowed).connections.providers().reveal_allowed is allowed
