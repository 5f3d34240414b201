"""Many handles of one connection: the same one again where it would be, and room made by one that nobody uses."""

from __future__ import annotations

import pytest

from connvault_jupyter.contracts.access import AccessResponse, DecisionKind, HandleUse
from connvault_jupyter.errors import HandleInvalid, TooManyHandles
from connvault_jupyter.services.grants.handle_limit import MAX_LIVE
from connvault_jupyter.services.identifiers import ref_hash
from tests.support.canary import CANARY
from tests.support.services.service_world import World, notebook, unasked


@pytest.fixture
def world() -> World:
    made = World()
    made.connection()
    made.connection("token", provider="secret", fields={}, secrets={"value": CANARY})
    return made


def filled(world: World, name: str = "warehouse") -> list[AccessResponse]:
    """As many as there is room for, each a second younger than the one before. Nobody is asked but for the first."""
    made = [world.request(notebook(), world.answer("session") if name == "warehouse" else unasked, name=name)]
    while len(made) < MAX_LIVE:
        world.clock.forward(1)
        made.append(world.request(notebook(), unasked, name=name))
    world.clock.forward(1)
    return made


def gone(world: World, made: list[AccessResponse]) -> list[AccessResponse]:
    return [one for one in made if ref_hash(one.ref) not in world.storage.tables.handles]


@pytest.mark.parametrize("decision", ["session", "for", "always"])
def test_whoever_asks_with_a_handle_in_hand_gets_the_same_again(world: World, decision: DecisionKind) -> None:
    """Under a standing permission: the answer is on record, and nothing new is made."""
    first = world.request(notebook(), world.answer(decision))
    assert world.request(notebook(), unasked, held=first.ref) == first
    assert len(world.storage.tables.handles) == 1
    assert world.recorded().count("access:granted") == 2


def test_a_once_asks_and_makes_a_handle_of_its_own(world: World) -> None:
    """It was given for one handle."""
    first = world.request(notebook(), world.answer("once"))
    assert world.request(notebook(), world.answer("once"), held=first.ref).ref != first.ref
    assert world.recorded().count("access:asked") == 2


@pytest.mark.parametrize("differs", ["agent", "permission", "run", "connection", "ended", "nonsense"])
def test_a_handle_in_hand_that_differs_is_not_the_answer(world: World, differs: str) -> None:
    """What is asked for is answered as if nothing had been named: nobody learns anything of that one."""
    world.connection("other")
    first = world.request(notebook(), world.answer("session"))
    asks = {"requester": notebook(), "wait": unasked, "held": first.ref}
    match differs:
        case "agent":
            asks |= {"agent": "helper", "wait": world.answer("session")}
        case "permission":
            # One that lasts longer was given meanwhile.
            world.request(notebook(run=2), world.answer("always"))
        case "run":
            asks |= {"requester": notebook(run=2), "wait": world.answer("session")}
        case "connection":
            asks |= {"name": "other", "wait": world.answer("session")}
        case "ended":
            world.access.release(notebook(), HandleUse(ref=first.ref))
        case _:
            asks["held"] = "x" * 43
    assert world.request(**asks).ref not in (first.ref, asks["held"])  # type: ignore[arg-type]


def test_a_handle_that_can_only_ask_to_reveal_is_the_same_again(world: World) -> None:
    """But for an agent's, which says who asks."""
    first = world.request(notebook(), unasked, name="token")
    assert world.request(notebook(), unasked, name="token", held=first.ref) == first
    agents = world.request(notebook(), unasked, name="token", agent="helper")
    for agent in (None, "helper"):
        again = world.request(notebook(), unasked, name="token", agent=agent, held=agents.ref)
        assert again.ref != agents.ref


@pytest.mark.parametrize("name", ["warehouse", "token"])
def test_the_one_that_was_unused_for_the_longest_makes_room(world: World, name: str) -> None:
    """Neither one that has a client now, nor one that was used since."""
    made = filled(world, name)
    world.relays.busy = {made[0].ref}
    victim = made[1]
    if name == "warehouse":
        world.deliver(notebook(), made[1].ref)
        victim = made[2]
    newest = world.request(notebook(), unasked, name=name)
    assert gone(world, [*made, newest]) == [victim]
    with pytest.raises(HandleInvalid) as refused:
        world.check(notebook(), victim.ref)
    assert refused.value.details == {"reason": "evicted"}
    (row,) = [row for row in world.record() if row.type == "access:released"]
    assert row.code == "handle_evicted"


def test_when_all_are_in_use_another_one_is_refused(world: World) -> None:
    """Before anybody is asked, and no session is ended for it. The first that is free again makes room."""
    made = filled(world)
    world.relays.busy = {one.ref for one in made}
    for agent in (None, "helper"):
        with pytest.raises(TooManyHandles):
            world.request(notebook(), unasked, agent=agent)
    assert gone(world, made) == []
    # The same again needs no room; nor does another run, which has its own.
    assert world.request(notebook(), unasked, held=made[3].ref).ref == made[3].ref
    world.request(notebook(run=2), world.answer("session"))
    world.relays.busy.remove(made[7].ref)
    world.request(notebook(), unasked)
    assert gone(world, made) == [made[7]]


def test_a_permission_for_one_handle_goes_with_that_handle(world: World) -> None:
    """It would cover nothing any more."""
    once = world.request(notebook(), world.answer("once"), agent="helper")
    world.clock.forward(1)
    filled(world)
    assert gone(world, [once]) == [once]
    assert {grant.decision for grant in world.grants()} == {"session"}
