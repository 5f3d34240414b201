"""Other settings than the defaults: pause, number of open questions, grace, days unused."""

from __future__ import annotations

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.errors import AccessDenied, NoApprover, TooManyQuestions
from tests.support.services.service_world import World, notebook, unasked

DAY_S = 86_400


def world_with(consent: ConsentSettings) -> World:
    world = World(consent=consent)
    world.connection()
    return world


def test_the_pause_after_a_no_is_as_long_as_configured() -> None:
    """Not shorter, and not longer."""
    world = world_with(ConsentSettings(cooldown_s=5))
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))
    world.clock.forward(4.5)
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), unasked)
    assert refused.value.details == {"reason": "cooldown", "retry_after_s": 1}
    world.clock.forward(0.5)
    world.request(notebook(), world.answer("once"))


def test_without_a_pause_the_next_question_may_follow_a_no_at_once() -> None:
    """0 is no pause, not an endless one."""
    world = world_with(ConsentSettings(cooldown_s=0))
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))
    world.request(notebook(), world.answer("once"))


def test_as_many_questions_are_open_as_configured() -> None:
    """One more is refused."""
    world = world_with(ConsentSettings(max_open_questions=2))
    for number in range(3):
        world.connection(f"c{number}")
    for number in range(2):
        assert world.start(notebook(), name=f"c{number}").waits
    with pytest.raises(TooManyQuestions):
        world.request(notebook(), unasked, name="c2")
    world.consent.interrupt_all()


def test_who_has_too_many_questions_open_is_told_when_the_first_one_ends() -> None:
    """In whole seconds, rounded up, so that who waits as long is not refused again."""
    world = world_with(ConsentSettings(max_open_questions=2, timeout_s=60))
    for number in range(3):
        world.connection(f"c{number}")
    assert world.start(notebook(), name="c0").waits
    world.clock.forward(20)
    assert world.start(notebook(), name="c1").waits
    world.clock.forward(9.5)
    with pytest.raises(TooManyQuestions) as refused:
        world.request(notebook(), unasked, name="c2")
    assert refused.value.details["retry_after_s"] == 31
    world.consent.interrupt_all()


def test_without_a_page_a_question_waits_for_the_grace_that_was_set() -> None:
    """Ten seconds in the place of three."""
    world = world_with(ConsentSettings(approver_grace_s=10))
    world.consent.approvers(0)
    caller = world.start(notebook())
    world.clock.forward(9.9)
    world.consent.tick()
    assert caller.waits
    world.clock.forward(0.1)
    world.consent.tick()
    assert caller.error is NoApprover


def test_a_lasting_permission_ends_after_the_unused_days_that_were_set() -> None:
    """Two days: within them it is used without a question, after them it has to be asked for."""
    world = world_with(ConsentSettings(always_unused_days=2))
    world.request(notebook(), world.answer("always"))
    world.clock.forward(2 * DAY_S - 1)
    world.request(notebook(), unasked)
    world.clock.forward(2 * DAY_S)
    assert world.grants() == []
    world.request(notebook(), world.answer("once"))
