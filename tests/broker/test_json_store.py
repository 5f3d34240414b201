"""A real broker whose connections are in connections.json, which somebody edits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import ConnectionsFileInvalid, ConnvaultError, SecretInvalid, StorageError
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.requester import Refused, requester_process
from tests.support.browser.rest import PASSPHRASE
from tests.support.sinks import files_below, hits

SECRET = "sOkrates-470-canary"
FIELDS = {"host": "127.0.0.1", "port": 1, "user": "u", "database": "d"}


def create(operator: Operator, name: str = "warehouse") -> str:
    made = operator.create(name, "postgresql", FIELDS, {"password": SECRET})
    return str(made["connection"]["id"])


def standing(operator: Operator) -> list[tuple[str, str, str | None]]:
    return [
        (view["connection"]["name"], view["connection"]["status"], view["connection"]["status_reason"])
        for view in operator.call("connections.list")["connections"]
    ]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole["connections"])
    draft = path.with_name("draft")
    draft.write_text(json.dumps(whole), encoding="utf-8")
    draft.replace(path)


def path_of(home: Path) -> Path:
    return home / "vault" / "connections.json"


def test_a_connection_and_its_secret_survive_a_restart(short_tmp_path: Path) -> None:
    """Sealed under the vault's key in one place, the connection in the other; the secret is in no file."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        create(operator)
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        assert standing(operator) == [("warehouse", "ready", None)]
    assert '"warehouse"' in path_of(short_tmp_path).read_text(encoding="utf-8")
    assert hits(files_below(short_tmp_path / "vault"), SECRET) == []


def test_a_new_passphrase_makes_the_file_new(short_tmp_path: Path) -> None:
    """All MACs and envelopes in one change; the connection stays what it was."""
    new = {"current": PASSPHRASE, "new": f"{PASSPHRASE} and more"}
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        create(operator)
        before = json.loads(path_of(short_tmp_path).read_bytes())["connections"]
        operator.call("vault.passphrase", new)
        after = json.loads(path_of(short_tmp_path).read_bytes())["connections"]
        assert standing(operator) == [("warehouse", "ready", None)]
    (one,) = before
    assert before[one]["connection"] == after[one]["connection"]
    assert before[one]["mac"] != after[one]["mac"]
    assert before[one]["secrets"] != after[one]["secrets"]


def test_an_edited_connection_is_not_used(short_tmp_path: Path) -> None:
    """The MAC covers all of it; seen at the next look, without a restart."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        identity = create(operator)
        edit(
            path_of(short_tmp_path),
            lambda connections: connections[identity]["connection"]["fields"].update(host="evil.example.org"),
        )
        assert standing(operator) == [("warehouse", "invalid", "edited")]


def test_without_its_mac_a_connection_is_not_used(short_tmp_path: Path) -> None:
    """As one that came with a file from elsewhere."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        identity = create(operator)
        edit(path_of(short_tmp_path), lambda connections: connections[identity].pop("mac"))
        assert standing(operator) == [("warehouse", "draft", "unconfirmed")]


def test_a_secret_that_was_moved_to_another_connection_does_not_open(short_tmp_path: Path) -> None:
    """It is sealed for its own."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        one, other = create(operator, "one"), create(operator, "other")

        def swap(connections: dict[str, Any]) -> None:
            mine, theirs = connections[one]["secrets"], connections[other]["secrets"]
            connections[one]["secrets"], connections[other]["secrets"] = theirs, mine

        edit(path_of(short_tmp_path), swap)
        with pytest.raises(SecretInvalid):
            operator.call("connections.test", {"id": one})


def test_a_broken_file_stops_connections_and_nothing_else(short_tmp_path: Path) -> None:
    """The error names file and line, for the page and for a kernel; a lock works; corrected, everything does."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, socket_path):
        create(operator)
        path = path_of(short_tmp_path)
        right = path.read_text(encoding="utf-8")
        path.write_text(right.replace('  "version"', '<<<<<<< HEAD\n  "version"'), encoding="utf-8")
        with pytest.raises(ConnectionsFileInvalid, match=f"{path} has the markers of a merge conflict"):
            operator.call("connections.list")
        with pytest.raises(ConnvaultError):
            create(operator, "lake")
        with (
            requester_process(short_tmp_path, socket_path) as kernel,
            pytest.raises(Refused, match=r"ConnectionsFileInvalid.*merge conflict"),
        ):
            kernel.run("connections()")
        operator.call("vault.lock")
        path.write_text(right, encoding="utf-8")
        operator.set_up()
        assert standing(operator) == [("warehouse", "ready", None)]


def test_a_broker_starts_with_a_broken_file(short_tmp_path: Path) -> None:
    """What is wrong is told to who looks, and needs no restart."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        create(operator)
    path = path_of(short_tmp_path)
    right = path.read_bytes()
    path.write_bytes(right[:-50])
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        with pytest.raises(ConnectionsFileInvalid, match="may have been cut off"):
            operator.call("connections.list")
        path.write_bytes(right)
        assert standing(operator) == [("warehouse", "ready", None)]


def test_two_brokers_see_each_others_changes(short_tmp_path: Path) -> None:
    """And use what the other has stored."""
    vault = short_tmp_path / "vault"
    with (
        operated_broker(short_tmp_path / "a", data_dir=vault, connection_store="json") as (one, _),
        operated_broker(short_tmp_path / "b", data_dir=vault, connection_store="json") as (other, _),
    ):
        identity = create(one)
        assert standing(other) == [("warehouse", "ready", None)]
        other.call("connections.delete", {"id": identity, "revision": 1})
        assert standing(one) == []


def test_the_other_setting_is_refused_with_its_name(short_tmp_path: Path) -> None:
    """The vault keeps to its store."""
    with operated_broker(short_tmp_path, connection_store="json") as (operator, _):
        create(operator)
    with (
        pytest.raises(StorageError, match=r"ConnvaultExtension\.connection_store"),
        operated_broker(short_tmp_path, connection_store="sqlite"),
    ):
        pytest.fail("it has started")
