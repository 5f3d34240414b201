"""Verifies an exported part of the activity log: what its own hash chain says, and what a vault says about its MACs.

The hash chain needs no key, so it shows accidents and careless edits: whoever makes all rows anew makes a chain that is
consistent. Only the MACs tell those from genuine ones; a `Judge` (a broker with the unlocked vault) checks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ...contracts.audit import (
    AuditHead,
    CompareAudit,
    ComparedAudit,
    SeenClaims,
    SeenEvent,
    Statement,
)
from . import chain, exported
from .exported import ReadLine, Record
from .exported_findings import Fault, FaultKind, Findings

Judge = Callable[[CompareAudit], ComparedAudit]

# Events of one comparison: with their claims (4 KB at most) they fit into the largest request.
JUDGED_AT_ONCE = 200

_SEAL = frozenset({"digest", "generation", "mac"})

# What each line may say. A name that is none of these would be seen by people and covered by nothing.
_NAMES = {
    exported.KIND: frozenset(
        {"version", "vault_id", "made_at", "first", "last", "filter", "start", "end", "head", "claims_shown"}
        | {"generation", "mac"}
    ),
    "event": _SEAL | {"event", "claims"},
    "left_out": _SEAL | {"first", "last"},
    "end": frozenset({"last"}),
}

_HEX = re.compile("[0-9a-f]{64}")


@dataclass
class _Coverage:
    """Since when events are not covered by a MAC. One covers all before it, as far as the chain reaches back."""

    open_since: int | None = None
    hole: int | None = None

    def event(self, sequence: int, *, covering: bool) -> None:
        if covering:
            self.open_since = None
        elif self.open_since is None:
            self.open_since = sequence

    def gap(self) -> None:
        """What was open before can't be covered any more."""
        self.hole = self.open_since if self.hole is None else self.hole
        self.open_since = None

    @property
    def uncovered_from(self) -> int | None:
        return self.open_since if self.hole is None else self.hole


@dataclass(frozen=True)
class _Waiting:
    seen: SeenEvent
    line: int
    after_gap: bool


@dataclass
class _Check:
    judge: Judge | None
    kept: AuditHead | None
    found: Findings = field(default_factory=Findings)
    header: Record = field(default_factory=dict)
    digest: bytes | None = None
    last_digest: bytes | None = None
    generation: int = 0
    next: int = 0
    gap: bool = False
    filtered: bool = False
    ended: bool = False
    waiting: list[_Waiting] = field(default_factory=list)
    present: _Coverage = field(default_factory=_Coverage)
    earlier: _Coverage = field(default_factory=_Coverage)
    stated_by: int | None = None
    current: int | None = None

    def begin(self, line: ReadLine) -> None:
        record = line.record
        if record is None or record.get("record") != exported.KIND:
            raise _Wrong("not_an_export", line.number)
        if record.get("version") != exported.VERSION:
            raise _Wrong("newer_format", line.number)
        first, last = record.get("first"), record.get("last")
        if not isinstance(first, int) or not isinstance(last, int) or first < 1 or last < first - 1:
            raise _Wrong("malformed", line.number)
        if not isinstance(record.get("filter"), dict | None) or not _is_known(record):
            raise _Wrong("malformed", line.number)
        self.header, self.next = record, first
        self.digest = _digest_or_none(record, "start", line.number)
        self.last_digest = _digest_or_none(record, "end", line.number)
        self.filtered = record.get("filter") is not None
        self.found.first, self.found.last = first, last
        self.found.vault_id, self.found.made_at = _text(record, "vault_id"), _text(record, "made_at")
        self.found.chain = "parts" if self.filtered else "whole"
        if self.kept is not None:
            if self.kept.vault_id != self.found.vault_id:
                raise _Wrong("other_vault", line.number)
            self.found.head = "outside_the_file"
        self._judge_header(line.number)

    def follow(self, line: ReadLine) -> None:
        record = line.record
        if record is None:
            raise _Wrong("malformed", line.number, self.next)
        if self.ended:
            raise _Wrong("after_the_end", line.number)
        kind = record.get("record")
        if not _is_known(record):
            raise _Wrong("malformed", line.number, self.next)
        try:
            if kind == "event":
                self._event(record, line.number)
            elif kind == "left_out":
                self._left_out(record, line.number)
            else:
                self._end(record, line.number)
        except (AttributeError, KeyError, TypeError, ValueError):
            # pydantic's too: what is there can't be an event.
            raise _Wrong("malformed", line.number, self.next) from None

    def finish(self, number: int) -> None:
        if not self.ended:
            raise _Wrong("cut_end", number, self.next)
        self._flush()
        if self.stated_by is not None and self.last_digest is not None and not self.filtered:
            # The vault stated with which digest the part ends, and it does: so that covers all.
            self.earlier.event(self.found.last, covering=True)
            if self.stated_by == self.current:
                self.present.event(self.found.last, covering=True)
        if self.current is not None:
            self.found.unproven_from = self.earlier.uncovered_from
            if self.earlier.uncovered_from is None:
                self.found.proof = "earlier_keys"
                if self.present.uncovered_from is None:
                    self.found.proof = "present_keys"

    def _event(self, record: Record, number: int) -> None:
        event = record["event"]
        sequence = event["sequence"]
        self._in_order(sequence, number)
        if self.filtered and event.get("connection_id") != self.header["filter"].get("connection_id"):
            raise _Wrong("filtered_out_wrongly", number, sequence)
        digest = _digest(record["digest"])
        if self.digest is None or chain.digest_of(self.digest, exported.body_of(event)) != digest:
            raise _Wrong("edited", number, sequence)
        self._reached(sequence, digest, number)
        self._wait(record, number, _claims(event, record.get("claims")))
        self.found.events += 1

    def _left_out(self, record: Record, number: int) -> None:
        first, last = record["first"], record["last"]
        self._in_order(first, number)
        if not self.filtered or last < first:
            raise _Wrong("malformed", number, first)
        self.found.left_out += last - first + 1
        # The events before can't be linked to this digest.
        self.gap = True
        self._reached(last, _digest(record["digest"]), number)
        self._wait({**record, "event": {"sequence": last}}, number, None)

    def _end(self, record: Record, number: int) -> None:
        if record["last"] != self.found.last:
            raise _Wrong("malformed", number)
        if self.next != self.found.last + 1:
            raise _Wrong("missing_events", number, self.next)
        if self.last_digest is not None and self.digest != self.last_digest:
            raise _Wrong("edited", number, self.found.last)
        self.ended = True

    def _in_order(self, sequence: Any, number: int) -> None:
        if not isinstance(sequence, int) or sequence < self.next or sequence > self.found.last:
            raise _Wrong("wrong_order", number, self.next)
        if sequence > self.next:
            kind: FaultKind = "cut_start" if self.next == self.found.first else "missing_events"
            raise _Wrong(kind, number, self.next)

    def _reached(self, sequence: int, digest: bytes, number: int) -> None:
        self.digest, self.next = digest, sequence + 1
        # What lies within events that were left out is not in the file: nothing there says anything of it.
        if self.kept is not None and self.kept.sequence == sequence:
            if self.kept.digest != digest.hex():
                raise _Wrong("not_the_kept_head", number, sequence)
            self.found.head = "in_the_file"

    def _wait(self, record: Record, number: int, claims: SeenClaims | None) -> None:
        generation = record.get("generation")
        if generation is not None:
            if generation < self.generation:
                raise _Wrong("forged", number, self.next - 1)
            self.generation = generation
        seen = SeenEvent(
            sequence=record["event"]["sequence"],
            digest=record["digest"],
            generation=generation,
            mac=record.get("mac"),
            claims=claims,
        )
        if self.judge is None:
            return
        self.waiting.append(_Waiting(seen, number, self.gap))
        self.gap = False
        if len(self.waiting) >= JUDGED_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self.judge is None or not self.waiting:
            return
        waiting, self.waiting = self.waiting, []
        said = self.judge(CompareAudit(events=[one.seen for one in waiting]))
        self._compare_logs(said)
        if said.generation is None:
            return
        forged, claims, ends = set(said.forged), set(said.claims), set(said.ends)
        for one in waiting:
            sequence = one.seen.sequence
            if sequence in forged:
                raise _Wrong("forged", one.line, sequence)
            if sequence in claims:
                raise _Wrong("claims_edited", one.line, sequence)
            if one.after_gap:
                self.present.gap()
                self.earlier.gap()
            ended = sequence in ends
            self.earlier.event(sequence, covering=one.seen.mac is not None or ended)
            self.present.event(
                sequence,
                covering=ended or (one.seen.mac is not None and one.seen.generation == said.generation),
            )

    def _compare_logs(self, said: ComparedAudit) -> None:
        self.found.log = "same" if self.found.log == "not_asked" else self.found.log
        wrong = [("differs", said.differing), ("shorter", said.missing)]
        for kind, sequences in wrong:
            if sequences and self.found.log == "same":
                self.found.log = "differs" if kind == "differs" else "shorter"
                self.found.differing_at = sequences[0]

    def _judge_header(self, number: int) -> None:
        if self.judge is None:
            return
        statements = []
        if "mac" in self.header:
            try:
                statements = [
                    Statement(
                        kind="export",
                        text=exported.statement_text(self.header),
                        generation=self.header["generation"],
                        mac=self.header["mac"],
                    )
                ]
            except (KeyError, ValueError):
                raise _Wrong("malformed", number) from None
        said = self.judge(CompareAudit(statements=statements))
        if said.vault_id != self.found.vault_id:
            raise _Wrong("other_vault", number)
        self.current = said.generation
        self.found.keys = "locked" if said.generation is None else "checked"
        if statements and said.statements[0] is False:
            raise _Wrong("forged_header", number)
        if statements and said.statements[0]:
            self.stated_by = self.header["generation"]


class _Wrong(Exception):
    def __init__(self, kind: FaultKind, line: int, sequence: int | None = None) -> None:
        super().__init__(kind)
        self.fault = Fault(kind, line, sequence)


def check(
    lines: Iterable[ReadLine], *, judge: Judge | None = None, kept: AuditHead | None = None
) -> Findings:
    """Reads a file to its end or to the first thing that is wrong.

    `kept`: a head that was kept elsewhere; if its event is in the file, it must be that one.

    Raises: whatever `judge` raises.
    """
    checking = _Check(judge=judge, kept=kept)
    number = 0
    try:
        for line in lines:
            if number == 0:
                checking.begin(line)
            else:
                checking.follow(line)
            number = line.number
        if number == 0:
            raise _Wrong("not_an_export", 1)
        checking.finish(number)
    except _Wrong as exc:
        checking.found.fault = _earlier_fault(checking, exc.fault)
        if exc.fault.kind not in ("claims_edited", "forged", "forged_header", "other_vault"):
            checking.found.chain = "broken"
    return checking.found


def _earlier_fault(checking: _Check, fault: Fault) -> Fault:
    """What the judge finds in the events that still waited comes before `fault`."""
    try:
        checking._flush()
    except _Wrong as exc:
        return exc.fault
    return fault


def _is_known(record: Record) -> bool:
    kind = record.get("record")
    return isinstance(kind, str) and kind in _NAMES and (_NAMES[kind] | {"record"}).issuperset(record)


def _claims(event: Record, shown: Any) -> SeenClaims | None:
    if shown is None:
        return None
    if not isinstance(shown, dict) or not {"agent", "reason", "hidden"}.issuperset(shown):
        raise ValueError("not claims")
    return SeenClaims(
        connection_id=event.get("connection_id"),
        agent_sealed=event.get("agent_sealed"),
        reason_sealed=event.get("reason_sealed"),
        agent=shown.get("agent"),
        reason=shown.get("reason"),
    )


def _digest(text: Any) -> bytes:
    """Raises: ValueError: it is not what the format writes (`bytes.fromhex` takes capitals and blanks too)."""
    if not isinstance(text, str) or _HEX.fullmatch(text) is None:
        raise ValueError("not a digest")
    return bytes.fromhex(text)


def _digest_or_none(record: Record, name: str, line: int) -> bytes | None:
    try:
        return None if record.get(name) is None else _digest(record[name])
    except ValueError:
        raise _Wrong("malformed", line) from None


def _text(record: Record, name: str) -> str | None:
    found = record.get(name)
    return found if isinstance(found, str) else None
