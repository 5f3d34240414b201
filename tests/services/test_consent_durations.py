"""How long each answer of a person counts, and for whom."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connvault_jupyter.contracts.access import DecisionKind
from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.errors import AccessDenied, DecisionNotOffered, HandleInvalid
from tests.support.services.service_world import World, notebook, unasked


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


def test_after_once_the_next_request_asks_again(world: World) -> None:
    """A handle is what was allowed, not the connection."""
    first = world.request(notebook(), world.answer("once"))
    second = world.request(notebook(), world.answer("once"))
    assert first.ref != second.ref


def test_a_handle_of_once_ends_with_its_hour(world: World) -> None:
    """And not a moment before."""
    ref = world.request(notebook(), world.answer("once")).ref
    world.clock.forward(3599)
    world.check(notebook(), ref)
    world.clock.forward(1)
    with pytest.raises(HandleInvalid) as refused:
        world.check(notebook(), ref)
    assert refused.value.details == {"reason": "expired"}


@pytest.mark.parametrize("decision", ["session", "for", "always"])
def test_after_a_longer_answer_the_next_request_does_not_ask(world: World, decision: DecisionKind) -> None:
    """Each request gets a handle of its own."""
    first = world.request(notebook(), world.answer(decision))
    second = world.request(notebook(), unasked)
    assert second.decision == decision
    assert first.ref != second.ref
    world.deliver(notebook(), second.ref)


def test_after_session_another_run_asks_again(world: World) -> None:
    """Until this kernel stops."""
    world.request(notebook(), world.answer("session"))
    with pytest.raises(AccessDenied):
        world.request(notebook(run=2), world.answer("deny"))


@pytest.mark.parametrize("decision", ["for", "always"])
def test_after_a_lasting_answer_the_next_run_does_not_ask_but_another_notebook_does(
    world: World, decision: DecisionKind
) -> None:
    """It belongs to the notebook."""
    world.request(notebook(), world.answer(decision))
    world.request(notebook(run=2), unasked)
    with pytest.raises(AccessDenied):
        world.request(notebook("other.ipynb"), world.answer("deny"))


def test_a_grant_for_a_time_ends_with_the_wall_clock(world: World) -> None:
    """Its handles end with it."""
    ref = world.request(notebook(), world.answer("for", seconds=60)).ref
    world.clock.forward(59)
    world.request(notebook(), unasked)
    world.clock.forward(1)
    with pytest.raises(HandleInvalid):
        world.deliver(notebook(), ref)
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))


def test_a_grant_for_a_time_without_length_has_the_configured_one() -> None:
    """Eight hours unless configured otherwise."""
    world = World(consent=ConsentSettings(for_s=7200))
    world.connection()
    found = world.request(notebook(), world.answer("for"))
    assert found.expires_at is not None
    assert (found.expires_at - world.clock.now).total_seconds() == 7200


def test_an_always_that_is_unused_for_thirty_days_ends(world: World) -> None:
    """Each use starts the days anew."""
    ref = world.request(notebook(), world.answer("always")).ref
    world.clock.forward(29 * 86_400)
    world.deliver(notebook(), ref)
    world.consent.tick()
    world.clock.forward(29 * 86_400)
    world.request(notebook(), unasked)
    world.clock.forward(86_400)
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))


def test_a_last_use_in_the_future_does_not_prolong_an_always(world: World) -> None:
    """No MAC covers when it was used last."""
    world.request(notebook(), world.answer("always"))
    (grant,) = world.grants()
    world.stores.grants.note_use(grant.id, world.clock.now + timedelta(days=3650))
    world.clock.forward(31 * 86_400)
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))


@pytest.mark.parametrize("decision", ["for", "always"])
def test_when_not_durable_no_lasting_answer_is_offered(world: World, decision: DecisionKind) -> None:
    """Nobody knows what will stand under that name tomorrow."""
    untitled = notebook("Untitled.ipynb", durable=False)

    def try_it() -> None:
        assert world.question().durations == ["once", "session"]
        with pytest.raises(DecisionNotOffered):
            world.decide(decision)
        world.decide("once")

    world.request(untitled, world.meanwhile(try_it))


@pytest.mark.parametrize("seconds", [28_801, 2_592_000])
def test_a_time_longer_than_configured_is_not_offered(world: World, seconds: int) -> None:
    """A page can't choose more than the settings allow."""

    def try_it() -> None:
        with pytest.raises(DecisionNotOffered):
            world.decide("for", seconds=seconds)
        with pytest.raises(DecisionNotOffered):
            world.decide("session", seconds=60)
        world.decide("once")

    world.request(notebook(), world.meanwhile(try_it))
