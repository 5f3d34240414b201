"""Connections, grants and triggers edited in the database: what is not the broker's own does not open anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import InvalidFields, StorageError
from tests.attacks.conftest import API, by_reason
from tests.support.broker.edited_database import database, refused
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import RequesterProcess
from tests.support.canary import CANARY, found_in


@pytest.fixture
def a(notebooks: Notebooks) -> Iterator[RequesterProcess]:
    """The notebook that is the attacker."""
    with notebooks.open("a.ipynb") as process:
        yield process


def made(notebooks: Notebooks, name: str, base_url: str = API["base_url"], token: str = CANARY) -> str:
    """A new connection; its id."""
    view = notebooks.operator.create(name, IN_CLEAR_API, {"base_url": base_url}, {"token": token})
    return str(view["connection"]["id"])


GrantEdit = Callable[[dict[str, Any]], Any]

GRANT_EDITS: dict[str, tuple[str, GrantEdit]] = {
    "once made always": ("once", lambda g: g.update(decision="always", instance=None, expires_at=None)),
    "once made session": ("once", lambda g: g.update(decision="session", expires_at=None)),
    "expiry put off": ("for", lambda g: g.update(expires_at="2099-01-01T00:00:00Z")),
    "aimed at this notebook": (
        "always",
        lambda g: g.update(requester_key=g["requester_key"].replace("b.ipynb", "a.ipynb")),
    ),
    "another run": ("session", lambda g: g.update(instance="kernel:x:1:1:a:b")),
    "another mode": ("always", lambda g: g.update(mode="reveal")),
    "another claim": ("always", lambda g: g.update(agent_hash="1." + "0" * 64)),
    "a claim in words": ("always", lambda g: g.update(agent="assistant")),
    "another text of the claim": ("always", lambda g: g.update(agent_sealed="1.c2VhbGVk")),
    "another destination": ("always", lambda g: g.update(destination_digest="0" * 64)),
    "another thing shown": ("always", lambda g: g.update(shown_digest="0" * 64)),
    "the form of the version before": ("always", lambda g: g.update(shown_digest=None)),
    "decided by somebody else": ("always", lambda g: g.update(decided_by="root")),
}


@pytest.mark.parametrize("name", GRANT_EDITS)
def test_an_edited_grant_does_not_count(
    notebooks: Notebooks, a: RequesterProcess, folder: Path, name: str
) -> None:
    """It carries a MAC over all of it. The person sees it as forged, and is asked."""
    decision, edit = GRANT_EDITS[name]
    connection = f"edit-{len(notebooks.record(type='connection:created'))}"
    made(notebooks, connection)
    with notebooks.open("b.ipynb") as b:
        giver = b if name == "aimed at this notebook" else a
        giver.run(f"h = connection({connection!r}, reason={decision!r})")
        with database(folder) as opened:
            for row in opened.execute("SELECT id, document FROM grants").fetchall():
                document = json.loads(row[1])
                edit(document)
                opened.execute(
                    "UPDATE grants SET document = ?, requester_key = ?, instance = ? WHERE id = ?",
                    (
                        json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
                        document["requester_key"],
                        document["instance"],
                        row[0],
                    ),
                )
        assert refused(a, f"connection({connection!r}, reason='deny')")[0] == "AccessDenied"
        if giver is a:
            assert refused(a, "h.arguments()")[0] == "HandleInvalid"
    (grant, *_) = [
        g for g in notebooks.operator.call("grants.list")["grants"] if g["connection"] == connection
    ]
    assert (grant["counts"], grant["reason_not"]) == (False, "forged")


def test_a_grant_copied_to_another_connection_does_not_count(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """The connection is part of what its MAC covers, in the column and in the document."""
    mine, other = made(notebooks, "copy-mine"), made(notebooks, "copy-other")
    a.run("connection('copy-mine', reason='always')")
    with database(folder) as opened:
        opened.execute(
            "INSERT INTO grants SELECT 'copied', :other, requester_key, instance, created_at,"
            " replace(replace(document, connection_id, :other), id, 'copied'), mac, 0, NULL"
            " FROM grants WHERE connection_id = :mine",
            {"mine": mine, "other": other},
        )
    assert refused(a, "connection('copy-other', reason='deny')")[0] == "AccessDenied"


def test_a_grant_of_another_vault_does_not_count(
    notebooks: Notebooks, a: RequesterProcess, folder: Path, tmp_path: Path
) -> None:
    """Made with a vault and a passphrase of one's own, for the right ids: its MAC is made with another key."""
    connection = made(notebooks, "from-elsewhere")
    with operated_broker(tmp_path, rule=by_reason) as (operator, path):
        own = Notebooks(operator, home=tmp_path, socket_path=path)
        operator.create("from-elsewhere", IN_CLEAR_API, API, {"token": "x"})
        with own.open("a.ipynb") as process:
            process.run("connection('from-elsewhere', reason='always')")
        with database(tmp_path) as opened:
            row = list(opened.execute("SELECT * FROM grants").fetchone())
    document = json.loads(row[5])
    key = f"notebook:{folder}/a.ipynb"
    document.update(connection_id=connection, requester_key=key)
    row[1:3] = connection, key
    row[5] = json.dumps(document, sort_keys=True, separators=(",", ":"))
    with database(folder) as opened:
        opened.execute("INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    assert refused(a, "connection('from-elsewhere', reason='deny')")[0] == "AccessDenied"


def test_another_host_in_the_row_gets_no_secret(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """Neither by the old grant nor by a new yes, which nobody is asked for. It has to be saved and entered again, and
    what was sealed for the old host does not open then either."""
    connection = made(notebooks, "moved")
    a.run("h = connection('moved', reason='always')")
    with database(folder) as opened:
        opened.execute(
            "UPDATE connections SET document = replace(document, 'https://api.test/v1', 'https://evil.test/v1')"
            " WHERE id = ?",
            (connection,),
        )
    assert refused(a, "h.arguments()") == ("ConnectionNotReady", "edited")
    before = len(notebooks.asked())
    assert refused(a, "connection('moved', reason='once')") == ("ConnectionNotReady", "edited")
    assert len(notebooks.asked()) == before
    with database(folder) as opened:
        (envelope,) = opened.execute(
            "SELECT envelope FROM secrets WHERE connection_id = ?", (connection,)
        ).fetchone()
    view = notebooks.operator.call("connections.get", {"id": connection})
    assert view["destination"] == "https://evil.test/v1", "a person sees where it would have gone"
    notebooks.operator.call(
        "connections.update",
        {
            "id": connection,
            "revision": 1,
            "fields": view["connection"]["fields"],
            "secrets": {"token": {"value": "x"}},
        },
    )
    with database(folder) as opened:
        opened.execute("UPDATE secrets SET envelope = ? WHERE connection_id = ?", (envelope, connection))
    assert refused(a, "connection('moved', reason='once')._handle_ref.deliver()")[0] == "SecretInvalid"
    rows = [row["connection"] for row in notebooks.record(type="secret:unreadable")]
    assert rows.count("moved") == 1


def test_a_sealed_secret_in_another_connection_does_not_open(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """Copied to a connection of one's own, which one may use."""
    theirs, own = made(notebooks, "sealed-theirs"), made(notebooks, "sealed-own", token="harmless")
    a.run("h = connection('sealed-own', reason='always')")
    with database(folder) as opened:
        opened.execute(
            "UPDATE secrets SET envelope = (SELECT envelope FROM secrets WHERE connection_id = ?)"
            " WHERE connection_id = ?",
            (theirs, own),
        )
    assert refused(a, "h.arguments(); h._handle_ref.deliver()")[0] == "SecretInvalid"


def test_a_sealed_secret_in_another_field_does_not_open(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """The field is part of what it is bound to, and so is the kind of connection."""
    connection = made(notebooks, "field")
    a.run("h = connection('field', reason='always')")
    with database(folder) as opened:
        opened.execute(
            "INSERT INTO secrets (connection_id, field, ref, envelope, set_at)"
            " SELECT connection_id, 'password', 'another', envelope, set_at FROM secrets WHERE connection_id = ?",
            (connection,),
        )
    assert refused(a, "h._handle_ref.deliver()")[0] == "SecretInvalid"


def test_fields_of_ones_own_in_the_row_reach_no_library(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """A field that the provider does not have makes the whole of it not the broker's own, and cannot be saved."""
    connection = made(notebooks, "extra")
    with database(folder) as opened:
        (document,) = opened.execute(
            "SELECT document FROM connections WHERE id = ?", (connection,)
        ).fetchone()
        edited = json.loads(document)
        edited["fields"]["proxy"] = "https://evil.test"
        opened.execute(
            "UPDATE connections SET document = ? WHERE id = ?",
            (json.dumps(edited, sort_keys=True, separators=(",", ":")), connection),
        )
    assert refused(a, "connection('extra', reason='once')") == ("ConnectionNotReady", "edited")
    view = notebooks.operator.call("connections.get", {"id": connection})
    with pytest.raises(InvalidFields):
        notebooks.operator.call(
            "connections.update", {"id": connection, "revision": 1, "fields": view["connection"]["fields"]}
        )


def test_the_files_hold_no_secret(notebooks: Notebooks, folder: Path) -> None:
    """Names, destinations, grants and the record are readable; the secrets are sealed. The search finds a name."""
    content = b"".join(path.read_bytes() for path in (folder / "vault").iterdir() if path.is_file())
    assert found_in(content) == []
    assert b"api.test" in content


def test_a_removed_no_asks_again(notebooks: Notebooks, a: RequesterProcess, folder: Path) -> None:
    """Not stopped: a row that is not there can't be missed. A person is asked again, and the first no is on record."""
    made(notebooks, "never")
    refused(a, "connection('never', reason='deny_always')")
    assert refused(a, "connection('never', reason='always')") == ("AccessDenied", "never")
    with database(folder) as opened:
        opened.execute("DELETE FROM grants WHERE document LIKE '%deny_always%'")
    assert refused(a, "connection('never', reason='deny')") == ("AccessDenied", "denied")
    assert [
        row["decision"] for row in notebooks.record() if row["connection"] == "never" and row["decision"]
    ] == [
        "deny",
        "deny_always",
    ]


def test_an_edited_no_counts_all_the_same(notebooks: Notebooks, a: RequesterProcess, folder: Path) -> None:
    """A no must not be switched off by making it look forged."""
    made(notebooks, "forged-never")
    refused(a, "connection('forged-never', reason='deny_always')")
    with database(folder) as opened:
        opened.execute("UPDATE grants SET mac = x'00' WHERE document LIKE '%deny_always%'")
    assert refused(a, "connection('forged-never', reason='always')") == ("AccessDenied", "never")


def test_a_revoked_grant_that_is_put_back_counts(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """Not stopped: it was real, and its MAC is. That it was revoked, and used afterwards, is on record."""
    connection = made(notebooks, "replayed")
    a.run("connection('replayed', reason='always')")
    with database(folder) as opened:
        row = opened.execute("SELECT * FROM grants WHERE connection_id = ?", (connection,)).fetchone()
        notebooks.operator.call("grants.revoke", {"id": row[0]})
        assert refused(a, "connection('replayed', reason='deny')")[0] == "AccessDenied"
        opened.execute("INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    assert a.run("connection('replayed', reason='deny').decision") == "always"
    types = [event["type"] for event in notebooks.record() if event["grant_id"] == row[0]]
    assert types.index("access:granted") < types.index("grant:revoked")


TRIGGERS = {
    "uses are not recorded": "BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END",
    "rows vanish again": "AFTER INSERT ON audit BEGIN DELETE FROM audit WHERE sequence = NEW.sequence; END",
    "grants can't be revoked": "BEFORE DELETE ON grants BEGIN SELECT RAISE(IGNORE); END",
    "secrets are copied": (
        "AFTER UPDATE ON secrets BEGIN"
        " INSERT INTO vault (vault_id, custodian, parameters, check_value, created_at)"
        " VALUES (1, 1, 1, NEW.envelope, 1); END"
    ),
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_planted_trigger_stops_every_use(
    notebooks: Notebooks, a: RequesterProcess, folder: Path, name: str
) -> None:
    """SQL that runs whenever the broker writes could swallow rows of the record, or a revoke: nothing is released."""
    connection = f"trigger-{list(TRIGGERS).index(name)}"
    made(notebooks, connection)
    a.run(f"h = connection({connection!r}, reason='session')")
    with database(folder) as opened:
        opened.execute(f"CREATE TRIGGER planted {TRIGGERS[name]}")
        assert refused(a, "h._handle_ref.deliver()")[0] == "StorageError"
        with pytest.raises(StorageError):
            notebooks.operator.call("grants.revoke", {"id": grants_of(notebooks, connection)[0]})
        opened.execute("DROP TRIGGER planted")
    # What was revoked is over, though that could not be stored then; it is, as soon as it can be.
    assert refused(a, "h._handle_ref.deliver()")[0] == "HandleInvalid"
    wait_until(lambda: not grants_of(notebooks, connection), deadline_s=20, what="the revoke to be stored")
    assert refused(a, "h._handle_ref.deliver()")[0] == "HandleInvalid"


def grants_of(notebooks: Notebooks, connection: str) -> list[str]:
    grants = notebooks.operator.call("grants.list")["grants"]
    return [str(one["grant"]["id"]) for one in grants if one["connection"] == connection]


def test_a_record_without_its_guards_stops_every_use(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """The triggers that keep rows from being changed by mistake belong to the database as it was made."""
    made(notebooks, "guards")
    a.run("h = connection('guards', reason='session')")
    with database(folder) as opened:
        (text,) = opened.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'audit_is_never_changed'"
        ).fetchone()
        opened.execute("DROP TRIGGER audit_is_never_changed")
        assert refused(a, "h._handle_ref.deliver()")[0] == "StorageError"
        opened.execute(text)
    a.run("h._handle_ref.deliver()")
