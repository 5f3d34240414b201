"""Several callers with the same question, and callers that go away."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from connvault_jupyter.contracts.access import AccessResponse, HandleUse
from connvault_jupyter.errors import ConsentTimeout, ConsentWithdrawn, HandleInvalid
from tests.support.services.open_questions import leave_open
from tests.support.services.open_questions import world as world
from tests.support.services.service_world import Caller, World, notebook, unasked


def test_two_callers_that_ask_the_same_share_one_question_with_both_reasons(world: World) -> None:
    """Equal reasons are listed once, and only a few are listed."""
    for number in range(8):
        leave_open(world, reason=f"reason {number // 2 * 2}")
    leave_open(world)
    assert world.question().reasons == ["reason 0", "reason 2", "reason 4", "reason 6"]
    for number in range(10, 20):
        leave_open(world, reason=f"reason {number}")
    assert len(world.question().reasons) == 5


@pytest.mark.parametrize("difference", ["agent", "run", "connection", "mode"])
def test_a_request_that_differs_in_anything_is_another_question(world: World, difference: str) -> None:
    """Only equal ones are answered together."""
    world.connection("other")
    leave_open(world)
    if difference == "mode":
        world.connection("token", provider="secret", fields={}, secrets={"value": "abcd"})
        handle = world.request(notebook(), unasked, name="token").ref
        assert Caller(lambda wait: world.reveal(notebook(), handle, wait)).waits
        assert [one.mode for one in world.consent.questions().access_requests] == ["in_clear", "reveal"]
        return
    leave_open(
        world,
        2 if difference == "run" else 1,
        **({"agent": "a"} if difference == "agent" else {}),
        **({"name": "other"} if difference == "connection" else {}),
    )
    assert len(world.consent.questions().access_requests) == 2


def test_when_one_callers_time_is_over_the_others_wait_on(world: World) -> None:
    """The question expires with the last of them."""
    short = leave_open(world, timeout_s=10.0)
    world.clock.forward(5)
    long = leave_open(world, timeout_s=30.0)
    world.clock.forward(5)
    world.consent.tick()
    assert short.error is ConsentTimeout
    assert long.waits
    assert world.question().remaining_ms == 25_000
    assert "access:expired" not in world.recorded()
    world.clock.forward(25)
    world.consent.tick()
    assert long.error is ConsentTimeout
    assert world.recorded()[-1] == "access:expired"


def test_when_one_caller_goes_away_the_others_wait_on(world: World) -> None:
    """The question is withdrawn with the last of them."""
    first, second = leave_open(world), leave_open(world)
    first.go_away()
    assert second.waits
    second.go_away()
    assert (first.error, second.error) == (ConsentWithdrawn, ConsentWithdrawn)
    assert not world.consent.questions().access_requests
    assert world.recorded()[-1] == "access:withdrawn"


def test_a_shared_handle_ends_with_the_last_release(world: World) -> None:
    """One caller's end must not take the handle from the others."""
    callers = [leave_open(world) for _ in range(3)]
    world.decide("once")
    (ref,) = {caller.answer.ref for caller in callers}
    use = HandleUse(ref=ref)
    for _ in range(2):
        assert world.access.release(notebook(), use).released == 0
    world.check(notebook(), ref)
    assert world.access.release(notebook(), use).released == 1
    with pytest.raises(HandleInvalid):
        world.check(notebook(), ref)
    assert not world.grants()


def test_a_grant_for_nobody_who_is_still_there_is_given_back(world: World) -> None:
    """The requester went away in the moment in which the person said yes."""

    def too_late(settled: Future[None]) -> bool:
        world.decide("once")
        return False

    with pytest.raises(ConsentWithdrawn):
        world.request(notebook(), too_late)
    assert not world.grants()
    assert not world.stores.handles.instances()


def test_when_waiting_itself_fails_the_question_is_withdrawn(world: World) -> None:
    """The channel's error comes through as it is."""

    def fail(settled: Future[None]) -> bool:
        raise OSError("the channel broke")

    with pytest.raises(OSError, match="broke"):
        world.request(notebook(), fail)
    assert not world.consent.questions().access_requests


def test_when_a_run_ends_its_questions_are_withdrawn(world: World) -> None:
    """Those of other runs stay."""
    mine, other = leave_open(world), leave_open(world, 2)
    world.consent.instance_ended(notebook().instance)
    assert mine.error is ConsentWithdrawn
    assert other.waits


def test_a_hundred_threads_that_ask_the_same_share_one_question_and_one_handle(world: World) -> None:
    """With real threads, each waiting for its future."""
    everybody = threading.Barrier(101)

    def ask(number: int) -> AccessResponse:
        def wait(settled: Future[None]) -> bool:
            everybody.wait(30)
            settled.result(30)
            return True

        return world.request(notebook(), wait, reason=f"reason {number}")

    with ThreadPoolExecutor(100) as threads:
        asked = [threads.submit(ask, number) for number in range(100)]
        everybody.wait(30)
        with world.lock:
            assert world.recorded().count("access:asked") == 1
            world.decide("once")
        refs = {one.result(30).ref for one in asked}
    assert len(refs) == 1
    world.deliver(notebook(), refs.pop())
    assert sum(event.event == "access_request:asked" for event in world.events) <= 5
