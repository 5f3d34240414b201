"""A part of the record as a file: what is in it, and every way to edit it is noticed, with the vault or without."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.audit import (
    AuditHead,
    CompareAudit,
    ExportAudit,
    ExportFormat,
    SeenEvent,
    Statement,
)
from connvault_jupyter.errors import Conflict, InvalidRequest
from connvault_jupyter.services.audit import chain, export, exported
from connvault_jupyter.services.audit.exported import harmless, read
from connvault_jupyter.services.audit.exported_check import check
from connvault_jupyter.services.audit.exported_findings import Findings
from connvault_jupyter.services.ports import ChainLink, Position
from tests.services.test_record_of_old_keys import change, keys_of, started_anew, write
from tests.services.test_record_of_old_keys import world as world
from tests.support import properties as properties
from tests.support.canary import CANARY
from tests.support.services.service_world import NOON, World, notebook

FORMATS: tuple[ExportFormat, ...] = ("jsonl", "csv")


def file_of(world: World, form: ExportFormat = "jsonl", **asked: Any) -> str:
    """The whole file, from all answers."""
    part = world.exports.part(ExportAudit(format=form, **asked))
    text = part.text
    while part.next_after is not None:
        part = world.exports.part(
            ExportAudit(
                format=form,
                connection_id=asked.get("connection_id"),
                last=part.last,
                after=part.next_after,
            )
        )
        text += part.text
    return text


def checked(text: str, world: World | None = None, kept: AuditHead | None = None) -> Findings:
    judge = None if world is None else world.exports.compare
    return check(read(io.StringIO(text, newline="")), judge=judge, kept=kept)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def joined(found: list[dict[str, Any]]) -> str:
    return "".join(exported.line_of(one) + "\n" for one in found)


def used(*, reason: str = "monthly report", number: int = 4) -> World:
    """A vault with two connections, a claim, and some events."""
    world = World()
    for name in ("warehouse", "lake"):
        world.connection(name)
    world.request(notebook(), world.answer("always"), reason=reason)
    write(world, number)
    return world


@pytest.mark.parametrize("form", FORMATS)
def test_a_part_is_whole_and_proven(form: ExportFormat) -> None:
    """By the hash chain alone, and by the vault that it came from."""
    world = used()
    text = file_of(world, form)
    events = len(world.storage.tables.audit)
    found = checked(text)
    assert (found.fault, found.chain, found.events, found.keys) == (None, "whole", events, "not_asked")
    found = checked(text, world)
    assert found.good
    assert (found.keys, found.proof, found.log) == ("checked", "present_keys", "same")


def test_a_part_shows_what_a_person_sees() -> None:
    """Claims masked, never the secret, and nothing that unseals."""
    world = used(reason=f"with {CANARY} please")
    lines = records(file_of(world))
    shown = [one["claims"]["reason"] for one in lines if "claims" in one]
    assert shown
    assert set(shown) == {"with [secret] please"}
    assert CANARY not in file_of(world) + file_of(world, "csv")
    assert lines[0]["claims_shown"] is True


def test_while_locked_claims_are_hidden_and_the_head_is_no_proof() -> None:
    """The events keep their MACs, and the last one has none: it says so."""
    world = used()
    world.secrets.lock(actor="ada")
    write(world)
    text = file_of(world)
    lines = records(text)
    assert "mac" not in lines[0]
    assert lines[0]["claims_shown"] is False
    assert {one["claims"]["hidden"] for one in lines if "claims" in one} == {"locked"}
    assert checked(text, world).keys == "locked"
    assert checked(text, world).proof == "none"
    world.secrets.open_at_start()
    found = checked(text, world)
    keyless = [one["event"]["sequence"] for one in lines if one["record"] == "event" and "mac" not in one]
    assert (found.good, found.proof, found.unproven_from) == (True, "none", keyless[0])


@pytest.mark.parametrize("form", FORMATS)
def test_a_large_part_comes_in_pieces_of_bounded_size(
    form: ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose text is that of the part, and to which events written meanwhile add nothing."""
    monkeypatch.setattr(export, "MAX_TEXT_CHARS", 20_000)
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 7)
    world = used(number=300)
    last = len(world.storage.tables.audit)
    part = world.exports.part(ExportAudit(format=form))
    text, pieces = part.text, 1
    while part.next_after is not None:
        assert len(part.text) < 20_000 + 7 * 3000
        write(world, 1)
        part = world.exports.part(ExportAudit(format=form, last=part.last, after=part.next_after))
        text, pieces = text + part.text, pieces + 1
    assert pieces >= 5
    found = checked(text, world)
    assert (found.good, found.proof, found.first, found.last) == (True, "present_keys", 1, last)


def test_a_part_can_be_any_range() -> None:
    """By sequence or by time, cut to what there is; outside of it there is nothing."""
    world = used()
    for asked, wanted in (
        ({"first": 3, "last": 5}, (3, 5)),
        ({"first": 4, "last": 400}, (4, len(world.storage.tables.audit))),
        ({"last": 2}, (1, 2)),
        ({"since": "2026-11-24T00:00:00Z", "first": 2}, (2, len(world.storage.tables.audit))),
        ({"until": "2001-01-01T00:00:00+01:00"}, None),
        ({"first": 400}, None),
        ({"first": 5, "last": 4}, None),
    ):
        text = file_of(world, **asked)
        found = checked(text, world)
        assert found.good, asked
        if wanted is None:
            assert found.events == 0
            assert len(records(text)) == 2
        else:
            assert (found.first, found.last, found.proof) == (*wanted, "present_keys")


def test_a_part_by_time_has_the_events_of_that_time() -> None:
    """Both ends included."""
    world = World()
    for minutes in range(5):
        world.clock.now = NOON + timedelta(minutes=minutes)
        write(world, 1)
    since, until = ((NOON + timedelta(minutes=one)).isoformat() for one in (1, 3))
    times = [
        one["event"]["at"][14:16]
        for one in records(file_of(world, since=since, until=until))
        if one["record"] == "event"
    ]
    assert times == ["01", "02", "03"]


@pytest.mark.parametrize("since", ["2026-13-01T00:00:00Z", "2026-11-24T25:00:00+00:00"])
def test_what_is_no_time_is_refused(since: str) -> None:
    """It has the form of one."""
    with pytest.raises(InvalidRequest):
        World().exports.part(ExportAudit(since=since))


def test_to_continue_needs_the_end_of_the_part() -> None:
    """Else the part would grow with the log."""
    with pytest.raises(InvalidRequest):
        World().exports.part(ExportAudit(after=1))


def test_a_filtered_part_says_that_it_is_one() -> None:
    """Each of its events is proven by its own MAC; that none is missing is not, and what was left out is counted."""
    world = used()
    connection = world.storage.tables.audit[1].event.connection_id
    text = file_of(world, connection_id=connection)
    lines = records(text)
    assert {one["event"]["connection_id"] for one in lines if one["record"] == "event"} == {connection}
    found = checked(text)
    assert (found.fault, found.chain) == (None, "parts")
    found = checked(text, world)
    assert (found.good, found.proof, found.chain) == (True, "present_keys", "parts")
    assert found.events + found.left_out == len(world.storage.tables.audit)


def test_a_filtered_part_in_pieces_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of events that were left out may be cut in two."""
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(export, "MAX_ROWS_READ", 3)
    world = used()
    connection = world.storage.tables.audit[1].event.connection_id
    found = checked(file_of(world, connection_id=connection), world)
    assert (found.good, found.proof) == (True, "present_keys")


def test_an_event_of_a_filtered_part_without_a_mac_is_not_proven() -> None:
    """A later MAC covers it, but what links the two was left out."""
    world = used()
    world.secrets.lock(actor="ada")
    connection = world.storage.tables.audit[1].event.connection_id
    world.storage.tables.audit.append(
        chain.link(
            world.storage.tables.audit[1].event.model_copy(
                update={"sequence": len(world.storage.tables.audit) + 1}
            ),
            world.storage.tables.audit[-1].digest,
            None,
        )
    )
    write(world)
    world.secrets.open_at_start()
    write(world)
    keyless = next(
        one.event.sequence
        for one in world.storage.tables.audit
        if one.mac is None and one.event.connection_id == connection
    )
    assert checked(file_of(world), world).proof == "present_keys"
    found = checked(file_of(world, connection_id=connection), world)
    assert (found.good, found.proof, found.unproven_from) == (True, "none", keyless)


Edit = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def _event_edited(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[4]["event"]["decided_by"] = "mallory"
    return lines


def _removed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*lines[:4], *lines[5:]]


def _swapped(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[4], lines[5] = lines[5], lines[4]
    return lines


def _twice(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*lines[:5], *lines[4:]]


def _start_cut(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [lines[0], *lines[2:]]


def _end_cut(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return lines[:-3]


def _last_cut(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*lines[:-2], lines[-1]]


def _more(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*lines, lines[-2]]


def _no_header(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return lines[1:]


def _newer(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[0]["version"] = 2
    return lines


def _unknown(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[4]["record"] = "remark"
    return lines


def _left_out(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[4] = {"record": "left_out", "first": 4, "last": 4, "digest": lines[4]["digest"]}
    return lines


def _no_start(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines[0]["start"] = None
    return lines


def _no_digest(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    del lines[4]["digest"]
    return lines


EDITS: dict[str, tuple[Edit, str]] = {
    "an event edited": (_event_edited, "edited"),
    "an event removed": (_removed, "missing_events"),
    "two swapped": (_swapped, "missing_events"),
    "one twice": (_twice, "wrong_order"),
    "the start cut": (_start_cut, "cut_start"),
    "the end cut": (_end_cut, "cut_end"),
    "the last event cut": (_last_cut, "missing_events"),
    "more after the end": (_more, "after_the_end"),
    "no first line": (_no_header, "not_an_export"),
    "a newer format": (_newer, "newer_format"),
    "an unknown line": (_unknown, "malformed"),
    "left out without a filter": (_left_out, "malformed"),
    "no digest to begin with": (_no_start, "edited"),
    "no digest": (_no_digest, "malformed"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_noticed_without_the_vault(name: str) -> None:
    """And the line where it begins."""
    edit, kind = EDITS[name]
    text = file_of(used())
    assert checked(text).fault is None
    found = checked(joined(edit(records(text))))
    assert found.fault is not None
    assert (found.fault.kind, found.chain) == (kind, "broken")


@pytest.mark.parametrize("form", FORMATS)
def test_a_cut_anywhere_is_noticed(form: ExportFormat) -> None:
    """At every tenth character, as a copy that stopped would be."""
    text = file_of(used(number=1), form)
    for length in range(0, len(text.rstrip()), 10):
        found = checked(text[:length])
        assert found.fault is not None, length


@given(st.data())
def test_a_changed_character_anywhere_is_noticed(data: st.DataObject) -> None:
    """By the vault, in either format; a line break that is another one is the only one that says the same."""
    world = _SHARED
    text = file_of(world, data.draw(st.sampled_from(FORMATS)))
    at = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.characters(codec="ascii"))
    if char == text[at] or char in "\r\n" or text[at] in "\r\n":
        return
    found = checked(text[:at] + char + text[at + 1 :], world)
    assert found.fault is not None


_SHARED = used()


def forged(world: World, lines: list[ChainLink], *, keys: Any = None) -> list[dict[str, Any]]:
    """Rows made anew from `lines`, with one changed; without keys as somebody has it who can only read the file."""
    previous = Position().digest
    made = []
    for one in lines:
        event = one.event
        if event.sequence == 3:
            event = event.model_copy(update={"decided_by": "mallory"})
        link = chain.link(event, previous, keys)
        record = {"record": "event", "event": json.loads(link.body), "digest": link.digest.hex()}
        if link.mac is not None:
            record.update(generation=link.generation, mac=link.mac.hex())
        made.append(record)
        previous = link.digest
    header = records(file_of(world))[0]
    header.update(end=previous.hex(), head={"sequence": len(made), "digest": previous.hex()})
    return [header, *made, {"record": "end", "last": len(made)}]


def test_rows_made_anew_without_keys_are_told_from_genuine_ones() -> None:
    """Their chain is consistent; the vault's MAC over the first line is not right, or there is none at all."""
    world = used()
    lines = forged(world, world.storage.tables.audit)
    assert checked(joined(lines)).fault is None
    found = checked(joined(lines), world)
    assert found.fault is not None
    assert found.fault.kind == "forged_header"
    for name in ("mac", "generation"):
        del lines[0][name]
    found = checked(joined(lines), world)
    assert found.fault is None
    assert (found.proof, found.unproven_from) == ("none", 1)
    assert (found.log, found.differing_at, found.good) == ("differs", 3, False)


def test_forged_rows_with_the_macs_of_genuine_ones_are_named() -> None:
    """The first of them."""
    world = used()
    lines = forged(world, world.storage.tables.audit)
    for name in ("mac", "generation"):
        del lines[0][name]
    for one, genuine in zip(lines[1:], records(file_of(world))[1:-1], strict=False):
        if one["record"] == "event":
            one.update(generation=genuine["generation"], mac=genuine["mac"])
    found = checked(joined(lines), world)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.sequence, found.fault.line) == ("forged", 3, 4)


def test_a_claim_that_shows_another_text_is_noticed() -> None:
    """The chain covers only the sealed one."""
    world = used()
    lines = records(file_of(world))
    at = next(number for number, one in enumerate(lines) if "claims" in one)
    lines[at]["claims"]["reason"] = "another reason"
    assert checked(joined(lines)).fault is None
    found = checked(joined(lines), world)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.line) == ("claims_edited", at + 1)


def test_a_claim_where_none_was_made_is_noticed() -> None:
    """No sealed text says so."""
    world = used()
    lines = records(file_of(world))
    for name in ("reason", "agent"):
        edited = records(file_of(world))
        edited[1]["claims"] = {name: "please"}
        found = checked(joined(edited), world)
        assert found.fault is not None
        assert found.fault.kind == "claims_edited"
    assert "claims" not in lines[1]


def test_a_part_of_another_vault_is_none_of_this_one() -> None:
    """Neither by its id nor, if that was changed, by its MACs."""
    one, other = used(), World(unlocked=False)
    # The world's random numbers are counted.
    other._randomness(32)
    other.set_up()
    lines = records(file_of(one))
    found = checked(joined(lines), other)
    assert found.fault is not None
    assert found.fault.kind == "other_vault"
    lines[0]["vault_id"] = records(file_of(other))[0]["vault_id"]
    found = checked(joined(lines), other)
    assert found.fault is not None
    assert found.fault.kind == "forged_header"


def test_a_part_from_before_a_change_of_keys_is_proven_by_the_end_of_its_keys(world: World) -> None:
    """If it reaches that end; another one could have been made by whoever had those keys, and is said so."""
    whole, beginning = file_of(world), file_of(world, last=3)
    change(world)
    write(world)
    found = checked(whole, world)
    assert (found.good, found.proof, found.log) == (True, "present_keys", "same")
    found = checked(beginning, world)
    assert (found.good, found.proof, found.log) == (True, "earlier_keys", "same")
    found = checked(file_of(world), world)
    assert (found.good, found.proof) == (True, "present_keys")
    # By now the vault states it with its present keys.
    found = checked(file_of(world, last=3), world)
    assert (found.good, found.proof) == (True, "present_keys")


def test_a_part_made_with_old_keys_can_not_reach_over_their_end(world: World) -> None:
    """Neither in the place of the last event by them, nor after it."""
    old = keys_of(world)
    change(world)
    write(world, 20)
    end = max(one.event.sequence for one in world.storage.tables.audit if one.generation == old.generation)
    for length, wrong in ((end, end), (end + 5, None)):
        lines = forged(world, world.storage.tables.audit[:length], keys=old)
        for name in ("mac", "generation"):
            del lines[0][name]
        lines[0].update(last=length)
        found = checked(joined(lines), started_anew(world, 1))
        assert found.fault is not None
        assert found.fault.kind == "forged"
        assert found.fault.sequence == (wrong or end)
    lines = forged(world, world.storage.tables.audit[: end - 1], keys=old)
    for name in ("mac", "generation"):
        del lines[0][name]
    lines[0].update(last=end - 1)
    found = checked(joined(lines), started_anew(world, 1))
    assert (found.fault, found.proof, found.log, found.good) == (None, "earlier_keys", "differs", False)


def test_generations_never_decrease_in_a_part(world: World) -> None:
    """Also without the vault."""
    change(world)
    write(world)
    lines = records(file_of(world))
    lines[-2]["generation"] = 1
    found = checked(joined(lines))
    assert found.fault is not None
    assert found.fault.kind == "forged"


def test_a_log_that_is_shorter_than_a_part_is_noticed() -> None:
    """Its end was cut off, or an older database was put back."""
    world = used()
    text = file_of(world)
    last = world.storage.tables.audit[-1].event.sequence
    del world.storage.tables.audit[-2:]
    found = checked(text, world)
    assert (found.fault, found.log, found.differing_at, found.good) == (None, "shorter", last - 1, False)


def test_after_pruning_a_part_is_still_proven() -> None:
    """The log no longer has its events; the keys know them. A new part begins where the log begins."""
    world = used()
    text = file_of(world)
    row = world.storage.tables.audit[4]
    with world.lock:
        world.stores.audit.prune(chain.checkpoint(row.event.sequence, row.digest, unlocked_keys(world)))
    found = checked(text, world)
    assert (found.good, found.proof) == (True, "present_keys")
    found = checked(file_of(world), world)
    assert (found.good, found.proof, found.first) == (True, "present_keys", row.event.sequence + 1)


def unlocked_keys(world: World) -> Any:
    found = world.secrets._held._held
    assert found is not None
    return found


def test_pruning_during_an_export_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a file with a gap."""
    monkeypatch.setattr(export, "MAX_TEXT_CHARS", 1)
    world = used()
    part = world.exports.part(ExportAudit())
    row = world.storage.tables.audit[-1]
    with world.lock:
        world.stores.audit.prune(chain.checkpoint(row.event.sequence, row.digest, unlocked_keys(world)))
    write(world)
    with pytest.raises(Conflict):
        world.exports.part(ExportAudit(last=part.last, after=0))


def test_a_row_that_can_not_be_read_is_a_gap_in_the_part() -> None:
    """Exported without it, and named when it is verified: first, last, or in between."""
    for at, kind in ((0, "cut_start"), (4, "missing_events"), (-1, "missing_events")):
        world = used()
        missing = world.storage.tables.audit[at].event.sequence
        last = world.storage.tables.audit[-1].event.sequence
        del world.storage.tables.audit[at]
        found = checked(file_of(world, last=last))
        if at == -1:
            assert found.fault is None
            continue
        assert found.fault is not None
        assert (found.fault.kind, found.fault.sequence) == (kind, missing)


# A published head.


def statement_of(head: AuditHead) -> Statement:
    assert head.mac is not None
    assert head.generation is not None
    return Statement(kind="head", text=exported.head_text(head), generation=head.generation, mac=head.mac)


def compared(world: World, head: AuditHead) -> Any:
    return world.exports.compare(
        CompareAudit(
            events=[SeenEvent(sequence=head.sequence, digest=head.digest)], statements=[statement_of(head)]
        )
    )


def test_a_published_head_is_found_again() -> None:
    """As long as the log only grows."""
    world = used()
    head = world.exports.head()
    write(world)
    found = compared(world, head)
    assert (found.missing, found.differing, found.statements) == ([], [], [True])
    assert head.sequence < found.last


def test_a_cut_end_is_noticed_by_a_published_head(world: World) -> None:
    """By the next broker on the vault, which remembers nothing; also if as many events were written since."""
    write(world, 10)
    head = world.exports.head()
    del world.storage.tables.audit[-6:]
    following = started_anew(world, 0)
    assert following.audit.verify().consistent
    found = compared(following, head)
    assert (found.statements, found.missing, found.differing) == ([True], [head.sequence], [])
    write(following, 20)
    assert following.audit.verify().consistent
    found = compared(following, head)
    assert (found.statements, found.missing, found.differing) == ([True], [], [head.sequence])


def test_a_head_that_the_vault_did_not_state_is_no_proof() -> None:
    """Neither an edited one, nor an export's first line in its place."""
    world = used()
    head = world.exports.head()
    assert compared(world, head.model_copy(update={"sequence": 3})).statements == [False]
    header = records(file_of(world))[0]
    wrong = Statement(
        kind="head",
        text=exported.statement_text(header),
        generation=header["generation"],
        mac=header["mac"],
    )
    assert world.exports.compare(CompareAudit(statements=[wrong])).statements == [False]
    right = replace_kind(wrong)
    assert world.exports.compare(CompareAudit(statements=[right])).statements == [True]


def replace_kind(statement: Statement) -> Statement:
    return statement.model_copy(update={"kind": "export"})


def test_while_locked_a_head_is_only_text() -> None:
    """And no statement is judged."""
    world = used()
    head = world.exports.head()
    world.secrets.lock(actor="ada")
    assert compared(world, head).statements == [None]
    assert world.exports.head().mac is None


def test_without_a_vault_there_is_a_head_too() -> None:
    """Of nothing."""
    head = World(unlocked=False).exports.head()
    assert (head.vault_id, head.sequence, head.mac) == (None, 0, None)


def test_a_part_without_the_kept_head_is_noticed() -> None:
    """Whoever makes a consistent chain anew can't make the event that was kept."""
    world = used()
    head = world.exports.head()
    write(world)
    found = checked(file_of(world), kept=head)
    assert (found.fault, found.head) == (None, "in_the_file")
    assert checked(file_of(world, last=2), kept=head).head == "outside_the_file"
    lines = forged(world, world.storage.tables.audit)
    found = checked(joined(lines), kept=head)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.sequence) == ("not_the_kept_head", head.sequence)


# What a spreadsheet makes of it.

_BEGINS_A_FORMULA = re.compile(r"^\s*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 -- full width


@given(st.text(alphabet=st.sampled_from("=+-@＝＋－＠\t\r\n;,|\"' aB1\u00a0"), max_size=12))  # noqa: RUF001
def test_no_cell_becomes_a_formula(text: str) -> None:
    """Wherever a spreadsheet is told to split it."""
    cell = harmless(text)
    for piece in re.split(r"[;,|\t\r\n\"]", cell):
        assert not _BEGINS_A_FORMULA.match(piece), cell


def test_a_hostile_name_is_text_in_the_csv() -> None:
    """In the columns with an apostrophe, in the JSON without a separator before it."""
    hostile = '=HYPERLINK("http://x";"y");=cmd|\' /C calc\'!A0'
    world = World()
    world.audit.record("connection:tested", decided_by=hostile)
    text = file_of(world, "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    cell = rows[3][rows[0].index("decided_by")]
    assert cell.startswith("'=")
    assert ";=" not in cell
    assert ";" not in rows[3][-1]
    assert "|" not in rows[3][-1]
    assert json.loads(rows[3][-1])["event"]["decided_by"] == hostile
    assert checked(text, world).good


def test_a_column_that_says_something_else_than_the_line_is_noticed() -> None:
    """People read the columns, programs the last one."""
    world = World()
    world.audit.record("connection:tested", decided_by="ada")
    text = file_of(world, "csv")
    found = checked(text.replace(",ada,", ",bob,"))
    assert found.fault is not None
    assert found.fault.kind == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "{}\n",
        "[]\n",
        "{" * 5000,
        '{"record":"connvault-activity"}',
        "a,b\n",
        '"',
        "\0",
        "{" + "x" * 300_000,
    ],
)
def test_what_is_no_export_is_said_to_be_none(text: str) -> None:
    """Empty, foreign, nested, endless."""
    found = checked(text)
    assert found.fault is not None
    assert found.fault.kind in ("not_an_export", "newer_format")
    assert not replace(found).good
