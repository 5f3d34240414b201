"""A part of the record as a file: what is in it, what proves it, and what a spreadsheet makes of it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.audit import ExportAudit, ExportFormat
from connvault_jupyter.errors import Conflict, InvalidRequest
from connvault_jupyter.services.audit import chain, export
from connvault_jupyter.services.audit.exported import harmless
from tests.services.test_record_of_old_keys import world as world
from tests.support import properties as properties
from tests.support.canary import CANARY
from tests.support.services.records import FORMATS, checked, file_of, records, used, write
from tests.support.services.service_world import World
from tests.support.services.stand_ins import NOON


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
