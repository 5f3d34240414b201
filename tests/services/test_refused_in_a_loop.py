"""Code that asks in a loop, however it varies: it has few questions and few rows, and its refusals are summed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connvault_jupyter.contracts.access import HandleUse, Requester, RevokeOwn
from connvault_jupyter.contracts.connections import DeleteSecret, UpdateConnection
from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.errors import (
    AccessDenied,
    ConnectionNotFound,
    ConnvaultError,
    ConsentTimeout,
    ConsentWithdrawn,
    NoApprover,
    NotAllowed,
    StorageFull,
    TooManyQuestions,
)
from connvault_jupyter.services.access.refusal_log import MAX_NOTED, NOTED_EVERY_S
from connvault_jupyter.services.consent.throttle import MAX_UNANSWERED, MAX_UNANSWERED_IN_ALL
from tests.support.services.service_world import World, gone, notebook, unasked

TRIES = 60


@pytest.fixture
def world() -> World:
    # Without a grace for a page that is being loaded, so that a loop is as quick as it can be.
    world = World(consent=ConsentSettings(approver_grace_s=0))
    for number in range(TRIES):
        world.connection(f"c{number}")
    return world


def detached(number: int) -> Requester:
    """A new process without a name."""
    return notebook().model_copy(
        update={
            "kind": "detached",
            "key": f"detached:{number}",
            "instance": f"process:{number}",
            "durable": False,
        }
    )


ASKERS: dict[str, Callable[[int], Requester]] = {
    "a notebook": lambda _: notebook(),
    "each time another run": lambda number: notebook(run=number),
    "each time another process": detached,
}


def looped(
    world: World, asker: Callable[[int], Requester], end: str, names: Callable[[int], str]
) -> tuple[int, list[ConnvaultError]]:
    """Asks again and again within a few seconds, with other claims each time. (questions, refusals)"""
    if end == "nobody there":
        world.consent.approvers(0)
    asked = 0
    refused: list[ConnvaultError] = []
    for number in range(TRIES):
        caller = world.start(
            asker(number), names(number), agent=f"agent {number}", reason=f"reason {number}", timeout_s=0.01
        )
        if not caller.waits:
            with pytest.raises(NotAllowed) as found:
                caller.finished()
            refused.append(found.value)
            continue
        asked += 1
        if end == "hangs up":
            caller.go_away()
            assert caller.error is ConsentWithdrawn
        elif end == "times out":
            world.clock.forward(0.02)
            world.consent.tick()
            assert caller.error is ConsentTimeout
        elif end == "is refused":
            world.decide("deny")
            assert caller.error is AccessDenied
        else:
            world.consent.tick()
            assert caller.error is NoApprover
    return asked, refused


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("end", ["hangs up", "times out", "nobody there", "is refused"])
def test_about_one_connection_a_loop_asks_a_few_times(world: World, asker: str, end: str) -> None:
    """Then it has to wait, and is told how long; also with nobody there."""
    asked, refused = looped(world, ASKERS[asker], end, lambda _: "c0")
    assert asked == (1 if end in {"times out", "is refused"} else MAX_UNANSWERED + 1)
    assert len(refused) == TRIES - asked
    assert {one.details["reason"] for one in refused} == {"cooldown"}
    assert all(0 < one.details["retry_after_s"] <= 30 for one in refused)


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("end", ["hangs up", "times out", "nobody there", "is refused"])
def test_under_other_connection_names_a_loop_asks_a_few_times_more(
    world: World, asker: str, end: str
) -> None:
    """Sixty connections are no way to ask sixty times."""
    asked, refused = looped(world, ASKERS[asker], end, lambda number: f"c{number}")
    assert asked == MAX_UNANSWERED_IN_ALL + 1
    assert {one.details["reason"] for one in refused} == {"cooldown"}
    world.clock.forward(30)
    world.consent.approvers(1)
    world.request(ASKERS[asker](1), world.answer("once"), "c0")


def test_a_summed_row_names_what_all_its_refusals_have_in_common(world: World) -> None:
    """The connection, the requester and the reason, here; what differs is left out."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"), "c0")
    for _ in range(MAX_NOTED + 5):
        with pytest.raises(AccessDenied):
            world.request(notebook(), unasked, "c0")
    world.clock.forward(NOTED_EVERY_S)
    world.consent.tick()
    (summed,) = [row for row in world.record() if row.count is not None]
    assert (summed.connection, summed.requester_key, summed.code) == ("c0", notebook().key, "access_denied")


@pytest.mark.parametrize("asker", ASKERS)
def test_the_record_of_a_loop_is_short_and_says_how_often(world: World, asker: str) -> None:
    """The questions themselves, a few refusals, and one row that sums up the others."""
    before = len(world.record())
    asked, refused = looped(world, ASKERS[asker], "hangs up", lambda number: f"c{number % 30}")
    for number in range(1000):
        with pytest.raises(AccessDenied):
            world.request(ASKERS[asker](number), unasked, f"c{number % TRIES}")
    rows = world.record()[before:]
    noted = [row for row in rows if row.type == "access:refused"]
    assert len(rows) == 2 * asked + len(noted)
    assert len(noted) == MAX_NOTED
    world.clock.forward(NOTED_EVERY_S)
    world.consent.tick()
    (summed,) = [row for row in world.record()[before:] if row.count is not None]
    assert (summed.type, summed.outcome, summed.code) == ("access:refused", "refused", "access_denied")
    assert summed.count == len(refused) + 1000 - MAX_NOTED
    assert summed.connection is None
    assert summed.requester_key == (None if asker == "each time another process" else notebook().key)
    world.clock.forward(NOTED_EVERY_S)
    world.consent.tick()
    assert sum(row.count is not None for row in world.record()) == 1


def test_sums_of_one_kind_say_which(world: World) -> None:
    """One requester, one connection, one code."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"), "c0")
    for _ in range(20):
        with pytest.raises(AccessDenied):
            world.request(notebook(), unasked, "c0")
    world.consent.interrupt_all()
    row = world.record()[-1]
    assert (row.count, row.code, row.connection, row.requester_label) == (
        19,
        "access_denied",
        "c0",
        "report.ipynb",
    )


def test_on_a_full_disk_the_count_goes_on_until_it_can_be_recorded(world: World) -> None:
    """The refusals stand meanwhile."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"), "c0")
    for full in (False, True):
        world.storage.record_full = full
        for _ in range(10):
            with pytest.raises(AccessDenied):
                world.request(notebook(), unasked, "c0")
        world.clock.forward(NOTED_EVERY_S - 1)
        world.consent.tick()
    assert all(row.count is None for row in world.record())
    world.storage.record_full = False
    world.clock.forward(NOTED_EVERY_S)
    world.consent.tick()
    (summed,) = [row for row in world.record() if row.count is not None]
    assert summed.count == 19


def test_another_notebook_is_not_held_up_by_a_loop(world: World) -> None:
    """Neither its questions nor its rows."""
    looped(world, ASKERS["a notebook"], "hangs up", lambda number: f"c{number}")
    other = notebook("other.ipynb")
    with pytest.raises(AccessDenied):
        world.request(other, world.answer("deny"), "c0")
    with pytest.raises(AccessDenied):
        world.request(other, unasked, "c0")
    assert world.record()[-1].requester_label == "other.ipynb"


def test_what_is_refused_as_too_many_says_how_long_to_wait(world: World) -> None:
    """Until the first of the open ones ends."""
    callers = [world.start(notebook(), f"c{number}", timeout_s=10.0 + number) for number in range(5)]
    world.clock.forward(2)
    with pytest.raises(TooManyQuestions) as refused:
        world.request(notebook(), unasked, "c9")
    assert refused.value.details == {"retry_after_s": 8}
    for caller in callers:
        caller.go_away()


def test_joining_a_question_in_a_loop_tells_the_page_of_it_once(world: World) -> None:
    """Whoever comes to an open question and goes again is no news, whatever it says."""
    first = world.start(notebook(), "c0")
    world.events.clear()
    for number in range(TRIES):
        with pytest.raises(ConsentWithdrawn):
            world.request(notebook(), gone, "c0", reason=f"reason {number % 5}")
    assert sum(event.event == "access_request:asked" for event in world.events) == 5
    first.go_away()


def test_after_a_restart_of_the_broker_nobody_has_to_wait(world: World) -> None:
    """What was counted was in memory; of what was stored nothing is lost."""
    looped(world, ASKERS["a notebook"], "hangs up", lambda _: "c0")
    restarted = World(storage=(world.storage, world.stores), unlocked=False, broker="2:2", clock=world.clock)
    restarted.keyring.items.update(world.keyring.items)
    restarted.secrets.open_at_start()
    restarted.request(notebook(), restarted.answer("once"), "c0")


def locked(world: World) -> None:
    world.secrets.lock(actor="ada")


def without_secret(world: World) -> None:
    (connection,) = [one for one in world.connections.list().connections if one.connection.name == "c0"]
    given = {"id": connection.connection.id, "field": "password"}
    world.connections.delete_secret(DeleteSecret.model_validate(given), actor="ada")


def edited(world: World) -> None:
    for key, stored in tuple(world.storage.tables.connections.items()):
        world.storage.tables.connections[key] = replace(stored, mac=b"x" * 32)


def plain_text_forbidden(world: World) -> None:
    for view in world.connections.list().connections:
        given = {"id": view.connection.id, "revision": view.connection.revision, "reveal_allowed": False}
        world.connections.update(UpdateConnection.model_validate(given), actor="ada")


def nothing(_: World) -> None:
    """Nothing happens."""


def ended(world: World) -> None:
    world.runs.ended.add(notebook().instance)


# What a requester may try, given the ref of a handle of `c0`.
TRIED: dict[str, Callable[[World, str], object]] = {
    "request": lambda world, _: world.request(notebook(), unasked, "c0", agent="another agent"),
    "deliver": lambda world, ref: world.deliver(notebook(), ref),
    "open": lambda world, ref: world.open(notebook(), ref),
    "login": lambda world, ref: world.login(notebook(), ref),
    "check": lambda world, ref: world.check(notebook(), ref),
    "reveal": lambda world, ref: world.reveal(notebook(), ref, unasked),
}

REFUSED: dict[str, tuple[Callable[[World], None], Callable[[World, str], object], str, str | None]] = {
    "an unknown name": (
        nothing,
        lambda world, _: world.request(notebook(), unasked, "no-such"),
        "connection_not_found",
        None,
    ),
    "an unknown name given back": (
        nothing,
        lambda world, _: world.access.revoke_own(notebook(), RevokeOwn(connection="no-such")),
        "connection_not_found",
        None,
    ),
    "another notebook's handle let go of": (
        nothing,
        lambda world, ref: world.access.release(notebook("other.ipynb"), HandleUse(ref=ref)),
        "handle_invalid",
        None,
    ),
    "a run that is over": (ended, TRIED["request"], "not_allowed", "c0"),
    "an unknown ref": (nothing, lambda world, _: world.deliver(notebook(), "x" * 43), "handle_invalid", None),
    "the wrong way": (nothing, TRIED["open"], "not_allowed", "c0"),
    "plain text that is forbidden": (plain_text_forbidden, TRIED["reveal"], "reveal_forbidden", "c0"),
    **{
        f"{name}, {what}": (happening, tried, code, "c0")
        for name, happening, code in (
            ("locked", locked, "vault_locked"),
            ("no secret", without_secret, "secret_missing"),
            ("edited", edited, "connection_not_ready"),
        )
        for what, tried in TRIED.items()
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_is_on_record_and_a_loop_of_it_makes_two_rows_a_minute(case: str) -> None:
    """Whatever it was refused for, with or without keys: one row now, and how often when the half minute is over."""
    world = World()
    world.connection("c0")
    ref = world.request(notebook(), world.answer("always"), "c0").ref
    happens, tried, code, name = REFUSED[case]
    happens(world)
    before = len(world.record())
    for _ in range(50):
        with pytest.raises(ConnvaultError):
            tried(world, ref)
    (row,) = world.record()[before:]
    assert (row.type, row.outcome, row.code, row.connection) == ("access:refused", "refused", code, name)
    world.clock.forward(NOTED_EVERY_S)
    world.consent.tick()
    (summed,) = [one for one in world.record()[before:] if one.count is not None]
    assert (summed.code, summed.count, summed.connection) == (code, 49, name)
    assert world.audit.verify().consistent


def test_guessed_names_are_one_kind_of_refusal_and_are_not_kept(world: World) -> None:
    """They are foreign text and may be anything, also a secret in the wrong place."""
    before = len(world.record())
    guesses = ["hunter2-is-my-password", "x" * 64, *(f"name-{number}" for number in range(500))]
    for guess in guesses:
        with pytest.raises(ConnectionNotFound):
            world.request(notebook(), unasked, guess)
    (row,) = world.record()[before:]
    assert row.connection is None
    assert not [guess for guess in guesses if guess in row.model_dump_json()]


def test_a_question_that_is_answered_with_no_is_on_record_once(world: World) -> None:
    """What a question stands for is no refusal beside it."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"), "c0")
    with pytest.raises(ConsentWithdrawn):
        world.request(notebook("other.ipynb"), gone, "c0")
    assert "access:refused" not in world.recorded()


def test_a_use_that_the_disk_has_no_room_for_stays_that_error(world: World) -> None:
    """It is no refusal, and nothing could be recorded."""
    ref = world.request(notebook(), world.answer("always"), "c0").ref
    world.storage.record_full = True
    with pytest.raises(StorageFull):
        world.deliver(notebook(), ref)
    world.storage.record_full = False
    world.clock.forward(NOTED_EVERY_S)
    world.consent.tick()
    assert "access:refused" not in world.recorded()
