"""The record, the description of the vault and open questions, edited in the database: noticed, or not opened."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import AccessRequestNotFound, ConnvaultError
from tests.attacks.conftest import API, by_reason
from tests.support.broker.edited_database import database, put
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import wait_until
from tests.support.browser.rest import PASSPHRASE
from tests.support.canary import CANARY

AUDIT_EDITS: dict[str, str] = {
    "edited": "UPDATE rows SET body = replace(body, 'a.ipynb', 'b.ipynb') WHERE sequence = {middle}",
    "removed": "DELETE FROM rows WHERE sequence = {middle}",
    "digest edited": "UPDATE rows SET digest = zeroblob(32) WHERE sequence = {middle}",
    "MAC taken off the middle and the row edited": (
        "UPDATE rows SET mac = NULL, body = replace(body, 'a.ipynb', 'c.ipynb') WHERE sequence = {middle}"
    ),
    "all removed": "DELETE FROM rows",
    "inserted": (
        "INSERT INTO rows SELECT {last} + 1, at, type, connection_id, connection, requester_key, end_offset,"
        " body, previous, digest, mac, generation FROM rows WHERE sequence = {middle}"
    ),
    "checkpoint made up": (
        "INSERT INTO audit_checkpoint VALUES (1, {middle}, (SELECT digest FROM audit WHERE sequence = {middle}),"
        " zeroblob(32), 0)"
    ),
}


@pytest.fixture
def recorded() -> Iterator[tuple[Notebooks, Path]]:
    """A broker with a record and a vault of its own, to be spoilt: it remembers how far its record has come."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=by_reason) as (operator, path),
    ):
        operator.create("api", IN_CLEAR_API, API, {"token": CANARY})
        found = Notebooks(operator, home=Path(name), socket_path=path)
        with found.open("a.ipynb") as process:
            process.run("connection('api', reason='session').arguments()")
        yield found, Path(name)


@pytest.mark.parametrize("name", AUDIT_EDITS)
def test_an_edited_record_is_noticed(recorded: tuple[Notebooks, Path], name: str) -> None:
    """Not stopped, but the verification says where it breaks."""
    notebooks, folder = recorded
    assert notebooks.operator.call("audit.verify")["consistent"] is True
    last = notebooks.record()[0]["sequence"]
    # The broker notes now and then how far its record has come.
    wait_until(lambda: "audit:changed" in notebooks.operator.heard, deadline_s=20, what="the broker's timer")
    with database(folder) as opened:
        opened.execute("CREATE TEMP TABLE rows AS SELECT * FROM audit")
        opened.execute(AUDIT_EDITS[name].format(middle=last - 2, last=last))
        put(opened, "rows")
    found = notebooks.operator.call("audit.verify")
    assert found["consistent"] is False
    assert found["broken_at"] in (1, last - 2, last, last + 1)


def test_a_row_in_the_form_of_a_locked_servers_is_not_noticed(recorded: tuple[Notebooks, Path]) -> None:
    """Not stopped: rows without a MAC are what a locked vault writes, and anyone can write one at the end."""
    notebooks, folder = recorded
    with database(folder) as opened:
        last = opened.execute("SELECT * FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
        body = json.loads(last[7])
        body.update(sequence=last[0] + 1, requester_label="somebody-else.ipynb")
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        digest = hashlib.sha256(b"connvault-audit-1\0" + last[9] + text).digest()
        opened.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            (last[0] + 1, *last[1:7], text, last[9], digest),
        )
    found = notebooks.operator.call("audit.verify")
    assert (found["consistent"], found["keyed"]) == (True, False)
    notebooks.operator.call("vault.lock")
    notebooks.operator.call("vault.unlock", {"passphrase": PASSPHRASE})
    assert notebooks.operator.call("audit.verify")["keyed"] is True


VAULT_EDITS: dict[str, tuple[str, Any, str]] = {
    "64 GiB of memory": ("memory_kib", 64 * 1024 * 1024, "custodian_unavailable"),
    "a billion rounds": ("iterations", 10**9, "custodian_unavailable"),
    "a negative cost": ("lanes", -1, "custodian_unavailable"),
    "a cost in words": ("memory_kib", "65536", "custodian_unavailable"),
    "cheaper guesses": ("iterations", 1, "wrong_passphrase"),
    "another derivation": ("kdf", "none", "custodian_unavailable"),
    "another salt": ("salt", "AAAAAAAAAAAAAAAAAAAAAA==", "wrong_passphrase"),
    "a newer version": ("version", 2, "custodian_unavailable"),
}


def changed(kept: str, **values: Any) -> str:
    """The slots of a vault, the first one edited."""
    found = json.loads(kept)
    found["slots"][0].update(values)
    return json.dumps(found)


def test_an_edited_vault_does_not_open(recorded: tuple[Notebooks, Path]) -> None:
    """Extreme costs are refused at once, lower ones open nothing, and no other custodian steps in."""
    notebooks, folder = recorded
    call = notebooks.operator.call
    call("vault.lock")
    with database(folder) as opened:
        (kept,) = opened.execute("SELECT slots FROM vault").fetchone()
        parameters = json.loads(kept)["slots"][0]["parameters"]
        for name, (parameter, value, code) in VAULT_EDITS.items():
            opened.execute(
                "UPDATE vault SET slots = ?", (changed(kept, parameters={**parameters, parameter: value}),)
            )
            with pytest.raises(ConnvaultError) as refused:
                call("vault.unlock", {"passphrase": PASSPHRASE})
            assert refused.value.code == code, name
        opened.execute("UPDATE vault SET slots = ?", (changed(kept, kind="os_keyring"),))
        for body in ({}, {"passphrase": PASSPHRASE}):
            with pytest.raises(ConnvaultError):
                call("vault.unlock", body)
        assert call("vault.state")["state"] == "locked"
        opened.execute("UPDATE vault SET slots = ?, vault_id = 'another'", (kept,))
        with pytest.raises(ConnvaultError):
            call("vault.unlock", {"passphrase": PASSPHRASE})


def test_made_up_open_questions_are_asked_of_nobody(recorded: tuple[Notebooks, Path]) -> None:
    """They are only what a dead broker leaves behind; no question and no grant comes of one."""
    notebooks, folder = recorded
    with database(folder) as opened:
        (body,) = opened.execute("SELECT body FROM audit WHERE type = 'access:asked'").fetchone()
        opened.execute(
            "INSERT INTO open_questions VALUES ('made-up', 'process:1:1:a:b', ?, 0)", (bytes(body).decode(),)
        )
    assert notebooks.operator.call("access_requests.list")["access_requests"] == []
    with pytest.raises(AccessRequestNotFound):
        notebooks.operator.call(
            "access_requests.decide", {"id": "made-up", "decision": "always", "digest": "0" * 64}
        )
