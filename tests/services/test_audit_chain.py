"""The record: chained, MAC-ed, bounded; every way to edit it is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.contracts.audit import AuditEvent, AuditFilter, OwnAuditFilter
from connvault_jupyter.contracts.connections import ConnectionRef
from connvault_jupyter.contracts.providers import Mode
from connvault_jupyter.errors import ConsentWithdrawn, StorageError
from connvault_jupyter.services.audit import chain
from connvault_jupyter.services.audit.service import ROWS_BETWEEN_SIZE_CHECKS, USE_DAYS, VERIFIED_AT_ONCE
from connvault_jupyter.services.canonical import canonical_contract
from connvault_jupyter.services.ports import ChainLink, Position
from connvault_jupyter.services.secrets.generations import Unlocked
from tests.support import properties as properties
from tests.support.canary import CANARY
from tests.support.services.service_world import World, gone, notebook
from tests.support.services.stand_ins import NOON


def rows(world: World, number: int) -> list[ChainLink]:
    """A record of so many rows, all seen by this process."""
    while len(world.storage.tables.audit) < number:
        world.audit.record("connection:tested", decided_by="ada")
    world.consent.tick()
    return world.storage.tables.audit


def unlocked(world: World) -> Unlocked:
    with world.lock:
        found = world.secrets._held.now
    assert found is not None
    return found


def relinked(links: list[ChainLink]) -> list[ChainLink]:
    """What somebody without the keys can do: number and hash all rows anew."""
    found: list[ChainLink] = []
    previous = Position().digest
    for number, one in enumerate(links, 1):
        made = chain.link(one.event.model_copy(update={"sequence": number}), previous, None)
        found.append(made)
        previous = made.digest
    return found


def test_an_untouched_record_is_consistent_and_keyed() -> None:
    """Over several chunks."""
    world = World()
    number = VERIFIED_AT_ONCE + 20
    rows(world, number)
    found = world.audit.verify()
    assert (found.consistent, found.events, found.first_sequence, found.keyed, found.broken_at) == (
        True,
        number,
        1,
        True,
        None,
    )


def test_a_row_for_which_no_room_can_be_made_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row and what keeps the record bounded are one step, also outside of any other."""
    world = World()
    monkeypatch.setattr(world.stores.audit, "size_bytes", lambda: 1 << 62)

    def fails(*_given: object) -> None:
        raise StorageError("the disk does not answer")

    monkeypatch.setattr(world.stores.audit, "prune", fails)
    written = len(world.storage.tables.audit)
    with pytest.raises(StorageError):
        rows(world, written + ROWS_BETWEEN_SIZE_CHECKS)
    assert len(world.storage.tables.audit) == ROWS_BETWEEN_SIZE_CHECKS - 1
    assert world.audit.verify().consistent


@pytest.mark.parametrize("mode", [None, "reveal"])
def test_an_event_has_the_mode_of_its_grant_unless_it_says_another(mode: Mode | None) -> None:
    """As an event that tells a connection's own mode does."""
    world = World()
    world.connection()
    world.request(notebook(), world.answer("always"))
    (grant,) = world.grants()
    assert grant.mode != mode
    assert world.audit.record("access:used", grant=grant, mode=mode).mode == (mode or grant.mode)


def test_an_empty_record_is_consistent_but_not_keyed() -> None:
    """There is nothing to be sure of."""
    found = World(unlocked=False).audit.verify()
    assert (found.consistent, found.events, found.keyed) == (True, 0, False)


NUMBER = 6

Edit = Callable[[list[ChainLink], int], list[ChainLink]]


def _event(links: list[ChainLink], at: int) -> list[ChainLink]:
    return _with(links, at, event=links[at].event.model_copy(update={"decided_by": "mallory"}))


def _event_and_body(links: list[ChainLink], at: int) -> list[ChainLink]:
    event = links[at].event.model_copy(update={"decided_by": "mallory"})
    return _with(links, at, event=event, body=canonical_contract(event))


def _rehashed(links: list[ChainLink], at: int) -> list[ChainLink]:
    event = links[at].event.model_copy(update={"decided_by": "mallory"})
    return _with(links, at, **chain.link(event, links[at].previous, None).__dict__)


def _removed(links: list[ChainLink], at: int) -> list[ChainLink]:
    return [*links[:at], *links[at + 1 :]]


def _swapped(links: list[ChainLink], at: int) -> list[ChainLink]:
    other = at - 1 if at else 1
    found = [*links]
    found[at], found[other] = found[other], found[at]
    return found


def _inserted(links: list[ChainLink], at: int) -> list[ChainLink]:
    return [*links[:at], links[at], *links[at:]]


def _mac(links: list[ChainLink], at: int) -> list[ChainLink]:
    return _with(links, at, mac=bytes(32))


def _moved_in_time(links: list[ChainLink], at: int) -> list[ChainLink]:
    return _with(
        links, at, event=links[at].event.model_copy(update={"at": links[at].event.at + timedelta(seconds=1)})
    )


def _with(links: list[ChainLink], at: int, **changes: object) -> list[ChainLink]:
    return [*links[:at], replace(links[at], **changes), *links[at + 1 :]]  # type: ignore[arg-type]


@pytest.mark.parametrize("at", range(NUMBER))
@pytest.mark.parametrize(
    "edit",
    [_event, _event_and_body, _rehashed, _removed, _swapped, _inserted, _mac, _moved_in_time],
    ids=lambda edit: edit.__name__,
)
def test_an_edited_row_of_the_record_is_noticed(edit: Edit, at: int) -> None:
    """The first, the last, and each between."""
    world = World()
    world.storage.tables.audit[:] = edit(rows(world, NUMBER)[:], at)
    found = world.audit.verify()
    assert not found.consistent
    assert not found.keyed
    assert found.broken_at is not None
    # A swap shows at the first of the two.
    assert at <= found.broken_at <= at + 2


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 11), min_size=1, max_size=6),
    st.sampled_from([_removed, _swapped, _inserted, _rehashed]),
)
def test_any_number_of_edited_rows_is_noticed(places: list[int], edit: Edit) -> None:
    """Edits do not hide each other, unless they undo each other."""
    world = World()
    original = rows(world, 12)[:]
    edited = original
    for place in places:
        if len(edited) > 1:
            edited = edit(edited, min(place, len(edited) - 1))
    world.storage.tables.audit[:] = edited
    assert world.audit.verify().consistent == (edited == original)


@pytest.mark.parametrize("cut", [1, 3, NUMBER])
def test_a_record_whose_end_was_cut_off_is_noticed_by_this_process(cut: int) -> None:
    """It remembers how far the record had come."""
    world = World()
    links = rows(world, NUMBER)
    del links[NUMBER - cut :]
    found = world.audit.verify()
    assert (found.consistent, found.broken_at) == (False, NUMBER - cut + 1)


def test_a_rewritten_record_is_noticed_by_this_process() -> None:
    """A new chain of the right length is not the one that was seen."""
    world = World()
    links = rows(world, NUMBER)
    links[:] = relinked([*links[1:], links[0]])
    assert not world.audit.verify().consistent


def test_a_record_that_was_rewritten_without_the_keys_is_not_keyed() -> None:
    """Another process has seen nothing of it, and can tell by the missing MACs."""
    world = World()
    links = rows(world, NUMBER)
    links[:] = relinked(links[1:])
    nxt = World(storage=(world.storage, world.stores), unlocked=False)
    nxt.secrets._held.hold(unlocked(world))
    found = nxt.audit.verify()
    assert (found.consistent, found.keyed) == (True, False)


def test_rows_written_while_locked_are_covered_by_later_keyed_rows() -> None:
    """Consistent all along; keyed again with the unlock."""
    world = World()
    rows(world, 3)
    world.secrets.lock(actor="ada")
    rows(world, 6)
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, False)
    world.secrets.open_at_start()
    assert world.audit.verify().keyed
    unkeyed = world.storage.tables.audit[4]
    assert unkeyed.mac is None
    world.storage.tables.audit[4] = replace(
        chain.link(unkeyed.event.model_copy(update={"decided_by": "mallory"}), unkeyed.previous, None)
    )
    assert world.audit.verify().broken_at == 6


def pruned() -> World:
    world = World(audit_max_bytes=65_536)
    for _ in range(ROWS_BETWEEN_SIZE_CHECKS * 2):
        world.audit.record("connection:tested", decided_by="ada")
    world.consent.tick()
    assert world.stores.audit.checkpoint() is not None
    return world


def test_a_record_over_its_bound_is_pruned_and_verifies() -> None:
    """From the checkpoint on, which has its MAC."""
    world = pruned()
    checkpoint = world.stores.audit.checkpoint()
    assert checkpoint is not None
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, True)
    assert found.first_sequence == checkpoint.sequence + 1
    assert found.events == len(world.storage.tables.audit)
    assert "audit:pruned" in world.recorded()


def test_the_record_stays_near_its_bound_however_long_it_runs() -> None:
    """Checks are not made for each row, so a little above."""
    world = World(audit_max_bytes=65_536)
    for _ in range(12 * ROWS_BETWEEN_SIZE_CHECKS):
        world.audit.record("connection:tested", decided_by="ada")
    assert world.stores.audit.size_bytes() < 65_536 + 2 * ROWS_BETWEEN_SIZE_CHECKS * 600
    assert world.audit.verify().consistent


@pytest.mark.parametrize("what", ["digest", "mac", "sequence", "gone", "first row"])
def test_an_edited_checkpoint_is_noticed(what: str) -> None:
    """Cutting off more, or hiding that something was cut off."""
    world = pruned()
    checkpoint = world.stores.audit.checkpoint()
    assert checkpoint is not None
    marks = world.storage.tables.checkpoint
    if what == "digest":
        marks[:] = [replace(checkpoint, digest=bytes(32))]
    elif what == "mac":
        marks[:] = [replace(checkpoint, mac=bytes(32))]
    elif what == "sequence":
        marks[:] = [replace(checkpoint, sequence=checkpoint.sequence + 1)]
    elif what == "gone":
        marks[:] = []
    else:
        del world.storage.tables.audit[0]
    assert not world.audit.verify().consistent


def test_a_record_that_was_cut_further_without_the_keys_is_not_keyed() -> None:
    """A checkpoint without a MAC is one that anybody can make."""
    world = pruned()
    first = world.storage.tables.audit[0]
    world.storage.tables.checkpoint[:] = [chain.checkpoint(first.event.sequence, first.digest, None)]
    del world.storage.tables.audit[0]
    found = world.audit.verify()
    assert (found.consistent, found.keyed) == (True, False)


def test_a_record_verifies_while_another_server_writes_and_prunes() -> None:
    """Rows come and go between two chunks."""
    world = World()
    rows(world, VERIFIED_AT_ONCE + 50)
    read = world.stores.audit.chain
    turns = 0

    def busy(after: int, limit: int) -> object:
        nonlocal turns
        turns += 1
        if turns == 1:
            cut = world.storage.tables.audit[100]
            world.stores.audit.prune(chain.checkpoint(101, cut.digest, unlocked(world)))
        if turns < 5:
            world.audit.record("connection:tested")
        return read(after, limit)

    world.stores.audit.chain = busy  # type: ignore[method-assign,assignment]
    found = world.audit.verify()
    assert (found.consistent, found.first_sequence) == (True, 102)


def test_the_list_of_the_record_is_paged_and_filtered() -> None:
    """Newest first; the next page begins where this one ends."""
    world = World()
    rows(world, 10)
    first = world.audit.list(AuditFilter(limit=4))
    assert [event.sequence for event in first.events] == [10, 9, 8, 7]
    last = world.audit.list(AuditFilter(limit=100, before=first.next_before))
    assert [event.sequence for event in last.events] == [6, 5, 4, 3, 2, 1]
    assert last.next_before is None
    assert len(world.audit.list(AuditFilter(type="vault:set_up")).events) == 1


def test_a_requester_sees_its_own_rows_only() -> None:
    """Of all its runs, and of one connection if it likes."""
    world = World()
    world.connection()
    world.connection("other")
    world.request(notebook(), world.answer("once"))
    world.request(notebook(run=2), world.answer("once"), name="other")
    world.request(notebook("b.ipynb"), world.answer("once"))
    own = world.audit.own(notebook(run=3), OwnAuditFilter()).events
    assert {event.requester_key for event in own} == {notebook().key}
    assert {event.connection for event in own} == {"warehouse", "other"}
    one = world.audit.own(notebook(), OwnAuditFilter(connection="other")).events
    assert {event.connection for event in one} == {"other"}


def test_a_requester_does_not_see_what_became_of_its_claims() -> None:
    """A right guess of the secret is masked and a wrong one is not: nobody may tell them apart without a yes."""
    world = World()
    world.connection()
    for guess in (CANARY, "no such secret"):
        with pytest.raises(ConsentWithdrawn):
            world.request(notebook(), gone, reason=guess, agent=guess[:60])
    own = world.audit.own(notebook(), OwnAuditFilter()).events
    assert len(own) == 4
    assert {(event.reason_claim, event.agent) for event in own} == {(None, None)}
    shown = world.audit.list(AuditFilter()).events
    assert {event.reason_claim for event in shown if event.type == "access:asked"} == {
        "[secret]",
        "no such secret",
    }


def test_uses_are_counted_by_day_with_days_without() -> None:
    """Fourteen of them, today last."""
    world = World()
    connection = world.connection()
    asked = world.request(notebook(), world.answer("always"))
    world.deliver(notebook(), asked.ref)
    world.clock.forward(3 * 86_400)
    world.deliver(notebook(), asked.ref)
    world.check(notebook(), asked.ref)
    days = world.connections.uses(ConnectionRef(id=connection.id)).days
    assert [day.uses for day in days] == [0] * 10 + [1, 0, 0, 2]
    assert days[-1].day == "2026-11-27"
    assert len(days) == USE_DAYS


def test_new_rows_are_told_to_the_page_once_a_tick() -> None:
    """A thousand uses are not a thousand messages."""
    world = World()
    rows(world, 50)
    assert [event.event for event in world.events].count("audit:changed") == 1


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "requester_label": st.text(max_size=50),
            "reason_claim": st.text(max_size=200),
            "evidence": st.text(max_size=50),
            "decided_by": st.text(max_size=50),
            "at": st.datetimes().map(lambda at: at.replace(tzinfo=NOON.tzinfo)),
        },
    )
)
def test_a_row_reads_back_to_the_same_bytes(facts: dict[str, object]) -> None:
    """Whatever is in it: else an honest row would look edited."""
    given = {"sequence": 1, "at": NOON, "type": "access:asked", **facts}
    event = AuditEvent(**given)  # type: ignore[arg-type]
    body = canonical_contract(event)
    assert canonical_contract(AuditEvent.model_validate_json(body)) == body
