"""`jupyter connvault activity`: the activity log outside of the panel, listed, exported, verified, its head published.

Everything comes from a running server's REST API (`running_server`), and nothing that the panel does not show. The
hash chain of a file is checked here; only its MACs need the vault.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from ..contracts.audit import AuditHead, CompareAudit, ComparedAudit, SeenEvent, Statement
from ..errors import ConnectionNotFound, InvalidRequest
from ..services.audit.exported import head_text, read
from ..services.audit.exported_check import check
from ..services.audit.exported_findings import Findings
from . import private_output
from .activity_report import head_sentences, sentences
from .running_server import RunningServer, found
from .verbs import performed, say, told, with_server

_WRONG = 1

_PAGE_ROWS = 500

# A head has 300 characters.
_MAX_HEAD_CHARS = 10_000


def run(words: Sequence[str]) -> int:
    """Returns the exit status. 1: something speaks against what was verified, or the vault was asked and does not
    prove it."""
    return performed(_parser().parse_args(words))


def _list(asked: argparse.Namespace) -> int:
    server = found(asked.server)
    connection_id = _connection_id(server, asked.connection)
    before: int | None = None
    left = asked.limit
    while left > 0:
        page = server.get("/audit", limit=min(left, _PAGE_ROWS), before=before, connection_id=connection_id)
        for event in page["events"]:
            say(json.dumps(event) if asked.json else _line(event))
        left -= len(page["events"])
        before = page["next_before"]
        if before is None:
            break
    return 0


def _export(asked: argparse.Namespace) -> int:
    server = found(asked.server)
    pieces = _pieces(
        server,
        {
            "format": asked.format,
            "first": asked.first,
            "last": asked.last,
            "since": _instant(asked.since),
            "until": _instant(asked.until),
            "connection_id": _connection_id(server, asked.connection),
        },
    )
    if asked.output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode())
        sys.stdout.buffer.flush()
        return 0
    private_output.write(asked.output, pieces, replacing=asked.force)
    return told(asked, {"file": str(asked.output)}, [f"Exported to {asked.output}."])


def _head(asked: argparse.Namespace) -> int:
    text = json.dumps(found(asked.server).get("/audit/head"))
    if asked.output is None:
        say(text)
        return 0
    private_output.write(asked.output, [text + "\n"], replacing=asked.force)
    kept = f"Published in {asked.output}. Keep it where nobody who can change the vault can change it."
    return told(asked, {"file": str(asked.output)}, [kept])


def _verify(asked: argparse.Namespace) -> int:
    kept = None if asked.head is None else _kept(asked.head)
    if asked.file is None and kept is None:
        return _verify_log(asked)
    server = None if asked.offline else found(asked.server)
    findings: dict[str, Any] = {}
    lines: list[str] = []
    good = True
    if asked.file is not None:
        file = _check(asked.file, server, kept)
        findings["export"] = {**asdict(file), "good": file.good}
        lines += sentences(file)
        good = file.good and (server is None or file.proof != "none")
    if kept is not None and server is not None:
        head = head_findings(kept, server)
        findings["kept_head"] = head
        lines += head_sentences(head)
        good = good and head["log"] in ("holds", "pruned") and head["statement"] in ("right", "earlier_keys")
    elif asked.file is None:
        raise InvalidRequest(
            "A head alone is compared with the vault's log. Leave --offline away, or name a file."
        )
    told(asked, {"good": good, **findings}, lines)
    return 0 if good else _WRONG


def _verify_log(asked: argparse.Namespace) -> int:
    if asked.offline:
        raise InvalidRequest("--offline verifies an exported file. Name one.")
    log = found(asked.server).get("/audit/verification")
    if log["consistent"]:
        line = (
            f"The activity log is consistent: {log['events']} events from {log['first_sequence']} on"
            f"{', covered by MACs' if log['keyed'] else '. Not all are covered by a MAC'}."
        )
    else:
        line = f"The activity log is NOT CONSISTENT: it was changed outside connvault at event {log['broken_at']}."
    told(asked, log, [line])
    return 0 if log["consistent"] else _WRONG


def head_findings(kept: AuditHead, server: RunningServer) -> dict[str, Any]:
    """`log`: what became of the event; `statement`: who made the head."""
    asked = CompareAudit(
        events=[SeenEvent(sequence=kept.sequence, digest=kept.digest)] if kept.sequence else [],
        statements=[]
        if kept.mac is None or kept.generation is None
        else [Statement(kind="head", text=head_text(kept), generation=kept.generation, mac=kept.mac)],
    )
    said = _compared(server, asked)
    if said.vault_id != kept.vault_id:
        log = "other_vault"
    elif said.missing:
        log = "cut"
    elif said.differing:
        log = "replaced"
    else:
        log = "pruned" if 0 < kept.sequence <= said.pruned else "holds"
    if not said.statements:
        statement = "unsigned"
    elif said.statements[0] is None:
        statement = "locked"
    elif not said.statements[0]:
        statement = "wrong"
    else:
        statement = "right" if kept.generation == said.generation else "earlier_keys"
    return {"log": log, "statement": statement, "sequence": kept.sequence, "log_ends_at": said.last}


def _check(path: str, server: RunningServer | None, kept: AuditHead | None) -> Findings:
    judge = None if server is None else lambda asked: _compared(server, asked)
    # Whatever the bytes are, they are read; those that are no text fit no digest.
    if path == "-":
        return check(read(_text(sys.stdin.fileno())), judge=judge, kept=kept)
    with _text(path) as file:
        return check(read(file), judge=judge, kept=kept)


def _text(file: str | int) -> TextIO:
    return open(file, encoding="utf-8", errors="surrogateescape", newline="", closefd=isinstance(file, str))


def _compared(server: RunningServer, asked: CompareAudit) -> ComparedAudit:
    return ComparedAudit.model_validate(server.post("/audit/comparison", asked.model_dump(mode="json")))


def _pieces(server: RunningServer, asked: dict[str, Any]) -> Iterator[str]:
    """The text of an export, one answer after the other."""
    part = server.get("/audit/export", **asked)
    while True:
        yield part["text"]
        if part["next_after"] is None:
            return
        part = server.get(
            "/audit/export",
            format=asked["format"],
            connection_id=asked["connection_id"],
            last=part["last"],
            after=part["next_after"],
        )


def _connection_id(server: RunningServer, name: str | None) -> str | None:
    """Raises: ConnectionNotFound."""
    if name is None:
        return None
    for view in server.get("/connections")["connections"]:
        if view["connection"]["name"] == name:
            return str(view["connection"]["id"])
    raise ConnectionNotFound


def _kept(path: Path) -> AuditHead:
    """Raises: InvalidRequest: the file is not a published head."""
    try:
        with path.open(encoding="utf-8") as file:
            return AuditHead.model_validate_json(file.read(_MAX_HEAD_CHARS))
    except ValueError:
        # pydantic's too.
        raise InvalidRequest("This file is not a published head.") from None


def _instant(text: str | None) -> str | None:
    """A time with an offset; without one it is local time. Raises: InvalidRequest."""
    if text is None:
        return None
    try:
        # Python 3.10 does not read `Z`.
        moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise InvalidRequest(
            "A time is written like 2026-11-24T12:00:00+01:00, or 2026-11-24 (local time)."
        ) from None
    return (
        moment.astimezone().isoformat(timespec="microseconds")
        if moment.tzinfo is None
        else moment.isoformat()
    )


def _line(event: dict[str, Any]) -> str:
    """One event on one line."""
    parts = [
        datetime.fromisoformat(event["at"].replace("Z", "+00:00")).astimezone().isoformat(" ", "seconds"),
        str(event["sequence"]),
        event["type"],
        event["outcome"] if event["code"] is None else f"{event['outcome']} ({event['code']})",
        *(
            event[name]
            for name in ("connection", "requester_label", "mode", "decision", "decided_by")
            if event.get(name)
        ),
        *(f'"{event[name]}"' for name in ("agent", "reason_claim") if event.get(name)),
    ]
    return "  ".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter connvault activity", description="The activity log of a running server's vault."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="the newest events, one a line")
    listing.add_argument("--limit", type=int, default=50, metavar="NUMBER", help="how many (default: 50)")
    export = verbs.add_parser("export", help="a part as a file that can be verified later")
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
    for name in ("--first", "--last"):
        export.add_argument(name, type=int, metavar="NUMBER", help="a number of an event")
    for name in ("--since", "--until"):
        export.add_argument(name, metavar="TIME", help="like 2026-11-24 or 2026-11-24T12:00:00Z")
    verify = verbs.add_parser("verify", help="an exported file, a kept head, or the log itself")
    verify.add_argument("file", nargs="?", help="an exported file; - is the standard input")
    verify.add_argument("--head", type=Path, metavar="FILE", help="a head that was published and kept")
    verify.add_argument(
        "--offline", action="store_true", help="check only the file's hash chain, without a server"
    )
    head = verbs.add_parser("head", help="where the log ends now, to be kept elsewhere")
    for verb in (listing, export):
        verb.add_argument("--connection", metavar="NAME", help="only events of this connection")
    for verb in (export, head):
        verb.add_argument(
            "--output", "-o", type=Path, metavar="FILE", help="a new file (default: the standard output)"
        )
        verb.add_argument("--force", action="store_true", help="replace the file if it exists")
    for verb, perform in ((listing, _list), (export, _export), (verify, _verify), (head, _head)):
        with_server(verb)
        verb.set_defaults(perform=perform)
    return parser
