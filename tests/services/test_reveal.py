"""Plain text: the third, louder question, asked each time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connvault_jupyter.contracts.connections import UpdateConnection
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
from connvault_jupyter.services.identifiers import ref_hash
from tests.support.canary import CANARY
from tests.support.service_world import World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection("token", provider="secret", fields={}, secrets={"value": CANARY})
    return world


def test_when_only_plain_text_can_be_had_the_request_asks_nobody(world: World) -> None:
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


def test_when_revealed_each_time_a_person_is_asked(world: World) -> None:
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
def test_when_a_longer_answer_is_tried_it_is_not_offered(world: World, decision: str) -> None:
    """Plain text has no standing permission."""
    handle = world.request(notebook(), unasked, name="token")

    def try_it() -> None:
        with pytest.raises(DecisionNotOffered):
            world.decide(decision)  # type: ignore[arg-type]
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.reveal(notebook(), handle.ref, world.meanwhile(try_it))


def test_when_revealed_the_row_is_synced_first(world: World) -> None:
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


def test_when_never_it_is_never_for_reveal_and_login_alike(world: World) -> None:
    """One no for the connection."""
    handle = world.request(notebook(), unasked, name="token")
    with pytest.raises(AccessDenied):
        world.reveal(notebook(), handle.ref, world.answer("deny_always"))
    with pytest.raises(AccessDenied) as refused:
        world.reveal(notebook(), handle.ref, unasked)
    assert refused.value.details == {"reason": "never"}
    with pytest.raises(AccessDenied):
        world.request(notebook(), unasked, name="token")


def test_when_a_login_is_revealed_its_grant_must_count(world: World) -> None:
    """A revoked handle can't even ask."""
    world.connection()
    handle = world.request(notebook(), world.answer("once"))
    found = world.reveal(notebook(), handle.ref, world.answer("once"))
    assert found.secrets["password"].get_secret_value() == CANARY
    world.clock.forward(3600)
    with pytest.raises(HandleInvalid):
        world.reveal(notebook(), handle.ref, unasked)


def test_when_reveal_is_switched_off_logins_are_not_revealed() -> None:
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


def test_when_the_connection_changed_after_the_yes_nothing_is_shown(world: World) -> None:
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


def test_when_locked_after_the_yes_nothing_is_shown(world: World) -> None:
    """Lock bites at once."""
    handle = world.request(notebook(), unasked, name="token")

    def lock() -> None:
        world.decide("once")
        world.secrets.lock(actor="ada")

    with pytest.raises(VaultLocked):
        world.reveal(notebook(), handle.ref, world.meanwhile(lock))


@pytest.mark.parametrize("agent", ["approved\u202e by admin", "two\nlines", "x" * 5000])
def test_when_a_claim_was_edited_in_the_row_the_handle_is_void(world: World, agent: str) -> None:
    """It would be shown to a person as it stands there."""
    asked = world.request(notebook(), unasked, name="token")
    hashed = ref_hash(asked.ref)
    row = world.storage.tables.handles[hashed]
    world.storage.tables.handles[hashed] = replace(row, agent=agent)
    with pytest.raises(HandleInvalid):
        world.reveal(notebook(), asked.ref, unasked)
