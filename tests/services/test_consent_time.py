"""Questions while time passes: deadlines, pauses, nobody there, many callers."""

from __future__ import annotations

import pytest

from connvault_jupyter.contracts.access import Decide, DecisionKind, GrantFilter, Requester, RequesterKind
from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import (
    AccessDenied,
    AccessRequestDecided,
    ConsentInterrupted,
    ConsentTimeout,
    ConsentWithdrawn,
    NoApprover,
    NotAllowed,
    TooManyQuestions,
)
from connvault_jupyter.services.consent.throttle import MAX_UNANSWERED
from tests.support.services.open_questions import leave_open
from tests.support.services.open_questions import world as world
from tests.support.services.service_world import PERSON, World, gone, notebook, unasked


@pytest.mark.parametrize(
    ("callers", "configured", "expected"), [(5.0, 60, 5), (600.0, 60, 60), (None, 20, 20)]
)
def test_the_smaller_of_the_two_time_outs_counts(
    callers: float | None, configured: float, expected: float
) -> None:
    """The caller's and the configured one."""
    world = World(consent=ConsentSettings(timeout_s=configured))
    world.connection()
    caller = leave_open(world, timeout_s=callers)
    assert world.question().remaining_ms == expected * 1000
    world.clock.forward(expected - 0.001)
    world.consent.tick()
    assert caller.waits
    world.clock.forward(0.001)
    world.consent.tick()
    assert caller.error is ConsentTimeout


def test_when_nobody_answers_that_is_another_code_than_a_no(world: World) -> None:
    """And it is on record as such."""
    with pytest.raises(ConsentTimeout):
        world.request(notebook(), world.later(60))
    row = world.record()[-1]
    assert (row.type, row.code) == ("access:expired", "consent_timeout")
    assert not world.stores.questions.all()


def test_a_decision_after_the_deadline_is_too_late(world: World) -> None:
    """The deadline is the broker's, whether or not its timer has looked."""
    caller = leave_open(world)
    question = world.question()
    world.clock.forward(60)
    with pytest.raises(AccessRequestDecided):
        world.consent.decide(Decide(id=question.id, decision="once", digest=question.digest), actor="ada")
    assert caller.error is ConsentTimeout


@pytest.mark.parametrize("first", ["deny", "time-out"])
def test_after_a_no_or_a_time_out_the_same_two_wait_thirty_seconds(world: World, first: str) -> None:
    """A loop does not bombard the person; others are not held up."""
    with pytest.raises((AccessDenied, ConsentTimeout)):
        world.request(notebook(), world.answer("deny") if first == "deny" else world.later(60))
    world.connection("other")
    world.clock.forward(29.5)
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), unasked, agent="another name")
    assert refused.value.details == {"reason": "cooldown", "retry_after_s": 1}
    world.request(notebook(), world.answer("once"), name="other")
    world.request(notebook("other.ipynb"), world.answer("once"))
    world.clock.forward(0.5)
    world.request(notebook(), world.answer("once"))


def test_when_a_loop_asks_after_every_no_the_record_is_not_flooded(world: World) -> None:
    """One row for the kind of refusal, not one for each turn of the loop."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))
    for _ in range(200):
        with pytest.raises(AccessDenied):
            world.request(notebook(), unasked)
    assert world.recorded().count("access:refused") == 1


def test_when_the_asker_goes_away_there_is_no_pause(world: World) -> None:
    """Whoever interrupts a cell may run it again."""
    with pytest.raises(ConsentWithdrawn):
        world.request(notebook(), gone)
    assert world.recorded()[-1] == "access:withdrawn"
    assert not world.consent.questions().access_requests
    world.request(notebook(), world.answer("once"))


def test_a_requester_that_asks_and_goes_away_in_a_loop_has_to_wait(world: World) -> None:
    """A dialog that comes and goes again and again is a bombardment too."""
    for _ in range(MAX_UNANSWERED + 1):
        with pytest.raises(ConsentWithdrawn):
            world.request(notebook(), gone)
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), unasked)
    assert refused.value.details["reason"] == "cooldown"
    world.clock.forward(30)
    world.request(notebook(), world.answer("once"))


def test_when_withdrawn_now_and_then_there_is_no_pause(world: World) -> None:
    """A person who goes on working on a cell."""
    for _ in range(20):
        with pytest.raises(ConsentWithdrawn):
            world.request(notebook(), gone)
        world.clock.forward(10)


def outside(kind: RequesterKind, number: int) -> Requester:
    """A process that is no kernel's child, under a name of its own choice."""
    return notebook().model_copy(
        update={"kind": kind, "key": f"{kind}:{number}", "instance": f"process:{number}", "durable": False}
    )


@pytest.mark.parametrize("kind", ["detached", "script"])
def test_after_a_no_another_process_outside_of_kernels_waits_too(world: World, kind: RequesterKind) -> None:
    """Each new process is another requester by name; that must not be a way round the pause. Notebooks go on."""
    with pytest.raises(AccessDenied):
        world.request(outside("detached", 1), world.answer("deny"))
    with pytest.raises(AccessDenied) as refused:
        world.request(outside(kind, 2), unasked)
    assert refused.value.details["reason"] == "cooldown"
    world.request(notebook(), world.answer("once"))


def test_five_questions_are_all_that_processes_outside_of_kernels_have(world: World) -> None:
    """However many there are; a notebook still gets its own."""
    for number in range(5):
        assert world.start(outside("detached", number)).waits
    assert world.start(outside("script", 9)).error is TooManyQuestions
    assert world.start(notebook()).waits


def test_nobody_can_ask_in_the_name_of_a_run_that_is_over(world: World) -> None:
    """Its connection to the broker may be in other hands; not even a standing grant counts."""
    world.request(notebook(), world.answer("always"))
    world.runs.ended.add(notebook().instance)
    with pytest.raises(NotAllowed):
        world.request(notebook(), unasked)


def test_when_five_questions_wait_a_sixth_is_refused(world: World) -> None:
    """For one requester; another one may ask."""
    for number in range(6):
        world.connection(f"c{number}")
    for number in range(5):
        leave_open(world, name=f"c{number}")
    with pytest.raises(TooManyQuestions):
        world.request(notebook(), unasked, name="c5")
    with pytest.raises(TooManyQuestions):
        world.request(notebook(run=2), unasked, name="c5")
    leave_open(world, name="c4")
    assert len(world.consent.questions().access_requests) == 5


def test_a_broker_that_was_told_of_no_tab_has_no_approver() -> None:
    """It has just begun, and waits for the grace as if the last one had been closed."""
    world = World(approvers=None)
    world.connection()
    with pytest.raises(NoApprover):
        world.request(notebook(), world.later(3))


def test_hearing_again_of_no_tab_does_not_begin_the_grace_anew(world: World) -> None:
    """The server says so whenever a tab closes, also one that could show nothing."""
    world.consent.approvers(0)
    caller = leave_open(world)
    world.clock.forward(2.9)
    world.consent.approvers(0)
    world.clock.forward(0.1)
    world.consent.tick()
    assert caller.error is NoApprover


def test_when_no_tab_is_open_for_the_grace_there_is_no_approver(world: World) -> None:
    """Three seconds from the asking on, and there is no pause afterwards."""
    world.consent.approvers(0)
    world.clock.forward(3600)
    caller = leave_open(world)
    world.clock.forward(2.9)
    world.consent.tick()
    assert caller.waits
    world.clock.forward(0.1)
    world.consent.tick()
    assert caller.error is NoApprover
    assert world.record()[-1].code == "no_approver"
    leave_open(world)


def test_when_the_page_is_reloaded_the_question_stays(world: World) -> None:
    """The tab is back within the grace."""
    caller = leave_open(world)
    world.clock.forward(10)
    world.consent.approvers(0)
    world.clock.forward(2)
    world.consent.tick()
    world.consent.approvers(1)
    world.clock.forward(20)
    world.consent.tick()
    assert caller.waits


def test_when_the_broker_ends_in_good_order_all_are_interrupted(world: World) -> None:
    """Each is told, and nothing is left open."""
    callers = [leave_open(world), leave_open(world, 2)]
    world.consent.interrupt_all()
    assert [caller.error for caller in callers] == [ConsentInterrupted] * 2
    assert not world.stores.questions.all()


def test_the_questions_of_a_dead_broker_are_closed_and_no_others(world: World) -> None:
    """One row for each question, whoever starts next; a living server's question is left alone."""
    leave_open(world, reason="monthly report")
    living = World(storage=(world.storage, world.stores), unlocked=False, broker="1:1")
    living.keyring.items.update(world.keyring.items)
    living.secrets.open_at_start()
    leave_open(living, 2)
    world.consent.close_orphans(lambda broker: broker == "1:1")
    assert len(world.stores.questions.all()) == 2
    for _ in range(2):
        nxt = World(storage=(world.storage, world.stores), unlocked=False, broker="2:2")
        nxt.consent.close_orphans(lambda broker: broker == "1:1")
    rows = [row for row in world.record() if row.type == "access:interrupted"]
    assert [(row.code, row.requester_instance, row.reason_claim) for row in rows] == [
        ("consent_interrupted", notebook().instance, "monthly report")
    ]
    assert [one.broker for one in world.stores.questions.all()] == ["1:1"]


def test_when_a_grant_expires_the_operator_is_told(world: World) -> None:
    """The list in the panel must not show what is over."""
    world.request(notebook(), world.answer("for", seconds=60))
    world.consent.tick()
    world.events.clear()
    world.clock.forward(60)
    world.consent.tick()
    assert "grants:changed" in [event.event for event in world.events]
    assert not world.consent.grants(GrantFilter()).grants


def test_a_grant_that_expires_while_the_vault_is_locked_is_told(world: World) -> None:
    """It stays in the list, where only the keys tell a forged one, and counts no more."""
    world.request(notebook(), world.answer("for", seconds=60))
    world.consent.tick()
    world.secrets.lock(actor="ada")
    world.events.clear()
    world.clock.forward(60)
    world.consent.tick()
    assert "grants:changed" in [event.event for event in world.events]
    assert len(world.stores.grants.all()) == 1


def test_uses_are_stored_once_a_second_however_often_time_is_looked_at(world: World) -> None:
    """Each is a write; the record has every use by itself."""
    ref = world.request(notebook(), world.answer("session")).ref
    world.consent.tick()
    stored = []
    for _ in range(4):
        world.clock.forward(0.5)
        world.deliver(notebook(), ref)
        world.consent.tick()
        (one,) = world.stores.grants.all()
        stored.append(one.uses)
    assert stored == [0, 2, 2, 4]


def test_a_grant_that_will_expire_is_told_to_nobody_before(world: World) -> None:
    """Else every page asked anew at each tick."""
    world.request(notebook(), world.answer("for", seconds=60))
    world.consent.tick()
    world.events.clear()
    for _ in range(59):
        world.clock.forward(1)
        world.consent.tick()
    assert "grants:changed" not in [event.event for event in world.events]


@pytest.mark.parametrize(
    ("decision", "after_s"), [("once", 3600), ("for", 28_800), ("always", 30 * 86_400)], ids=str
)
def test_an_expired_grant_leaves_the_list_and_stays_on_record(
    world: World, decision: DecisionKind, after_s: int
) -> None:
    """Lists that only grow hide what counts."""
    world.request(notebook(), world.answer(decision))
    world.clock.forward(after_s - 1)
    world.consent.tick()
    assert len(world.stores.grants.all()) == 1
    recorded = world.recorded()
    world.clock.forward(1)
    world.consent.tick()
    assert not world.stores.grants.all()
    assert world.recorded() == recorded


def test_when_a_run_ended_unnoticed_its_grants_leave_the_list(world: World) -> None:
    """Within seconds, and the operator is told."""
    world.request(notebook(), world.answer("session"))
    world.consent.tick()
    world.runs.ended.add(notebook().instance)
    world.events.clear()
    world.clock.forward(10)
    world.consent.tick()
    assert not world.stores.grants.all()
    assert [event.event for event in world.events] == ["grants:changed"]


def test_an_expired_grant_that_is_forged_stays_in_the_list(world: World) -> None:
    """Somebody wrote it, and a person must see that; while the vault is locked nobody can tell."""
    world.request(notebook(), world.answer("for"))
    genuine = world.stores.grants.all()[0].grant
    world.stores.grants.add(genuine.model_copy(update={"id": "forged"}), b"no mac")
    world.secrets.lock(actor=PERSON)
    world.clock.forward(28_800)
    world.consent.tick()
    assert len(world.stores.grants.all()) == 2
    world.secrets.unlock(UnlockVault(), actor=PERSON)
    world.clock.forward(10)
    world.consent.tick()
    (left,) = world.consent.grants(GrantFilter()).grants
    assert (left.grant.id, left.reason_not) == ("forged", "forged")
