"""The text of connections.json: what it looks like, what of it is taken, and what is said of the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import ConnectionsFileInvalid, SchemaTooNew, StorageError
from connvault_jupyter.services.ports import StoredConnection
from connvault_jupyter.storage.conformance.samples import connection, secret, stored
from connvault_jupyter.storage.json import format as json_format
from connvault_jupyter.storage.json.format import Entry, entries_of, newest_version, text_of

VERSIONS = Path(__file__).with_name("json_versions")
ROOT = Path(__file__).resolve().parents[2]
NEWEST = newest_version()

# What stands in every version's file.
ENTRIES = {
    "c1": Entry(
        stored("c1", mac=bytes(range(32))),
        {"password": secret("c1", "password", ref="r1"), "token": secret("c1", "token", ref="r2")},
    ),
    "c2": Entry(stored("c2", name="lake", display_name="", fields={})),
}
LOUD = "VERY-PRIVATE"
Edit = Callable[[dict[str, Any]], object]


def edited(edit: Edit) -> bytes:
    """The newest version's file, parsed, edited and written again."""
    whole = json.loads(text_of(ENTRIES))
    edit(whole)
    return json.dumps(whole).encode()


def replaced(old: str, new: str) -> bytes:
    text = text_of(ENTRIES).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


def block(whole: dict[str, Any], identity: str = "c1") -> dict[str, Any]:
    found: dict[str, Any] = whole["connections"][identity]
    return found


def test_the_file_of_each_version_is_read() -> None:
    """Those of all versions that ever were, each as it was written then."""
    assert sorted(int(folder.name) for folder in VERSIONS.iterdir()) == list(range(1, NEWEST + 1))
    for folder in VERSIONS.iterdir():
        found = entries_of((folder / "connections.json").read_bytes(), "x")
        assert found == (ENTRIES, int(folder.name))


def test_what_is_written_is_the_newest_version_to_the_byte() -> None:
    """Another spelling would be a diff in every block."""
    assert text_of(ENTRIES) == (VERSIONS / str(NEWEST) / "connections.json").read_bytes()


def test_the_example_of_the_documentation_is_a_file() -> None:
    """To the byte."""
    text = (ROOT / "docs" / "stores.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text_of(entries_of(example.encode(), "x")[0]).decode() == example


def test_without_connections_it_is_still_a_file_of_ours() -> None:
    """And read as such."""
    assert json.loads(text_of({})) == {
        "connections": {},
        "format": "connvault-connections",
        "version": NEWEST,
    }
    assert entries_of(text_of({}), "x") == ({}, NEWEST)


def test_the_order_of_entries_and_fields_is_not_that_of_the_writing() -> None:
    """Two brokers write the same bytes for the same content."""
    backwards = {
        one: Entry(entry.stored, dict(reversed(list(entry.secrets.items()))))
        for one, entry in reversed(ENTRIES.items())
    }
    assert text_of(backwards) == text_of(ENTRIES)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (connection("c1", display_name="Lake"), 1),
        (connection("c1", fields={**connection().fields, "host": "other.example.org"}), 1),
        (connection("c1", name="renamed"), 1),
    ],
    ids=["display name", "host", "name"],
)
def test_a_change_is_a_small_diff(change: Any, lines: int) -> None:
    """One value, one line, wherever it sorts."""
    before = text_of(ENTRIES).split(b"\n")
    after = text_of(
        {**ENTRIES, "c1": Entry(StoredConnection(change, bytes(range(32))), ENTRIES["c1"].secrets)}
    )
    assert len([one for one, two in zip(before, after.split(b"\n"), strict=True) if one != two]) == lines


def test_a_connection_that_comes_or_goes_changes_no_other_block() -> None:
    """Its own lines alone."""
    without, both = (text_of(one).decode().splitlines() for one in ({"c1": ENTRIES["c1"]}, ENTRIES))
    assert [line for line in ndiff(without, both) if line.startswith("- ")] == []


def test_parts_that_are_not_needed_may_be_missing() -> None:
    """As in a file that people share: without MACs and secrets, whatever its spaces and order."""

    def bare(whole: dict[str, Any]) -> None:
        for one in whole["connections"].values():
            one.pop("mac", None)
            one.pop("secrets", None)

    found, _ = entries_of(edited(bare), "x")
    assert found == {one: Entry(StoredConnection(entry.stored.connection)) for one, entry in ENTRIES.items()}


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"is not valid JSON \(line 1\)\. It may have been cut off\."),
    "cut off": (text_of(ENTRIES)[:-40], r"is not valid JSON \(line \d+\)\. It may have been cut off\."),
    "cut off in a word": (text_of(ENTRIES)[:200], r"is not valid JSON \(line \d+\)"),
    "no JSON": (replaced('"mac":', '"mac"'), r"is not valid JSON \(line 23\)\. Correct"),
    "binary": (b"SQLite format 3\x00\xff\xfe", "is not UTF-8 text"),
    "utf-16": (text_of(ENTRIES).decode().encode("utf-16"), "is not UTF-8 text"),
    "deep": (b"[" * 200_000, "is not valid JSON"),
    "long number": (replaced("5432", "9" * 10_000), "is not valid JSON"),
    "not a number": (replaced("0.5", "NaN"), "is not valid JSON"),
    "beyond a number": (replaced("0.5", "1e999"), "line 3 that can't be read"),
    "a list": (b"[]", "is not a file of connvault"),
    "foreign": (b'{"name": "package", "version": "1.0.0"}', "is not a file of connvault"),
    "foreign notebook": (b'{"cells": [], "format": "other", "version": 1}', "is not a file of connvault"),
    "no version": (edited(lambda whole: whole.pop("version")), "does not say its version"),
    "version of another type": (edited(lambda whole: whole.update(version="1")), "does not say its version"),
    "version true": (edited(lambda whole: whole.update(version=True)), "does not say its version"),
    "version zero": (edited(lambda whole: whole.update(version=0)), "does not say its version"),
    "more parts": (edited(lambda whole: whole.update({LOUD: 1})), "has other parts than"),
    "no connections": (edited(lambda whole: whole.pop("connections")), "has other parts than"),
    "a list of connections": (edited(lambda whole: whole.update(connections=[])), "has other parts than"),
    "merge conflict": (
        replaced('    "c2"', '<<<<<<< HEAD\n    "c2"'),
        r"has the markers of a merge conflict \(line 37\)\. Resolve",
    ),
    "end of a merge conflict": (
        replaced('    "c2"', '>>>>>>> branch\n    "c2"'),
        r"has the markers of a merge conflict \(line 37\)\. Resolve",
    ),
    "an id twice": (replaced('"c2": {', '"c1": {'), "has a connection or another name twice"),
    "a field twice": (replaced('"port"', '"host"'), "has a connection or another name twice"),
    "a name twice": (
        edited(lambda whole: block(whole, "c2")["connection"].update(name="WAREHOUSE-C1")),
        r"has two connections of one name at line 1 and at line 1\. Rename one of them",
    ),
    "a ref twice": (
        edited(lambda whole: block(whole)["secrets"]["token"].update(ref="r1")),
        "has a secret twice",
    ),
    "an unknown field": (
        edited(lambda whole: block(whole)["connection"].update({LOUD: 1})),
        "a name that this version does not know",
    ),
    "an unknown part of a block": (
        edited(lambda whole: block(whole).update({LOUD: 1})),
        "a name that this version does not know",
    ),
    "an unknown part of a secret": (
        edited(lambda whole: block(whole)["secrets"]["token"].update({LOUD: 1})),
        "a name that this version does not know",
    ),
    "a block of another type": (edited(lambda whole: whole["connections"].update(c1=LOUD)), "line 1 that"),
    "a connection of another type": (
        edited(lambda whole: block(whole).update(connection=[])),
        "`connection`",
    ),
    "no name": (edited(lambda whole: block(whole)["connection"].pop("name")), "`name` is missing"),
    "a name of another type": (
        edited(lambda whole: block(whole)["connection"].update(name=7)),
        "`name` has a wrong type or value",
    ),
    "a revision in quotes": (
        edited(lambda whole: block(whole)["connection"].update(revision="1")),
        "`revision` has a wrong type or value",
    ),
    "a field that is a list": (
        edited(lambda whole: block(whole)["connection"]["fields"].update(host=[LOUD])),
        "`fields` has a wrong type or value",
    ),
    "a time without a zone": (
        edited(lambda whole: block(whole)["connection"].update(created_at="2026-11-24T12:00:00")),
        "`created_at` has a wrong type or value",
    ),
    "an id that is none": (
        edited(lambda whole: whole["connections"].update({f"{LOUD} {{": block(whole)})),
        "`id` has a wrong type or value",
    ),
    "an id inside": (
        edited(lambda whole: block(whole)["connection"].update(id="c1")),
        "or it has an id inside",
    ),
    "a MAC that is not Base64": (edited(lambda whole: block(whole).update(mac=LOUD)), "is not Base64"),
    "a MAC of another type": (edited(lambda whole: block(whole).update(mac=7)), "`mac` has a wrong type"),
    "a secret without its envelope": (
        edited(lambda whole: block(whole)["secrets"]["token"].pop("envelope")),
        "`secrets.envelope` is missing",
    ),
    "an envelope that is not Base64": (
        edited(lambda whole: block(whole)["secrets"]["token"].update(envelope="\u2116")),
        "is not Base64",
    ),
    "half a character": (replaced("db.example.org", "\\ud800"), "can't be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused_with_the_file_and_what_to_do(name: str) -> None:
    """The message quotes nothing: there may be anything in the file."""
    data, says = BAD[name]
    with pytest.raises(ConnectionsFileInvalid, match=says) as caught:
        entries_of(data, "/home/u/connections.json")
    message = caught.value.message
    assert message.startswith("/home/u/connections.json ")
    assert re.search(r"(Correct it|Move it away|Resolve the conflict|Rename one|Keep one)", message)
    assert LOUD not in message
    assert caught.value.__cause__ is None


def test_a_newer_version_is_refused() -> None:
    """Whatever else is in it: an older package must not guess."""
    with pytest.raises(SchemaTooNew, match=r"^/x was written by a newer version.*Update") as caught:
        entries_of(edited(lambda whole: whole.update(version=NEWEST + 1, more=[])), "/x")
    assert caught.value.details == {"found": NEWEST + 1, "newest": NEWEST}


def rename(whole: dict[str, Any]) -> dict[str, Any]:
    """What a later version might bring: another name for a part."""
    return {**{name: part for name, part in whole.items() if name != "old"}, "connections": whole["old"]}


def test_an_older_version_is_brought_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, from the version that it says."""
    older = edited(lambda whole: whole.update(old=whole.pop("connections")))
    monkeypatch.setattr(json_format, "UPGRADES", [*json_format.UPGRADES, rename])
    assert entries_of(older, "x") == (ENTRIES, NEWEST)
    assert entries_of(text_of(ENTRIES), "x") == (ENTRIES, NEWEST + 1)


def test_an_older_version_that_can_not_be_brought_forward_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file's name, like everything else."""
    older = text_of(ENTRIES)
    monkeypatch.setattr(json_format, "UPGRADES", [*json_format.UPGRADES, rename])
    with pytest.raises(
        ConnectionsFileInvalid, match=f"/x has something that its version {NEWEST} does not allow"
    ):
        entries_of(older, "/x")


@pytest.mark.parametrize(
    "fields",
    [{"host": "\ud800"}, {"ratio": float("inf")}, {"host": "x" * 3, "Bad Name": 1}],
    ids=["half", "infinite", "name"],
)
def test_what_could_not_be_read_again_is_not_written(fields: dict[str, Any]) -> None:
    """It would make the whole file unreadable."""
    unchecked = connection().model_copy(update={"fields": fields})
    with pytest.raises(StorageError):
        Entry(StoredConnection(unchecked)).check()
