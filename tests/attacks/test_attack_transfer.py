"""Export and import of a real broker, in the hands of whoever has the token, the file, or the database."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    ExportFileInvalid,
    ForeignSlot,
    NameTaken,
    SlotProofRefused,
    WrongPassphrase,
)
from tests.attacks.conftest import by_reason
from tests.attacks.test_attack_slot_operations import TOKEN_ALONE
from tests.support.broker.edited_database import refused
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.browser.rest import PASSPHRASE
from tests.support.canary import CANARY, found_in
from tests.support.services.service_world import POSTGRES

OF_THE_FILE = "the passphrase of the file"
EVIL = {**POSTGRES, "host": "evil.example.org"}


@pytest.fixture
def own() -> Iterator[tuple[Notebooks, Path]]:
    """A real broker with a vault of its own, and a connection that forbids to reveal."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=by_reason) as (operator, path),
    ):
        operator.create("warehouse", IN_CLEAR, POSTGRES, {"password": CANARY}, reveal_allowed=False)
        yield Notebooks(operator, home=Path(name), socket_path=path), Path(name)


def exported(notebooks: Notebooks, **more: Any) -> str:
    proof = {"passphrase": PASSPHRASE}
    request = {"passphrase": OF_THE_FILE, "with_secrets": True, "proof": proof, **more}
    # What forbids to reveal is withheld the first time.
    notebooks.operator.call("connections.export", request)
    return str(notebooks.operator.call("connections.export", request)["file"])


def of_warehouse(notebooks: Notebooks) -> dict[str, Any]:
    (view,) = notebooks.operator.call("connections.list")["connections"]
    found: dict[str, Any] = view["connection"]
    return found


def test_the_token_alone_exports_no_secret(own: tuple[Notebooks, Path]) -> None:
    """All of the operator's door is open, the vault is unlocked, the connection is named: no file, and each try is on
    record. What it can have is what a list shows."""
    notebooks, _ = own
    call, connection = notebooks.operator.call, of_warehouse(notebooks)
    slot_id = call("slots.list")["slots"][0]["id"]
    request = {"passphrase": OF_THE_FILE, "with_secrets": True, "although_no_reveal": [connection["id"]]}
    for given in TOKEN_ALONE.values():
        proof = {**given, **({"slot": slot_id} if "slot" in given else {})}
        with pytest.raises((SlotProofRefused, WrongPassphrase)):
            call("connections.export", {**request, "proof": proof})
    with pytest.raises(SlotProofRefused):
        call("connections.export", request)
    rows = call("audit.list", {"type": "connection:exported"})["events"]
    assert [row["outcome"] for row in rows] == ["refused"] * (len(TOKEN_ALONE) + 1)
    without = call("connections.export", {**request, "with_secrets": False})
    assert without["connections"][0]["secrets"] == []
    assert not call("audit.list", {"type": "secret:exported"})["events"]


def test_a_slots_secret_does_not_export_what_forbids_to_reveal(own: tuple[Notebooks, Path]) -> None:
    """The first time, also if it is named at once; who then names it gives the slot's secret again."""
    notebooks, _ = own
    call, connection = notebooks.operator.call, of_warehouse(notebooks)
    request = {"passphrase": OF_THE_FILE, "with_secrets": True, "proof": {"passphrase": PASSPHRASE}}
    named = {**request, "although_no_reveal": [connection["id"]]}
    (first,) = call("connections.export", named)["connections"]
    assert (first["secrets"], first["without_secrets"]) == ([], "no_reveal")
    with pytest.raises(SlotProofRefused):
        call("connections.export", {**named, "proof": None})
    (second,) = call("connections.export", named)["connections"]
    assert second["secrets"] == ["password"]


def test_a_stolen_export_file_says_nothing(own: tuple[Notebooks, Path]) -> None:
    """Neither secrets nor names, hosts or users; a try costs an Argon2id of 64 MiB, also where the header says less."""
    notebooks, _ = own
    file = exported(notebooks, although_no_reveal=[of_warehouse(notebooks)["id"]])
    assert not found_in(file)
    first, header, sealed, _, _ = file.split("\n")
    opened = base64.b64decode(sealed)
    for word in ("warehouse", "example", "ada", "sales", IN_CLEAR):
        assert word not in first + header
        assert word.encode() not in opened
    costs = json.loads(header)
    assert (costs["kdf"], costs["iterations"], costs["memory_kib"], costs["lanes"]) == (
        "argon2id",
        3,
        65536,
        4,
    )
    cheaper = json.dumps({**costs, "iterations": 1, "memory_kib": 64}, sort_keys=True, separators=(",", ":"))
    body = f"{first}\n{cheaper}\n{sealed}\n"
    edited = f"{body}{hashlib.sha256(body.encode()).hexdigest()}\n"
    for text, passphrase in ((file, "password123"), (file, PASSPHRASE), (edited, OF_THE_FILE)):
        with pytest.raises(WrongPassphrase):
            notebooks.operator.call("connections.import_preview", {"file": text, "passphrase": passphrase})


def test_a_changed_byte_of_an_export_file_imports_nothing(own: tuple[Notebooks, Path]) -> None:
    """Wherever it is, also for who knows the format and makes the digest anew."""
    notebooks, _ = own
    file = exported(notebooks)
    decisions = [{"name": "warehouse", "action": "add", "as_name": "copy"}]
    request = {"passphrase": OF_THE_FILE, "decisions": decisions}
    changed = [
        file[:at] + ("B" if file[at] == "A" else "A") + file[at + 1 :] for at in range(0, len(file), 97)
    ]
    first, header, sealed, _, _ = file.split("\n")
    raw = bytearray(base64.b64decode(sealed))
    raw[len(raw) // 2] ^= 1
    body = f"{first}\n{header}\n{base64.b64encode(raw).decode()}\n"
    changed.append(f"{body}{hashlib.sha256(body.encode()).hexdigest()}\n")
    for text in changed:
        with pytest.raises(ExportFileInvalid):
            notebooks.operator.call("connections.import", {**request, "file": text})
    assert of_warehouse(notebooks)["name"] == "warehouse"


def test_an_import_that_plants_a_host_under_an_old_name_gets_nothing(own: tuple[Notebooks, Path]) -> None:
    """A file of the attacker's own, with the token: it does not overwrite, and where it is told to replace, the old
    secret is gone, and so is the notebook's permission."""
    notebooks, _ = own
    call, connection = notebooks.operator.call, of_warehouse(notebooks)
    with notebooks.open("a.ipynb") as notebook:
        notebook.run("connection('warehouse', reason='always').arguments()")
        with (
            tempfile.TemporaryDirectory(prefix="cv-") as name,
            operated_broker(Path(name)) as (mallory, _path),
        ):
            mallory.create("warehouse", IN_CLEAR, EVIL, {})
            file = mallory.call("connections.export", {"passphrase": OF_THE_FILE})["file"]
        request = {"file": file, "passphrase": OF_THE_FILE}
        (entry,) = call("connections.import_preview", request)["connections"]
        assert (entry["would"], entry["present"]["id"]) == ("other_destination", connection["id"])
        assert "evil.example.org" in entry["destination"]
        with pytest.raises(NameTaken):
            call("connections.import", {**request, "decisions": [{"name": "warehouse", "action": "add"}]})
        assert of_warehouse(notebooks) == connection
        replacing = {"name": "warehouse", "action": "replace", "revision": connection["revision"]}
        call("connections.import", {**request, "decisions": [replacing]})
        assert of_warehouse(notebooks)["status"] == "draft"
        assert refused(notebook, "connection('warehouse', reason='once').arguments()")[0] == "SecretMissing"
    types = [row["type"] for row in call("audit.list", {"limit": 50})["events"]]
    assert {"connection:imported", "secret:removed", "grant:voided"} <= {*types}


def test_a_public_key_planted_before_a_rotation_gets_nothing(own: tuple[Notebooks, Path]) -> None:
    """In the database of a running broker: it is named, and the keys are not renewed for it."""
    notebooks, folder = own
    call = notebooks.operator.call
    with closing(sqlite3.connect(folder / "vault" / "connvault.db")) as opened, opened:
        ((stored,),) = opened.execute("SELECT slots FROM vault").fetchall()
        written = json.loads(stored)
        (genuine,) = written["slots"]
        planted = {**genuine, "id": "planted", "public_key": base64.b64encode(bytes(range(32))).decode()}
        written["slots"].append(planted)
        opened.execute("UPDATE vault SET slots = ?", (json.dumps(written),))
    with pytest.raises(ForeignSlot):
        call("vault.rotate", {"proof": {"passphrase": PASSPHRASE}})
    assert [slot["standing"] for slot in call("slots.list")["slots"]] == ["genuine", "foreign"]
    call("slots.remove", {"id": "planted", "proof": {"passphrase": PASSPHRASE}})
    call("vault.rotate", {"proof": {"passphrase": PASSPHRASE}})
    assert [slot["id"] for slot in call("slots.list")["slots"]] == [genuine["id"]]
    with pytest.raises(ConnvaultError):
        call("slots.remove", {"id": "planted", "proof": {"passphrase": PASSPHRASE}})
