"""The text of a project's file: what is written, what is read, and what is refused with its line."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.workspaces import WorkspaceBlock
from connvault_jupyter.errors import WorkspaceFileInvalid
from connvault_jupyter.services.workspace_ports import WorkspaceFile
from connvault_jupyter.storage.workspace.format import file_of, text_of

NAME = "shop/.connvault/connections.json"

TEXT = """\
{
  "connections": {
    "Lk41": {
      "display_name": "",
      "fields": {},
      "name": "lake",
      "provider_id": "s3"
    },
    "Zt3h": {
      "display_name": "Warehouse é",
      "fields": {
        "host": "db.example.org",
        "port": 5432
      },
      "name": "warehouse",
      "provider_id": "postgresql"
    }
  },
  "format": "connvault-workspace",
  "version": 1
}
"""

BLOCKS = {
    "Zt3h": WorkspaceBlock(
        name="warehouse",
        display_name="Warehouse é",
        provider_id="postgresql",
        fields={"port": 5432, "host": "db.example.org"},
    ),
    "Lk41": WorkspaceBlock(name="lake", provider_id="s3"),
}


def read(text: str | bytes) -> WorkspaceFile:
    data = text if isinstance(text, bytes) else text.encode()
    return file_of(data, hashlib.sha256(data).digest(), NAME)


def refused(text: str | bytes) -> str:
    with pytest.raises(WorkspaceFileInvalid) as caught:
        read(text)
    assert caught.value.message.startswith(f"{NAME} ")
    return caught.value.message


def edited(**changes: Any) -> str:
    whole = json.loads(TEXT)
    whole["connections"]["Zt3h"].update(changes)
    return json.dumps(whole, indent=2)


def test_the_text_is_as_documented() -> None:
    """Byte by byte: a project's history would show any other spelling as a change."""
    assert text_of(BLOCKS).decode() == TEXT


def test_what_was_written_is_read_with_its_lines() -> None:
    """The lines are those in which blocks begin."""
    found = read(TEXT)
    assert found.blocks == BLOCKS
    assert found.lines == {"Lk41": 3, "Zt3h": 9}


@given(
    st.dictionaries(
        st.text("abcXYZ019_-", min_size=1, max_size=8),
        st.dictionaries(
            st.sampled_from(["host", "port", "note"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
        ),
    )
)
def test_every_file_is_read_as_it_was_written(found: dict[str, dict[str, Any]]) -> None:
    """With each value of its own type, unless it has half a character, which is never written."""
    blocks = {
        identity: WorkspaceBlock(name=f"n{number}", provider_id="http", fields=fields)
        for number, (identity, fields) in enumerate(found.items())
    }
    again = read(text_of(blocks)).blocks
    assert again == blocks
    assert text_of(again) == text_of(blocks)


def test_lines_are_found_in_the_order_of_the_text() -> None:
    """A field of a block's name before it is none; what is spelt in another way has no line."""
    found = read(TEXT.replace('"host"', '"a"').replace('"Lk41"', '"a"'))
    assert found.lines == {"a": 3, "Zt3h": 9}
    assert read(TEXT.replace('"Zt3h":', '"Zt3h" :')).lines == {"Lk41": 3}


def whole(blocks: dict[str, Any]) -> bytes:
    return json.dumps({"connections": blocks, "format": "connvault-workspace", "version": 1}).encode()


@pytest.mark.parametrize("spelt", ['"%x":1', '"%x" :1', '"\\u0061%x":1'], ids=["plain", "a space", "escaped"])
def test_a_file_of_many_connections_is_refused_at_once(spelt: str) -> None:
    """As many as fit into it: the broker holds its lock meanwhile. Looking for each one's line took 4 s."""
    blocks = ",".join(spelt % number for number in range(20_000))
    began = time.process_time()
    message = refused(whole({}).replace(b"{}", b"{%s}" % blocks.encode()))
    assert time.process_time() - began < 0.5
    assert "more than 500 connections" in message


def test_as_many_as_are_allowed_are_read() -> None:
    """The limit is the last that works."""
    block = {"provider_id": "s3"}
    assert len(read(whole({f"i{n}": {**block, "name": f"n{n}"} for n in range(500)})).blocks) == 500


def test_what_merges_badly_is_named_with_its_line() -> None:
    """The markers of a conflict come first: everything else follows from them."""
    lines = TEXT.splitlines()
    lines[4:4] = ["<<<<<<< HEAD", "=======", ">>>>>>> theirs"]
    assert "markers of a merge conflict (line 5)" in refused("\n".join(lines))


def test_two_connections_of_one_name_are_named_with_both_lines() -> None:
    """As two branches make them; without regard to case."""
    message = refused(TEXT.replace('"name": "lake"', '"name": "WareHouse"'))
    assert "at line 3" in message
    assert "at line 9" in message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (TEXT[:120], "cut off"),
        (b"\xff\xfe", "UTF-8"),
        ("", "JSON"),
        ("[]", "not a project's file"),
        ("[" * 100_000, "not valid JSON"),
        (TEXT.replace("connvault-workspace", "connvault-connections"), "not a project's file"),
        (TEXT.replace('"version": 1', '"version": 2'), "newer version"),
        (TEXT.replace('"version": 1', '"version": true'), "does not say its version"),
        (TEXT.replace('"version": 1', '"version": 1, "more": 1'), "other parts"),
        (TEXT.replace('"connections": {', '"connections": {"Zt3h": {}, '), "twice"),
        (TEXT.replace("5432", "NaN"), "not valid JSON"),
        (TEXT.replace("5432", "1e999"), "too large"),
        (TEXT.replace('"Zt3h"', '"../x"'), "at line 9"),
        (edited(secrets={}), "does not know"),
        (edited(mac="AAAA"), "does not know"),
        (edited(fields={"port": {"deep": 1}}), "`fields`"),
        (edited(name="two words"), "`name`"),
        (edited(provider_id=5), "`provider_id`"),
    ],
)
def test_what_is_not_the_format_is_refused(text: str | bytes, what: str) -> None:
    """The message says what is wrong, and quotes nothing."""
    message = refused(text)
    assert what in message
    for quoted in ("two words", "AAAA", "../x", "deep"):
        assert quoted not in message
