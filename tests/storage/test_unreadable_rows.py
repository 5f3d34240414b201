"""Rows that somebody edited or damaged: told where one is asked for, left out of lists, and never logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.audit import AuditFilter
from connvault_jupyter.errors import SchemaTooNew, StorageError
from connvault_jupyter.services.ports import OpenQuestion
from connvault_jupyter.services.secrets.slots import MAX_SLOTS
from connvault_jupyter.storage.conformance.samples import (
    append,
    connection,
    event,
    grant,
    handle,
    outcome,
    record,
    secret,
    slot,
)
from connvault_jupyter.storage.slot_rows import text_of
from connvault_jupyter.storage.stores import Stores, open_stores
from tests.support.services.storage import edit

LOUD = "VERY-PRIVATE"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "connvault"


@pytest.fixture
def stores(data_dir: Path) -> Iterator[Stores]:
    """Two of everything."""
    database, stores = open_stores(data_dir=data_dir)
    stores.vault.create(record())
    for number in ("1", "2"):
        identity = f"c{number}"
        stores.connections.add(connection(identity))
        stores.connections.save_test(identity, outcome())
        stores.connections.touch(identity, outcome().at)
        stores.secrets.put(secret(identity, ref=f"r{number}"))
        stores.grants.add(grant(f"g{number}", connection_id=identity), b"mac")
        stores.handles.add(handle(identity.encode(), connection_id=identity, grant_id=f"g{number}"))
        stores.questions.add(OpenQuestion(f"q{number}", "1:1", event(1, type="access:asked")))
    yield stores
    database.close()


DAMAGES = {
    "json": f"document = '{{\"{LOUD}\": '",
    "contract": f"document = '{{\"{LOUD}\": 1}}'",
    "utf-8": "document = CAST(x'ff22' AS TEXT)",
    "blob": "document = x'00ff'",
    "number": "document = 7",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("table", ["connections", "grants"])
def test_when_a_document_is_damaged_only_its_row_suffers(
    stores: Stores, data_dir: Path, caplog: pytest.LogCaptureFixture, table: str, damage: str
) -> None:
    """The list shows the others; the log names the row and nothing of it."""
    victim = {"connections": "c1", "grants": "g1"}[table]
    edit(data_dir, f"UPDATE {table} SET {damage} WHERE id = '{victim}'")
    store: Any = getattr(stores, table)
    with pytest.raises(StorageError) as caught:
        store.get(victim)
    with caplog.at_level(logging.DEBUG):
        assert len(store.all()) == 1
    assert [(entry.levelname, victim in entry.message) for entry in caplog.records] == [("WARNING", True)]
    assert LOUD not in caplog.text + str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("statement", "look"),
    [
        (
            "UPDATE connections SET name = 'lake' WHERE id = 'c1'",
            lambda stores: stores.connections.by_name("lake"),
        ),
        ("UPDATE connections SET revision = 9 WHERE id = 'c1'", lambda stores: stores.connections.get("c1")),
        ("UPDATE grants SET connection_id = 'c2' WHERE id = 'g1'", lambda stores: stores.grants.get("g1")),
        ("UPDATE grants SET requester_key = '/x' WHERE id = 'g1'", lambda stores: stores.grants.get("g1")),
        ("UPDATE grants SET instance = 'k' WHERE id = 'g1'", lambda stores: stores.grants.get("g1")),
        ("UPDATE grants SET mac = 'text' WHERE id = 'g1'", lambda stores: stores.grants.get("g1")),
        ("UPDATE grants SET last_used_at = 'x' WHERE id = 'g1'", lambda stores: stores.grants.get("g1")),
        ("UPDATE secrets SET envelope = 7", lambda stores: stores.secrets.get("c1", "password")),
        ("UPDATE secrets SET set_at = 1e300", lambda stores: stores.secrets.get("c1", "password")),
        ("UPDATE handles SET mode = 'free'", lambda stores: stores.handles.get(handle(b"c1").ref_hash)),
        (
            "UPDATE handles SET expires_at = 'never'",
            lambda stores: stores.handles.get(handle(b"c1").ref_hash),
        ),
        (
            """UPDATE connections SET document = replace(document, '"ratio":0.5', '"ratio":NaN') WHERE id = 'c1'""",
            lambda stores: stores.connections.get("c1"),
        ),
        ("UPDATE vault SET custodian = 'passphrase'", lambda stores: stores.vault.load()),
        ('UPDATE vault SET slots = \'{"slots":[],"version":1}\'', lambda stores: stores.vault.load()),
        (
            "UPDATE vault SET custodian = 'nobody', slots = '{\"slots\":[],\"version\":1}'",
            lambda stores: stores.vault.load(),
        ),
        ("UPDATE vault SET slots_mac = 'text'", lambda stores: stores.vault.load()),
        *(
            (f"UPDATE vault SET slots = {changed}", lambda stores: stores.vault.load())
            for changed in (
                "'[]'",
                "'{'",
                "'{\"version\":1}'",
                '\'{"slots":7,"version":1}\'',
                '\'{"slots":[{}],"version":1}\'',
                "replace(slots, '\"version\":1', '\"version\":0')",
                "replace(slots, '\"version\":1', '\"version\":true')",
                'replace(slots, \'"id":"s2"\', \'"id":"v1"\')',
                'replace(slots, \'"id":"s2"\', \'"id":"s 2"\')',
                'replace(slots, \'"id":"s2"\', \'"id":2\')',
                "replace(slots, 'key_file', 'nobody')",
                "replace(slots, 'Passphrase', '')",
                "replace(slots, '\"pinned\":2', '\"pinned\":-1')",
                "replace(slots, '\"pinned\":2', '\"pinned\":99999999999999999999')",
                "replace(slots, '\"pinned\":2', '\"pinned\":true')",
                'replace(slots, \'"mac":"\', \'"mac":"!\')',
                'replace(slots, \'"parameters":{\', \'"parameters":[],"x":{\')',
            )
        ),
        ("UPDATE vault SET generation = 'two'", lambda stores: stores.vault.load()),
        ("UPDATE vault SET salt = 'text'", lambda stores: stores.vault.load()),
        ("UPDATE vault SET older = '[]'", lambda stores: stores.vault.load()),
        ('UPDATE vault SET older = \'{"x": ""}\'', lambda stores: stores.vault.load()),
        ("UPDATE vault SET parameters = '[]'", lambda stores: stores.vault.load()),
        ("UPDATE vault SET parameters = '{'", lambda stores: stores.vault.load()),
    ],
)
def test_when_a_row_contradicts_itself_asking_for_it_fails(
    stores: Stores, data_dir: Path, statement: str, look: Callable[[Stores], object]
) -> None:
    """A row that was re-aimed past its document counts as unreadable, not as either."""
    edit(data_dir, statement)
    with pytest.raises(StorageError):
        look(stores)


def test_when_there_are_more_slots_than_there_may_be_they_are_refused(stores: Stores, data_dir: Path) -> None:
    """Each typed passphrase is tried on all of them."""
    many = [slot(f"s{number}") for number in range(MAX_SLOTS + 1)]
    edit(data_dir, f"UPDATE vault SET slots = '{text_of(many)}'")
    with pytest.raises(StorageError):
        stores.vault.load()
    edit(data_dir, f"UPDATE vault SET slots = '{text_of(many[1:])}'")
    assert stores.vault.load() == record(slots=tuple(many[1:]))


def test_when_a_newer_version_wrote_the_slots_they_are_refused(stores: Stores, data_dir: Path) -> None:
    """An update is what helps, not a backup."""
    edit(data_dir, """UPDATE vault SET slots = replace(slots, '"version":1', '"version":2')""")
    with pytest.raises(SchemaTooNew):
        stores.vault.load()


@pytest.mark.parametrize(
    ("statement", "look"),
    [
        (
            "UPDATE connections SET last_test = '{}' WHERE id = 'c1'",
            lambda stores: stores.connections.tests(),
        ),
        (
            "UPDATE connections SET last_used_at = 'x' WHERE id = 'c1'",
            lambda stores: stores.connections.last_used(),
        ),
        ("UPDATE secrets SET envelope = 7 WHERE connection_id = 'c1'", lambda stores: stores.secrets.all()),
        (
            "UPDATE open_questions SET event = '{}' WHERE question_id = 'q1'",
            lambda stores: stores.questions.all(),
        ),
        (
            "UPDATE open_questions SET broker = x'00' WHERE question_id = 'q1'",
            lambda stores: stores.questions.all(),
        ),
    ],
)
def test_when_one_of_many_is_damaged_the_other_is_there(
    stores: Stores, data_dir: Path, statement: str, look: Callable[[Stores], list[object]]
) -> None:
    """One bad record does not fail a list."""
    edit(data_dir, statement)
    assert len(look(stores)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        "body = x'7b'",
        "type = 'access:denied'",
        "requester_key = '/x'",
        "at = 0",
        "digest = 'text'",
        "mac = 7",
    ],
)
def test_when_a_row_of_the_record_is_damaged_the_chain_has_a_gap(
    stores: Stores, data_dir: Path, damage: str
) -> None:
    """Whoever verifies sees the gap; a page is filled up behind it, so that its end means the end."""
    made = [append(stores) for _ in range(5)]
    edit(data_dir, "DROP TRIGGER audit_is_never_changed", f"UPDATE audit SET {damage} WHERE sequence = 2")
    assert stores.audit.chain(0, 3) == [made[0], made[2], made[3]]
    assert [row.sequence for row in stores.audit.page(AuditFilter(limit=4))][:3] == [5, 4, 3]


def test_when_the_last_digest_is_damaged_nothing_can_follow(stores: Stores, data_dir: Path) -> None:
    """No row, no release."""
    append(stores)
    edit(data_dir, "DROP TRIGGER audit_is_never_changed", "UPDATE audit SET digest = 'text'")
    with pytest.raises(StorageError):
        append(stores)
