"""What each answer of a person does."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.contracts.access import Decide, DecisionKind, GrantRef, Requester
from connvault_jupyter.contracts.connections import DeleteConnection, UpdateConnection
from connvault_jupyter.errors import (
    AccessDenied,
    AccessRequestChanged,
    AccessRequestDecided,
    AccessRequestNotFound,
    AuthenticationOff,
    ConsentInterrupted,
    VaultLocked,
)
from tests.support.services.service_world import POSTGRES, World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


def test_a_person_who_is_asked_sees_the_whole_question(world: World) -> None:
    """Who, what, where, how, why, for how long, and until when."""

    def look() -> None:
        found = world.question()
        assert found.requester == notebook()
        assert (found.connection, found.provider_name) == ("warehouse", "Ledger")
        assert found.destination == "ada@db.example.org:5432/sales"
        assert found.mode == "in_clear"
        assert found.reasons == ["monthly report"]
        assert found.agent == "helper"
        assert found.durations == ["once", "session", "for", "always"]
        assert found.preselected == "once"
        assert (found.once_limit_s, found.for_s, found.remaining_ms) == (3600, 28_800, 60_000)
        world.decide("once")

    world.request(notebook(), world.meanwhile(look), reason="monthly report", agent="helper")


def test_the_row_is_on_disk_before_anybody_sees_the_question(world: World) -> None:
    """A broker that dies now leaves an orphan, not a gap."""
    before = world.storage.durable_commits

    def look() -> None:
        assert world.recorded()[-1] == "access:asked"
        assert world.storage.durable_commits == before + 1
        (orphan,) = world.stores.questions.all()
        assert orphan.question_id == world.question().id
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(look))
    assert not world.stores.questions.all()


@pytest.mark.parametrize("decision", ["once", "session", "for", "always"])
def test_when_allowed_there_is_a_grant_and_a_handle(world: World, decision: DecisionKind) -> None:
    """And the record says who decided."""
    found = world.request(notebook(), world.answer(decision))
    (grant,) = world.grants()
    assert found.decision == grant.decision == decision
    assert found.expires_at == grant.expires_at
    assert (grant.instance is None) == (decision in {"for", "always"})
    row = world.record()[-1]
    assert (row.type, row.decided_by, row.decision, row.grant_id) == (
        "access:granted",
        "ada",
        decision,
        grant.id,
    )


def test_a_no_is_told_to_the_asker_and_leaves_nothing(world: World) -> None:
    """Only the row."""
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), world.answer("deny"))
    assert refused.value.details == {"reason": "denied"}
    assert not world.grants()
    row = world.record()[-1]
    assert (row.type, row.outcome, row.code, row.decision) == (
        "access:denied",
        "refused",
        "access_denied",
        "deny",
    )


@pytest.mark.parametrize(
    "asker", [notebook(), notebook(run=2)], ids=["this run", "another run of the notebook"]
)
@pytest.mark.parametrize("agent", [None, "other"])
def test_after_never_the_requester_never_asks_again(
    world: World, asker: Requester, agent: str | None
) -> None:
    """For any run, any agent claim and any mode, however much later."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"))
    assert "grants:changed" in [event.event for event in world.events]
    world.clock.forward(1000 * 86_400)
    with pytest.raises(AccessDenied) as refused:
        world.request(asker, unasked, agent=agent)
    assert refused.value.details == {"reason": "never"}


def test_when_never_is_said_the_other_questions_of_the_two_are_answered_too(world: World) -> None:
    """The person need not say it again; another connection and another notebook still wait."""
    world.connection("other")
    first, second = world.start(notebook(), agent="a"), world.start(notebook(run=2), agent="b")
    others = [world.start(notebook(), "other"), world.start(notebook("b.ipynb"))]
    newest = world.consent.questions().access_requests[0]
    world.consent.decide(Decide(id=newest.id, decision="deny_always", digest=newest.digest), actor="ada")
    assert (first.error, second.error) == (AccessDenied, AccessDenied)
    assert all(other.waits for other in others)
    assert len(world.grants()) == 1
    world.consent.interrupt_all()


def test_after_a_revoked_never_the_requester_asks_again(world: World) -> None:
    """The person may change their mind."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"))
    (grant,) = world.grants()
    world.consent.revoke(GrantRef(id=grant.id), actor="ada")
    world.clock.forward(31)
    world.request(notebook(), world.answer("once"))


def test_when_locked_a_no_works_and_a_yes_waits_for_the_key(world: World) -> None:
    """The question stays open while the person unlocks."""

    def try_it() -> None:
        world.secrets.lock(actor="ada")
        with pytest.raises(VaultLocked):
            world.decide("once")
        assert world.question().connection == "warehouse"
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(try_it))


def test_a_never_that_is_said_while_locked_counts(world: World) -> None:
    """A no needs no MAC."""

    def never() -> None:
        world.secrets.lock(actor="ada")
        world.decide("deny_always")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(never))
    world.secrets.open_at_start()
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), unasked)
    assert refused.value.details == {"reason": "never"}


def test_when_the_server_has_no_authentication_nothing_is_granted() -> None:
    """Anyone could have clicked."""
    first = World()
    first.connection()
    world = World(storage=(first.storage, first.stores), authenticated=False, unlocked=False)
    world.keyring.items.update(first.keyring.items)
    world.secrets.open_at_start()

    def try_it() -> None:
        with pytest.raises(AuthenticationOff):
            world.decide("once")
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.request(notebook(), world.meanwhile(try_it))


def test_when_decided_twice_the_second_is_told_so(world: World) -> None:
    """Two tabs, one answer."""
    question_id = ""

    def answer() -> None:
        nonlocal question_id
        question_id = world.question().id
        world.decide("once")

    world.request(notebook(), world.meanwhile(answer))
    with pytest.raises(AccessRequestDecided):
        world.consent.decide(Decide(id=question_id, decision="deny", digest="0" * 64), actor="ada")
    with pytest.raises(AccessRequestNotFound):
        world.consent.decide(Decide(id="other", decision="deny", digest="0" * 64), actor="ada")


@pytest.mark.parametrize("decision", ["once", "session", "for", "always", "deny", "deny_always"])
def test_when_the_digest_is_of_something_else_no_decision_counts(
    world: World, decision: DecisionKind
) -> None:
    """What was read is what is answered."""

    def try_it() -> None:
        with pytest.raises(AccessRequestChanged):
            world.decide(decision, digest="0" * 64)
        world.decide("once")

    world.request(notebook(), world.meanwhile(try_it))


@pytest.mark.parametrize("changes", [{"name": "other"}, {"display_name": "Other"}])
def test_when_the_connection_changes_an_old_digest_does_not_count(
    world: World, changes: dict[str, Any]
) -> None:
    """The new question can be answered."""

    def try_it() -> None:
        old = world.question()
        connection = world.connections.list().connections[0].connection
        world.connections.update(
            UpdateConnection(id=connection.id, revision=connection.revision, **changes), actor="ada"
        )
        world.events.clear()
        with pytest.raises(AccessRequestChanged):
            world.decide("once", digest=old.digest)
        assert any(event.event == "access_request:asked" and event.id == old.id for event in world.events)
        world.decide("once")

    world.request(notebook(), world.meanwhile(try_it))


def test_when_the_notebook_is_renamed_an_old_digest_does_not_count(world: World) -> None:
    """The grant is for the name as it is now."""

    def try_it() -> None:
        old = world.question()
        world.runs.renamed[notebook().instance] = notebook("new.ipynb").model_copy(
            update={"instance": notebook().instance}
        )
        with pytest.raises(AccessRequestChanged):
            world.decide("always", digest=old.digest)
        world.decide("always")

    world.request(notebook(), world.meanwhile(try_it))
    (grant,) = world.grants()
    assert grant.requester_label == "new.ipynb"


def test_when_the_host_changes_the_open_question_is_interrupted(world: World) -> None:
    """There is no secret for the new host that could be granted."""

    def change() -> None:
        connection = world.connections.list().connections[0].connection
        world.connections.update(
            UpdateConnection(
                id=connection.id, revision=1, fields={**POSTGRES, "host": "elsewhere.example.org"}
            ),
            actor="ada",
        )

    with pytest.raises(ConsentInterrupted):
        world.request(notebook(), world.meanwhile(change))
    assert world.recorded()[-1] == "access:interrupted"


def test_when_the_connection_is_deleted_the_open_question_is_interrupted(world: World) -> None:
    """Nothing is left to grant."""

    def delete() -> None:
        connection = world.connections.list().connections[0].connection
        world.connections.delete(DeleteConnection(id=connection.id, revision=1), actor="ada")

    with pytest.raises(ConsentInterrupted):
        world.request(notebook(), world.meanwhile(delete))
    assert not world.stores.questions.all()


def test_when_asked_again_soon_after_once_the_session_is_preselected(world: World) -> None:
    """Within ten minutes; then no more."""
    world.request(notebook(), world.answer("once"))
    world.clock.forward(599)

    def look() -> None:
        assert world.question().preselected == "session"
        world.decide("once")

    world.request(notebook(), world.meanwhile(look))
    world.clock.forward(600)

    def look_again() -> None:
        assert world.question().preselected == "once"
        world.decide("once")

    world.request(notebook(), world.meanwhile(look_again))


def test_when_the_agent_claim_differs_a_grant_does_not_fit(world: World) -> None:
    """None is not x, and x is not y."""
    world.request(notebook(), world.answer("session"), agent="helper")
    world.request(notebook(), unasked, agent="helper")
    world.request(notebook(), world.answer("once"))
    world.request(notebook(), world.answer("once"), agent="other")
