"""The database edited by a process of the same user: what is not the broker's own does not open anything."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import AccessRequestNotFound, ConnvaultError, InvalidFields, StorageError
from tests.attacks.conftest import API, by_reason
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.browser.rest import PASSPHRASE
from tests.support.canary import CANARY, found_in

# The checkpoint of a broker's own WAL is not disturbed by this; it waits for locks as any second server would.
BUSY_S = 5.0


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(
        sqlite3.connect(folder / "vault" / "connvault.db", isolation_level=None, timeout=BUSY_S)
    ) as opened:
        yield opened


@pytest.fixture
def a(notebooks: Notebooks) -> Iterator[RequesterProcess]:
    """The notebook that is the attacker."""
    with notebooks.open("a.ipynb") as process:
        yield process


def refused(process: RequesterProcess, code: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        process.run(code)
    return caught.value.kind, caught.value.details.get("reason", "").strip("'")


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
            "INSERT INTO grants SELECT 'copied', ?2, requester_key, instance, created_at,"
            " replace(replace(document, connection_id, ?2), id, 'copied'), mac, 0, NULL"
            " FROM grants WHERE connection_id = ?1",
            (mine, other),
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


def put(opened: sqlite3.Connection, rows: str) -> None:
    """Replaces the record by these rows. Its triggers let rows go below a checkpoint; so there is one for a moment."""
    opened.execute("BEGIN IMMEDIATE")
    opened.execute("CREATE TEMP TABLE checkpoint_then AS SELECT * FROM audit_checkpoint")
    opened.execute("INSERT OR REPLACE INTO audit_checkpoint VALUES (1, 1 << 60, zeroblob(32), NULL, 0)")
    opened.execute("DELETE FROM audit")
    opened.execute("DELETE FROM audit_checkpoint")
    opened.execute("INSERT INTO audit_checkpoint SELECT * FROM checkpoint_then")
    opened.execute("DROP TABLE checkpoint_then")
    opened.execute(f"INSERT INTO audit SELECT * FROM {rows}")
    opened.execute("COMMIT")


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
