"""Key slots of a real broker, in the hands of whoever has the token or an old copy."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import ConnvaultError, SlotProofRefused, WrongPassphrase
from connvault_jupyter.services.audit.repeated_refusals import MAX_ALONE
from tests.attacks.conftest import by_reason
from tests.attacks.test_attack_documents import second_broker
from tests.support.broker.edited_database import database, refused
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.browser.rest import PASSPHRASE
from tests.support.canary import CANARY
from tests.support.services.service_world import POSTGRES
from tests.support.services.slots import SPARE


@pytest.fixture
def own() -> Iterator[tuple[Notebooks, Path]]:
    """A real broker with a vault of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=by_reason) as (operator, path),
    ):
        operator.create("warehouse", IN_CLEAR, POSTGRES, {"password": CANARY})
        yield Notebooks(operator, home=Path(name), socket_path=path), Path(name)


TOKEN_ALONE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a guess": {"passphrase": "password123"},
    "a slot without its key": {"slot": "s"},
    "a made-up key": {"slot": "s", "key": "A" * 43 + "="},
}


def test_the_token_alone_changes_no_slot(own: tuple[Notebooks, Path]) -> None:
    """All of the operator's door is open, the vault is unlocked: nothing is added, removed or rotated, and the tries
    are on record, those of a kind few times (`tests/services/test_refused_proofs.py`)."""
    notebooks, folder = own
    call = notebooks.operator.call
    slot_id = call("slots.list")["slots"][0]["id"]
    with closing(sqlite3.connect(folder / "vault" / "connvault.db")) as opened:
        before = opened.execute("SELECT * FROM vault").fetchone()
        for given in TOKEN_ALONE.values():
            proof = {**given, **({"slot": slot_id} if "slot" in given else {})}
            for operation, body in (
                ("slots.add", {"kind": "passphrase", "passphrase": "mallory's passphrase"}),
                ("slots.remove", {"id": slot_id}),
                ("vault.rotate", {}),
            ):
                with pytest.raises((SlotProofRefused, WrongPassphrase)):
                    call(operation, {**body, "proof": proof})
                with pytest.raises(ConnvaultError):
                    call(operation, body)
        assert opened.execute("SELECT * FROM vault").fetchone() == before
    rows = call("audit.list", {"type": "slot:refused"})["events"]
    assert {row["code"] for row in rows} == {"slot_proof_refused", "wrong_passphrase"}
    assert 2 <= len(rows) <= 2 * MAX_ALONE


def test_an_old_passphrase_on_an_old_copy_opens_nothing_of_another_slots_time(
    own: tuple[Notebooks, Path],
) -> None:
    """A real broker: the passphrase was one of two slots, and its slot was removed. With the copy of then it opens the
    secrets of then; what was stored later, also by a row put back, not."""
    notebooks, folder = own
    call = notebooks.operator.call
    slot_id = call("slots.list")["slots"][0]["id"]
    spare = {"kind": "passphrase", "passphrase": SPARE, "proof": {"passphrase": PASSPHRASE}}
    call("slots.add", spare)
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        copied = Path(name) / "vault"
        shutil.copytree(folder / "vault", copied)
        call("slots.remove", {"id": slot_id, "proof": {"passphrase": SPARE}})
        view = call("connections.list")["connections"][0]
        later = {"id": view["connection"]["id"], "field": "password", "value": "stored later"}
        call("secrets.set", later)
        with pytest.raises(WrongPassphrase), second_broker(folder):
            pass
        with second_broker(folder, SPARE) as other:
            assert other.call("slots.list")["changed_outside"] is False
        with closing(sqlite3.connect(folder / "vault" / "connvault.db")) as opened:
            (envelope,) = opened.execute("SELECT envelope FROM secrets").fetchone()
        with database(Path(name)) as opened:
            opened.execute("UPDATE secrets SET envelope = ?", (envelope,))
        with (
            operated_broker(Path(name), rule=by_reason) as (operator, path),
            Notebooks(operator, home=Path(name), socket_path=path).open("a.ipynb") as thief,
        ):
            code = "connection('warehouse', reason='once').arguments()"
            assert refused(thief, code)[0] == "SecretInvalid"
