"""What is said of a project's file that can't be read, and which values are never written into one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connvault_jupyter.contracts.workspaces import WorkspaceBlock
from connvault_jupyter.errors import StorageError, WorkspaceFileInvalid
from connvault_jupyter.storage.workspace.format import file_of, text_of

NAME = "shop/.connvault/connections.json"
BLOCK: dict[str, Any] = {"name": "lake", "provider_id": "s3"}
MEND = "Correct it, or restore it from version control."


def whole(**changes: Any) -> str:
    return json.dumps(
        {"connections": {"Lk41": BLOCK}, "format": "connvault-workspace", "version": 1} | changes
    )


def refused(text: str) -> str:
    with pytest.raises(WorkspaceFileInvalid) as caught:
        file_of(text.encode(), b"", NAME)
    assert caught.value.__cause__ is None
    assert caught.value.message.startswith(f"{NAME} ")
    return caught.value.message.removeprefix(f"{NAME} ")


def test_a_plain_file_is_none_of_these() -> None:
    """The control."""
    assert file_of(whole().encode(), b"", NAME).blocks == {"Lk41": WorkspaceBlock(**BLOCK)}


def test_a_broken_file_is_to_be_corrected() -> None:
    """Unless the sentence says already what to do."""
    assert refused("{").endswith(MEND)
    assert refused("<<<<<<< HEAD\n{}").endswith("Resolve the conflict.")


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_a_version_that_never_was_is_none(version: Any) -> None:
    """A newer one is another matter."""
    assert refused(whole(version=version)) == f"does not say its version. {MEND}"
    assert refused(whole(version=2)).startswith("was written by a newer version")


@pytest.mark.parametrize("connections", [[], None, "Lk41", 5])
def test_connections_that_are_no_table_are_refused(connections: Any) -> None:
    """As other parts are."""
    assert refused(whole(connections=connections)).startswith("has other parts than")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ...}, "`name` is missing"),
        ({"provider_id": ...}, "`provider_id` is missing"),
        ({"name": 5}, "`name` has a wrong type or value"),
        ({"fields": {"name": [1]}}, "`fields.name` has a wrong type or value"),
        ({"fields": {"host": [1]}}, "`fields` has a wrong type or value"),
        ({"secret": 1}, "it has a name that this version does not know"),
    ],
)
def test_what_is_wrong_with_a_connection_is_named_by_the_format_alone(
    changes: dict[str, Any], why: str
) -> None:
    """By the names of its own parts, and the line."""
    block = {name: value for name, value in (BLOCK | changes).items() if value is not ...}
    said = refused(whole(connections={"Lk41": block}))
    assert said.startswith("has a connection at line 1 that can't be read: ")
    assert f": {why}" in said


def test_a_connection_that_is_no_table_is_refused() -> None:
    """It has no part that could be named."""
    assert "it has a wrong type, value or id" in refused(whole(connections={"Lk41": 5}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_a_value_that_json_can_not_hold_is_not_written(value: Any) -> None:
    """Nobody could read the file any more."""
    block = WorkspaceBlock.model_construct(
        name="lake", display_name="", provider_id="s3", fields={"x": value}
    )
    with pytest.raises(StorageError, match="can't hold") as caught:
        text_of({"Lk41": block})
    assert caught.value.__cause__ is None
