"""Handle refs in other hands: another notebook's, another run's, guessed, written into the database by hand."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.canary import CANARY

GET = "h = connection('api', reason='session')"
REF = "str.__str__(h._handle_ref._ref)"
USE = """
from connvault_jupyter.kernel.api import broker
def use(operation, **body):
    return broker().ask(operation, body)
"""


def refused(process: RequesterProcess, code: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        process.run(code)
    return caught.value.kind, caught.value.details.get("reason", "").strip("'")


OPERATIONS = ["access.deliver", "access.check", "access.reveal", "access.release"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_another_notebooks_ref_opens_nothing(notebooks: Notebooks, operation: str) -> None:
    """A ref is no bearer token; the try is on record."""
    with notebooks.open("a.ipynb") as owner, notebooks.open("b.ipynb") as thief:
        owner.run(GET)
        ref = owner.run(REF)
        thief.run(USE)
        assert refused(thief, f"use({operation!r}, ref={ref!r})") == ("HandleInvalid", "foreign")
        owner.run("h.arguments()")
    if operation != "access.release":
        row = next(row for row in notebooks.record() if row["type"] == "access:refused")
        assert (row["requester_label"], row["code"]) == ("b.ipynb", "handle_invalid")


def test_the_next_run_of_a_notebook_can_not_use_the_last_ones_ref(notebooks: Notebooks) -> None:
    """The kernel id is the same after a restart; the process is not."""
    with notebooks.open("restarted.ipynb", kernel_id="k") as first:
        first.run(GET)
        ref = first.run(REF)
    with notebooks.open("restarted.ipynb", kernel_id="k") as second:
        second.run(USE)
        assert refused(second, f"use('access.deliver', ref={ref!r})")[0] == "HandleInvalid"
        # Its grant ended with the kernel too: a person is asked again.
        assert refused(second, "connection('api', reason='deny')")[0] == "AccessDenied"


def test_guessed_refs_open_nothing(notebooks: Notebooks) -> None:
    """Random ones, and all that differ from a good one in one character."""
    with notebooks.open("a.ipynb") as owner, notebooks.open("b.ipynb") as thief:
        owner.run(GET)
        ref = owner.run(REF)
        thief.run(USE)
        near = [ref[:at] + ("A" if ref[at] != "A" else "B") + ref[at + 1 :] for at in range(len(ref))]
        guesses = [*near, *(secrets.token_urlsafe(32) for _ in range(200))]
        thief.run(
            "def guess(ref):\n"
            "    try: use('access.deliver', ref=ref); return 'open'\n"
            "    except Exception as error: return getattr(error, 'details', {}).get('reason')\n"
        )
        assert set(thief.run(f"[guess(ref) for ref in {guesses!r}]")) == {"unknown"}


def database(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "vault" / "connvault.db", isolation_level=None)


@pytest.mark.parametrize("with_grant", [True, False])
def test_a_handle_row_written_by_hand_opens_nothing(
    notebooks: Notebooks, folder: Path, with_grant: bool
) -> None:
    """Handles have no MAC; what they may open stands in the grant, and that belongs to another notebook."""
    ref = secrets.token_urlsafe(32)
    with notebooks.open("a.ipynb") as owner, notebooks.open("b.ipynb") as thief:
        owner.run("h = connection('api', reason='always')")
        thief.run(USE)
        assert refused(thief, "connection('api', reason='deny')")[0] == "AccessDenied"
        instance = notebooks.asked()[-1]["requester"]["instance"]
        with closing(database(folder)) as opened:
            grant_id, connection_id = opened.execute(
                "SELECT id, connection_id FROM grants WHERE document LIKE '%a.ipynb%'"
            ).fetchone()
            opened.execute(
                "INSERT INTO handles VALUES (?, ?, ?, ?, 'in_clear', 0, NULL, NULL, NULL)",
                (
                    hashlib.sha256(ref.encode()).digest(),
                    grant_id if with_grant else None,
                    connection_id,
                    instance,
                ),
            )
        assert refused(thief, f"use('access.deliver', ref={ref!r})") == ("HandleInvalid", "revoked")


def test_a_ref_that_can_only_ask_to_reveal_gives_no_login(notebooks: Notebooks) -> None:
    """Plain text needs a person's yes each time, whatever operation is used."""
    with notebooks.open("a.ipynb") as process:
        process.run("h = connection('token')")
        process.run(USE)
        before = len(notebooks.asked())
        assert refused(process, f"use('access.deliver', ref={REF})")[0] == "NotAllowed"
        assert len(notebooks.asked()) == before
        assert refused(process, f"use('access.reveal', ref={REF})")[0] == "AccessDenied"
        assert len(notebooks.asked()) == before + 1


def test_in_the_clear_the_code_can_take_the_secret(notebooks: Notebooks) -> None:
    """Not stopped: the login passes through the code's own process, as the dialog said. It is on record."""
    with notebooks.open("a.ipynb") as process:
        process.run(GET)
        assert process.run("str.__str__(h._handle_ref.deliver().secrets['token'])") == CANARY
    row = notebooks.record(type="access:used")[0]
    assert (row["requester_label"], row["mode"]) == ("a.ipynb", "in_clear")
