"""A server that starts without a person and without a keyring: a second slot, in a key file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts.supervision import BrokerSettings
from connvault_jupyter.errors import ConnvaultError, CustodianUnavailable, InvalidRequest
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.browser.rest import PASSPHRASE
from tests.support.canary import CANARY

LATER = {"kind": "key_file", "label": "night jobs", "proof": {"passphrase": PASSPHRASE}}


@contextmanager
def broker(vault: Path, **settings: Any) -> Iterator[Operator]:
    """A broker on the vault, as it is after a start; nobody unlocks it."""
    with tempfile.TemporaryDirectory(prefix="cv-") as place:
        operator = Operator(rule=None)
        operator.broker.start(
            BrokerSettings(
                data_dir=str(vault),
                socket_path=f"{place}/b",
                server_root=place,
                custodian="passphrase",
                version=__version__,
                **settings,
            )
        )
        try:
            yield operator
        finally:
            operator.broker.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        yield Path(name)


def state(operator: Operator) -> str:
    return str(operator.call("vault.state")["state"])


def test_a_vault_with_a_key_file_opens_at_the_start_and_without_it_by_its_passphrase(folder: Path) -> None:
    """Real brokers, one after the other; the file is 0600, and says nothing in the vault."""
    file = folder / "keys"
    with operated_broker(folder, key_file=str(file)) as (operator, _):
        operator.create("token", "secret", {}, {"value": CANARY})
        assert [slot["kind"] for slot in operator.call("slots.add", LATER)["slots"]] == [
            "passphrase",
            "key_file",
        ]
    assert file.stat().st_mode & 0o777 == 0o600
    with broker(folder / "vault", key_file=str(file)) as operator:
        wait_until(lambda: state(operator) == "unlocked", deadline_s=20, what="the key file")
        slot_id = operator.call("audit.list", {"type": "vault:unlocked"})["events"][0]["slot_id"]
        assert slot_id == operator.call("slots.list")["slots"][1]["id"]
    # Another machine without the setting, or without the file: nothing is deleted, and the way is clear.
    for settings, said in (
        ({}, "key_file, then restart"),
        ({"key_file": str(folder / "gone")}, "another key slot"),
    ):
        with broker(folder / "vault", **settings) as operator:
            assert state(operator) == "locked"
            with pytest.raises(CustodianUnavailable, match=said):
                operator.call("vault.unlock")
            operator.call("vault.unlock", {"passphrase": PASSPHRASE})
            assert state(operator) == "unlocked"


def test_a_removed_key_files_slot_opens_nothing_any_more(folder: Path) -> None:
    """Its key goes from the file; put back from a copy, it opens nothing."""
    file = folder / "keys"
    with operated_broker(folder, key_file=str(file)) as (operator, _):
        slots = operator.call("slots.add", LATER)["slots"]
        copied = file.read_bytes()
        operator.call("slots.remove", {"id": slots[1]["id"], "proof": {"passphrase": PASSPHRASE}})
        assert not file.exists()
    file.write_bytes(copied)
    file.chmod(0o600)
    with broker(folder / "vault", key_file=str(file)) as operator:
        with pytest.raises(InvalidRequest):
            operator.call("vault.unlock")
        key = copied.split()[-1].decode()
        with pytest.raises(ConnvaultError):
            operator.call("vault.rotate", {"proof": {"slot": slots[1]["id"], "key": key}})
        assert state(operator) == "locked"
