"""The fake world of these tests notices what it must: a question that did not come, and the lock in the wrong hands."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from connvault_jupyter.contracts.access import GrantRef
from connvault_jupyter.contracts.audit import CompareAudit, ExportAudit
from connvault_jupyter.contracts.connections import ConnectionRef
from tests.support.services import expected_waits
from tests.support.services.service_world import World, notebook, unasked


@pytest.fixture
def world() -> World:
    made = World()
    made.connection()
    return made


@pytest.mark.parametrize("prepared", ["answer", "meanwhile", "later"])
def test_a_prepared_answer_that_nobody_asked_for_is_told(world: World, prepared: str) -> None:
    """With the line that prepared it; what was asked for is not."""
    world.request(notebook(), world.answer("session"))
    assert expected_waits.unused() == []
    wait = {
        "answer": lambda: world.answer("deny"),
        "meanwhile": lambda: world.meanwhile(lambda: None),
        "later": lambda: world.later(60),
    }[prepared]()
    world.request(notebook(), wait)
    (told,) = expected_waits.unused()
    assert Path(told.rpartition(":")[0]) == Path(__file__)


def test_an_answer_that_is_only_given_if_asked_for_may_be_left_over(world: World) -> None:
    """For whoever counts the questions."""
    world.request(notebook(), world.answer("session"))
    world.request(notebook(), world.if_asked(lambda: None))
    assert expected_waits.unused() == []


def test_a_test_whose_question_did_not_come_fails(world: World) -> None:
    """Though all its own assertions hold."""
    around = expected_waits.pytest_runtest_call()
    next(around)
    world.answer("deny")
    with pytest.raises(pytest.fail.Exception, match="no question came"):
        next(around)


def test_a_test_that_fails_by_itself_says_why_itself(world: World) -> None:
    """What it had prepared is not the next test's."""
    around = expected_waits.pytest_runtest_call()
    next(around)
    world.answer("deny")
    with pytest.raises(ZeroDivisionError):
        around.throw(ZeroDivisionError())
    assert expected_waits.unused() == []


def test_a_service_that_reads_the_stores_without_the_lock_is_noticed(world: World) -> None:
    """Its inside called as no door calls it."""
    with pytest.raises(AssertionError, match="without the broker's lock"):
        world.services.connections.list()
    with (
        pytest.raises(AssertionError, match="without the broker's lock"),
        world.services.access._ended.everything(),
    ):
        world.services.consent.tick()


def test_a_service_that_waits_with_the_lock_held_is_noticed(world: World) -> None:
    """Each method that takes the lock itself."""
    (connection,) = [one.connection for one in world.connections.list().connections]
    with world.lock:
        for call in (
            lambda: world.request(notebook(), unasked),
            lambda: world.open(notebook(), "x" * 43),
            lambda: world.connections.test(ConnectionRef(id=connection.id), actor="ada"),
            lambda: world.consent.revoke(GrantRef(id="g" * 22), actor="ada"),
            world.secrets.state,
            world.audit.verify,
            lambda: world.exports.part(ExportAudit()),
            lambda: world.exports.compare(CompareAudit()),
        ):
            with pytest.raises(AssertionError, match="with the broker's lock held"):
                call()


def test_a_slow_call_to_the_outside_with_the_lock_held_is_noticed(world: World) -> None:
    """Also where the method itself was called as it should be: one that holds the lock meanwhile."""
    settled: Future[None] = Future()
    with world.lock, pytest.raises(AssertionError, match="with the broker's lock held"):
        world.if_asked(lambda: None)(settled)
