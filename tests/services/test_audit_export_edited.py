"""A part of the record as a file that was edited, forged or cut: noticed, with the vault or without."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.audit import ExportFormat
from connvault_jupyter.services.audit import chain
from connvault_jupyter.services.audit.export import AuditExports
from connvault_jupyter.services.ports import ChainLink, Position
from tests.services.test_record_of_old_keys import change, keys_of, started_anew
from tests.services.test_record_of_old_keys import world as world
from tests.support import properties as properties
from tests.support.services.records import FORMATS, checked, file_of, joined, records, used, write
from tests.support.services.service_world import World

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


def test_a_kept_head_of_an_event_that_was_left_out_is_not_said_to_be_there() -> None:
    """Nobody could tell it from one that was made up. Of the last one that was left out, the digest is there."""
    world = used()
    heads = []
    for _ in range(3):
        write(world, 1)
        heads.append(world.exports.head())
    (lake,) = [
        view.connection.id for view in world.connections.list().connections if view.connection.name == "lake"
    ]
    text = file_of(world, connection_id=lake)
    for head in heads[:2]:
        for digest in (head.digest, "ab" * 32):
            found = checked(text, kept=head.model_copy(update={"digest": digest}))
            assert (found.fault, found.head) == (None, "outside_the_file")
    assert checked(text, kept=heads[2]).head == "in_the_file"
    found = checked(text, kept=heads[2].model_copy(update={"digest": "ab" * 32}))
    assert found.fault is not None
    assert found.fault.kind == "not_the_kept_head"


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


def test_a_first_line_that_does_not_say_how_the_part_ends_covers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it is where the last row can't be read. Events without a MAC could follow that the vault never wrote."""
    world = used()
    monkeypatch.setattr(AuditExports, "_digest_of", lambda *_: None)
    lines = records(file_of(world))
    assert checked(joined(lines), world).proof == "present_keys"
    for line in lines[1:]:
        line.pop("mac", None)
        line.pop("generation", None)
    found = checked(joined(lines), world)
    assert (found.fault, found.proof, found.unproven_from) == (None, "none", 1)
