"""A record with some events, as exported files and what the check of these finds."""

from __future__ import annotations

import io
import json
from typing import Any

from connvault_jupyter.contracts.audit import AuditHead, ExportAudit, ExportFormat
from connvault_jupyter.services.audit import exported
from connvault_jupyter.services.audit.exported import read
from connvault_jupyter.services.audit.exported_check import check
from connvault_jupyter.services.audit.exported_findings import Findings
from tests.support.services.service_world import World, notebook

FORMATS: tuple[ExportFormat, ...] = ("jsonl", "csv")


def write(world: World, number: int = 3) -> None:
    for _ in range(number):
        world.audit.record("connection:tested", decided_by="ada")


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
