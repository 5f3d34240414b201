"""The file of an exported part of the activity log: its lines, written and read. Pure; no store, no keys.

Format 1. JSON lines, UTF-8, one object a line without spaces, in this order:

    {"record":"connvault-activity","version":1,"vault_id":...,"made_at":...,"first":1,"last":9,"filter":null,
     "start":<digest before the first event>,"end":<digest of the last>,"head":{"sequence":9,"digest":...},
     "claims_shown":true,"generation":2,"mac":...}
    {"record":"event","event":{...},"digest":...,"generation":2,"mac":...,"claims":{"reason":"..."}}
    {"record":"left_out","first":4,"last":7,"digest":...,"generation":2,"mac":...}
    {"record":"end","last":9}

`event` is what the chain covers (`chain.digest_of` of its canonical JSON: sorted keys, no spaces), claims sealed.
`claims` is what a person was shown of them; the chain does not cover it. `mac` covers the digest, or in the first line
the rest of the line. Digests and MACs are hex. `left_out` stands for events that the filter left out, with the digest
and MAC of the last of them: hashing them needs their content, so the chain can't be followed across.

CSV: a row of column names, then a row for each line: columns to read, and in the last column, `line`, the JSON itself,
from which the others follow. No cell can become a formula (`_FORMULA`, `_SEPARATORS`).

Evolution: another format has another `version`, and readers refuse a version that they don't know.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from ...contracts.audit import AuditHead, ExportFormat

KIND = "connvault-activity"
VERSION = 1

Record = Mapping[str, Any]
"""One line, parsed."""

# Of a line that is read: an event has a few KB at most, and a file may come from anywhere.
MAX_LINE_CHARS = 1 << 17

_EVENT_COLUMNS = (
    "sequence",
    "at",
    "type",
    "outcome",
    "code",
    "connection",
    "field",
    "requester_label",
    "requester_kind",
    "agent",
    "reason_claim",
    "mode",
    "decision",
    "decided_by",
    "count",
)
COLUMNS = ("record", *_EVENT_COLUMNS, "line")

# A spreadsheet takes a cell for a formula if it begins with one of these, also in full width, and some after blanks.
# An apostrophe before it makes it text. Within the text too, after whatever a spreadsheet may be told to split at.
_FORMULA = re.compile(r"""(^|[;,|\t\r\n"'])(\s*)([=+\-@\t\r\n＝＋－＠])""")  # noqa: RUF001 -- full width

# The JSON begins with a brace, and no spreadsheet can be told to split it but at commas, which the quotes protect.
_SEPARATORS = {ord(";"): "\\u003b", ord("|"): "\\u007c"}


@dataclass(frozen=True)
class ReadLine:
    """A line of a file, counted from 1. `record` `None`: it is not one that this format writes."""

    number: int
    record: Record | None


def written(records: Iterable[Record], form: ExportFormat, *, first: bool) -> str:
    """The lines of `records`. `first`: they begin the file."""
    if form == "jsonl":
        return "".join(f"{line_of(record)}\n" for record in records)
    text = io.StringIO()
    # RFC 4180
    rows = csv.writer(text)
    if first:
        rows.writerow(COLUMNS)
    rows.writerows(cells_of(record) for record in records)
    return text.getvalue()


def line_of(record: Record) -> str:
    return _ENCODER.encode(record)


def cells_of(record: Record) -> list[str]:
    """The CSV row of a line."""
    shown = {**record.get("event", {}), **_claims_of(record)}
    if record["record"] == "left_out":
        shown = {"sequence": record["first"], "count": record["last"] - record["first"] + 1}
    texts = [str(shown[name]) if name in shown else "" for name in _EVENT_COLUMNS]
    return [*map(harmless, [record["record"], *texts]), line_of(record).translate(_SEPARATORS)]


def harmless(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula."""
    return _FORMULA.sub(r"\1\2'\3", text)


def read(file: TextIO) -> Iterator[ReadLine]:
    """The lines of a file in either format, as long as they can be read. Bounded memory, whatever the file is.

    `file` is opened with `newline=""`."""
    begin = file.read(1)
    rest = _lines(file, begin)
    yield from _json_lines(rest) if begin == "{" else _csv_rows(rest)


def parsed(text: str) -> Record | None:
    """The record of a line; `None` if it is not exactly what this format would write: then another reader could see
    something else in it (a name given twice, say)."""
    try:
        found = _DECODER.decode(text)
        return found if isinstance(found, dict) and line_of(found) == text else None
    except (ValueError, RecursionError):
        return None


def statement_text(header: Record) -> str:
    """What the MAC of a first line covers."""
    return _SORTED.encode({name: value for name, value in header.items() if name != "mac"})


def head_text(head: AuditHead) -> str:
    """What the MAC of a published head covers."""
    return statement_text({"record": f"{KIND}-head", **head.model_dump(mode="json")})


def body_of(event: Record) -> bytes:
    """The bytes of an event that its digest covers, as `canonical` writes them."""
    return _SORTED.encode(event).encode()


def _lines(file: TextIO, begin: str) -> Iterator[str]:
    line = begin + file.readline(MAX_LINE_CHARS)
    while line:
        yield line
        if len(line) >= MAX_LINE_CHARS:
            return
        line = file.readline(MAX_LINE_CHARS)


def _json_lines(lines: Iterator[str]) -> Iterator[ReadLine]:
    for number, line in enumerate(lines, 1):
        yield ReadLine(number, parsed(line.removesuffix("\n").removesuffix("\r")))


def _csv_rows(lines: Iterator[str]) -> Iterator[ReadLine]:
    rows = csv.reader(lines, strict=True)
    try:
        if next(rows, None) != list(COLUMNS):
            yield ReadLine(1, None)
            return
        for cells in rows:
            record = parsed(_joined(cells[-1])) if cells else None
            yield ReadLine(rows.line_num, record if record is not None and _fits(record, cells) else None)
    except csv.Error:
        yield ReadLine(rows.line_num, None)


def _joined(cell: str) -> str:
    for code, escape in _SEPARATORS.items():
        cell = cell.replace(escape, chr(code))
    return cell


def _fits(record: Record, cells: list[str]) -> bool:
    """Whether the columns that people read say what the line says."""
    try:
        return cells_of(record) == cells
    except (TypeError, KeyError, AttributeError):
        return False


def _claims_of(record: Record) -> Record:
    claims = record.get("claims")
    if not isinstance(claims, dict):
        return {}
    names = {"agent": "agent", "reason": "reason_claim"}
    return {names[name]: value for name, value in claims.items() if name in names}


def _refuse_constant(_: str) -> None:
    raise ValueError


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_SORTED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True)
