"""What a verification found, in sentences for a person. No rules: `services.audit.exported_check` has those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ..services.audit.exported_findings import Fault, FaultKind, Findings

_FAULTS: dict[FaultKind, str] = {
    "not_an_export": "this is not an exported activity log",
    "newer_format": "it was written by a newer version of connvault-jupyter; update this one",
    "malformed": "this is not a line of an export, or was changed",
    "wrong_order": "an event is here that does not belong here",
    "missing_events": "events are missing before it",
    "edited": "this event was changed, or one that it follows",
    "cut_start": "the beginning was cut off",
    "cut_end": "the end was cut off",
    "after_the_end": "something was added after the end",
    "filtered_out_wrongly": "this event is of another connection than the export",
    "other_vault": "it comes from another vault",
    "forged_header": "the vault did not make this export: its first line was changed or made anew",
    "forged": "the vault did not write this event: it was made anew",
    "claims_edited": "what the code said is not what it said",
    "not_the_kept_head": "this is not the event of the head that you kept",
}

_PROOFS = {
    "present_keys": "All events are proven by the vault's present keys.",
    "earlier_keys": "The events are proven by keys that were replaced since: whoever had those (an old passphrase) "
    "could have made them.",
    "none": "Not proven: nothing shows that the vault wrote event {unproven_from} and those after it.",
}

_LOGS = {
    "same": "The vault's activity log has the same events, as far as it still reaches back.",
    "differs": "The vault's activity log has another event {differing_at}.",
    "shorter": "The vault's activity log has no event {differing_at}: its end was cut off, or an older copy was put "
    "back.",
}


def sentences(found: Findings) -> Iterator[str]:
    """One a line; the first says how it went."""
    if found.fault is not None:
        yield f"NOT CONSISTENT. {_where(found.fault)}: {_FAULTS[found.fault.kind]}."
    else:
        yield (
            f"Consistent: {_events(found.events)}, from {found.first} to {found.last}, exported {found.made_at}."
            if found.events
            else f"Consistent, and without events, exported {found.made_at}."
        )
    if found.chain == "parts":
        yield (
            f"Filtered: {_events(found.left_out)} left out. Each event stands for itself; that none of this "
            "connection is missing can't be told from the file."
        )
    yield from _about_keys(found)
    if found.log != "not_asked":
        yield _LOGS[found.log].format(**asdict(found))
    if found.head == "in_the_file" and found.fault is None:
        yield "The head that you kept is in it."
    elif found.head == "outside_the_file":
        yield "The head that you kept is of an event that is not in this part, so it shows nothing of it."


def head_sentences(found: Mapping[str, Any]) -> Iterator[str]:
    """About a kept head alone (`activity.head_findings`)."""
    yield {
        "holds": "The activity log still has this event.",
        "cut": "The activity log ends BEFORE this event: its end was cut off, or an older copy was put back.",
        "replaced": "The activity log has ANOTHER event in this place: its end was cut off and written anew.",
        "pruned": "The activity log no longer reaches back to this event.",
        "other_vault": "This head is of ANOTHER vault.",
    }[found["log"]]
    yield {
        "right": "The vault made this statement.",
        "wrong": "The vault did NOT make this statement: it was changed or made anew.",
        "earlier_keys": "It was made with keys that were replaced since: whoever had those could have made it.",
        "locked": "The vault is locked, so who made this statement was not checked.",
        "unsigned": "It was published while the vault was locked, so nothing shows who made it.",
    }[found["statement"]]


def _about_keys(found: Findings) -> Iterator[str]:
    if found.keys == "not_asked":
        yield "Only the hash chain was checked. Whoever makes all events anew makes one as well: ask the vault."
    elif found.keys == "locked":
        yield "The vault is locked, so its MACs were not checked. Unlock it, then verify again."
    elif found.fault is None:
        yield _PROOFS[found.proof].format(**asdict(found))


def _where(fault: Fault) -> str:
    return f"Line {fault.line}" + ("" if fault.sequence is None else f", event {fault.sequence}")


def _events(number: int) -> str:
    return f"{number:,} event" + ("" if number == 1 else "s")
