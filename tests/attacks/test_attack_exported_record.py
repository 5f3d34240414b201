"""A real broker's exported record in the hands of somebody who edits it, or the log behind it."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.audit import CompareAudit, ComparedAudit
from connvault_jupyter.services.audit.exported import read
from connvault_jupyter.services.audit.exported_check import check
from connvault_jupyter.services.audit.exported_findings import Findings
from tests.attacks.conftest import API, by_reason
from tests.support.broker.edited_database import database, put
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.canary import CANARY, found_in


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Operator, Path]]:
    """A broker with a record: a connection, a question with a reason, a use."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=by_reason) as (operator, path),
    ):
        operator.create("api", IN_CLEAR_API, API, {"token": CANARY})
        with Notebooks(operator, home=Path(name), socket_path=path).open("a.ipynb") as process:
            process.run("connection('api', reason='session').arguments()")
        yield operator, Path(name)


def exported(operator: Operator, form: str = "jsonl") -> str:
    part = operator.call("audit.export", {"format": form})
    assert part["next_after"] is None
    return str(part["text"])


def verified(operator: Operator, text: str) -> Findings:
    def judge(asked: CompareAudit) -> ComparedAudit:
        return ComparedAudit.model_validate(operator.call("audit.compare", asked.model_dump(mode="json")))

    return check(read(io.StringIO(text, newline="")), judge=judge)


def made_anew(text: str, *, with_macs: bool) -> str:
    """All rows with a name changed, hashed again by what is written in docs/activity.md, without any key."""
    lines = [json.loads(line) for line in text.splitlines()]
    previous = bytes(32)
    for one in lines:
        if one["record"] != "event":
            continue
        one["event"]["decided_by"] = "mallory"
        body = json.dumps(one["event"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        previous = hashlib.sha256(b"connvault-audit-1\0" + previous + body).digest()
        one["digest"] = previous.hex()
        if not with_macs:
            one.pop("mac")
            one.pop("generation")
    lines[0].update(end=previous.hex(), head={"sequence": lines[0]["last"], "digest": previous.hex()})
    lines[0].pop("mac")
    lines[0].pop("generation")
    return "".join(json.dumps(one, separators=(",", ":"), ensure_ascii=False) + "\n" for one in lines)


def test_a_genuine_export_is_proven_and_holds_no_secret(recorded: tuple[Operator, Path]) -> None:
    """The positive control of what follows."""
    operator, _ = recorded
    for form in ("jsonl", "csv"):
        text = exported(operator, form)
        assert found_in(text) == []
        assert "session" in text
        assert verified(operator, text).proof == "present_keys"


@pytest.mark.parametrize("with_macs", [False, True])
def test_an_export_made_anew_is_not_taken_for_genuine(
    recorded: tuple[Operator, Path], with_macs: bool
) -> None:
    """Its hash chain is right; its MACs are missing, or are those of other events."""
    operator, _ = recorded
    text = made_anew(exported(operator), with_macs=with_macs)
    assert check(read(io.StringIO(text, newline=""))).fault is None
    found = verified(operator, text)
    assert not found.good
    if with_macs:
        assert found.fault is not None
        assert (found.fault.kind, found.fault.sequence) == ("forged", 1)
    else:
        assert (found.proof, found.unproven_from, found.log) == ("none", 1, "differs")


def test_a_cut_end_is_noticed_by_a_head_that_was_kept(recorded: tuple[Operator, Path]) -> None:
    """As long as the log is shorter, and after as many events were written again."""
    operator, folder = recorded
    head: dict[str, Any] = operator.call("audit.head")
    kept = {"events": [{"sequence": head["sequence"], "digest": head["digest"]}]}
    found = operator.call("audit.compare", kept)
    assert (found["missing"], found["differing"]) == ([], [])
    with database(folder) as opened:
        opened.execute(
            f"CREATE TEMP TABLE rows AS SELECT * FROM audit WHERE sequence <= {head['sequence'] - 2}"
        )
        put(opened, "rows")
    assert operator.call("audit.compare", kept)["missing"] == [head["sequence"]]
    for name in ("one", "two", "three"):
        operator.create(name, IN_CLEAR_API, API, {"token": CANARY})
    assert operator.call("audit.compare", kept)["differing"] == [head["sequence"]]
