"""Connections edited in the database, and a passphrase that somebody else knew: neither leads a secret anywhere."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts.supervision import BrokerSettings
from connvault_jupyter.errors import ConnectionNotReady, VaultLocked, WrongPassphrase
from tests.attacks.conftest import by_reason
from tests.support.broker.edited_database import database, refused
from tests.support.broker.in_clear import IN_CLEAR, PROVIDERS
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import RequesterProcess
from tests.support.browser.rest import PASSPHRASE
from tests.support.canary import CANARY
from tests.support.services.service_world import POSTGRES

CHANGED = "a passphrase that nobody else knows"


@pytest.fixture
def a(notebooks: Notebooks) -> Iterator[RequesterProcess]:
    """The notebook that is the attacker; it has an `always` for what it attacks."""
    with notebooks.open("a.ipynb") as process:
        yield process


Edit = Callable[[dict[str, Any]], Any]

EDITS: dict[str, Edit] = {
    "another host": lambda d: d["fields"].update(host="evil.example.org"),
    "another database": lambda d: d["fields"].update(database="salaries"),
    "another user": lambda d: d["fields"].update(user="root"),
    "less verified": lambda d: d["fields"].update(sslmode="disable"),
    "a field that nobody asked for": lambda d: d["fields"].update(application_name="evil"),
    "a field taken away": lambda d: d["fields"].pop("sslmode"),
    "the number as a text": lambda d: d["fields"].update(port="5432"),
    "another kind": lambda d: d.update(provider_id="postgresql"),
    "another scope": lambda d: d.update(scope="workspace"),
    "reveal switched on": lambda d: d.update(reveal_allowed=True),
    "another title": lambda d: d.update(display_name="Harmless"),
    "an older time": lambda d: d.update(updated_at="2020-01-01T00:00:00.000000Z"),
    "a later revision": lambda d: d.update(revision=d["revision"] + 1),
}


def made(notebooks: Notebooks, name: str, *, reveal: bool = True) -> dict[str, Any]:
    """A new connection, as it was answered after a first change."""
    view = notebooks.operator.create(name, IN_CLEAR, POSTGRES, {"password": CANARY})["connection"]
    body = {"id": view["id"], "revision": view["revision"], "reveal_allowed": reveal}
    found: dict[str, Any] = notebooks.operator.call("connections.update", body)["connection"]
    return found


def edit(folder: Path, connection_id: str, change: Edit) -> None:
    """In the document and in the columns beside it, as the store would write both."""
    with database(folder) as opened:
        (text,) = opened.execute("SELECT document FROM connections WHERE id = ?", (connection_id,)).fetchone()
        document = json.loads(text)
        change(document)
        opened.execute(
            "UPDATE connections SET document = ?, name = ?, revision = ? WHERE id = ?",
            (
                json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
                document["name"],
                document["revision"],
                connection_id,
            ),
        )


def shown(notebooks: Notebooks, name: str) -> dict[str, Any]:
    for view in notebooks.operator.call("connections.list")["connections"]:
        if view["connection"]["name"] == name:
            return dict(view["connection"])
    raise AssertionError(name)


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_connection_has_no_power(
    notebooks: Notebooks, a: RequesterProcess, folder: Path, name: str
) -> None:
    """With an old `always`: nothing is delivered, tested, revealed or asked. It is seen, and on record."""
    connection = f"edited-{list(EDITS).index(name)}"
    before = made(notebooks, connection, reveal=name != "reveal switched on")
    a.run(f"h = connection({connection!r}, reason='always'); h._handle_ref.deliver()")
    edit(folder, before["id"], EDITS[name])
    asked = len(notebooks.asked())
    assert refused(a, "h._handle_ref.deliver()") == ("ConnectionNotReady", "edited")
    assert refused(a, f"connection({connection!r}, reason='always')") == ("ConnectionNotReady", "edited")
    # The client itself asks for nothing that it was told it may not have.
    assert refused(a, "h.reveal('password', reason='once').__enter__()")[0] in (
        "ConnectionNotReady",
        "RevealForbidden",
    )
    assert len(notebooks.asked()) == asked, "nobody is asked for what is not there any more"
    with pytest.raises(ConnectionNotReady):
        notebooks.operator.call("connections.test", {"id": before["id"]})
    found = shown(notebooks, connection)
    assert (found["status"], found["status_reason"]) == ("invalid", "edited")
    wait_until(
        lambda: connection in [row["connection"] for row in notebooks.record(type="connection:edited")],
        deadline_s=20,
        what="the broker's timer",
    )
    rows = [row for row in notebooks.record(type="connection:edited") if row["connection"] == connection]
    assert [row["code"] for row in rows] == ["connection_edited"]


def test_an_edited_status_has_no_effect(notebooks: Notebooks, a: RequesterProcess, folder: Path) -> None:
    """Made ready by hand, a connection without its secret is not."""
    before = made(notebooks, "status")
    notebooks.operator.call("secrets.delete", {"id": before["id"], "field": "password"})
    edit(folder, before["id"], lambda d: d.update(status="ready", status_reason=None))
    assert refused(a, "connection('status', reason='always')")[0] == "SecretMissing"


def test_a_stripped_or_planted_connection_has_no_power(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """Without a MAC it is neither from before nor from while the vault was locked, whatever happens to the vault."""
    before = made(notebooks, "stripped")
    a.run("h = connection('stripped', reason='always')")
    edit(folder, before["id"], EDITS["another user"])
    with database(folder) as opened:
        opened.execute("UPDATE connections SET mac = NULL WHERE id = ?", (before["id"],))
        opened.execute(
            "INSERT INTO connections (id, name, revision, document) SELECT 'planted', 'planted', revision,"
            " replace(replace(document, id, 'planted'), '\"stripped\"', '\"planted\"')"
            " FROM connections WHERE id = ?",
            (before["id"],),
        )
    for _ in range(2):
        assert refused(a, "h._handle_ref.deliver()") == ("ConnectionNotReady", "unconfirmed")
        assert refused(a, "connection('planted', reason='once')") == ("ConnectionNotReady", "unconfirmed")
        notebooks.operator.call("vault.lock")
        notebooks.operator.call("vault.unlock", {"passphrase": PASSPHRASE})
    notebooks.operator.call("connections.delete", {"id": "planted", "revision": before["revision"]})


def test_exchanged_names_lead_nowhere(notebooks: Notebooks, a: RequesterProcess, folder: Path) -> None:
    """Code that asks for one must not get what was made for the other."""
    one, other = made(notebooks, "exchange-a"), made(notebooks, "exchange-b")
    a.run("h = connection('exchange-a', reason='always')")
    edit(folder, one["id"], lambda d: d.update(name="exchange-c"))
    edit(folder, other["id"], lambda d: d.update(name="exchange-a"))
    edit(folder, one["id"], lambda d: d.update(name="exchange-b"))
    assert refused(a, "connection('exchange-a', reason='always')") == ("ConnectionNotReady", "edited")
    assert refused(a, "h._handle_ref.deliver()") == ("ConnectionNotReady", "edited")


def test_saving_an_edited_connection_asks_for_the_secret_anew(
    notebooks: Notebooks, a: RequesterProcess, folder: Path
) -> None:
    """A form that is skimmed and saved hands nothing over."""
    before = made(notebooks, "skimmed")
    a.run("h = connection('skimmed', reason='always')")
    edit(folder, before["id"], EDITS["another user"])
    view = notebooks.operator.call("connections.get", {"id": before["id"]})
    saved = notebooks.operator.call(
        "connections.update",
        {"id": before["id"], "revision": before["revision"], "fields": view["connection"]["fields"]},
    )
    assert (saved["connection"]["status_reason"], saved["secrets"]) == ("secret_missing", {})
    assert refused(a, "connection('skimmed', reason='always')")[0] == "SecretMissing"
    assert refused(a, "h._handle_ref.deliver()")[0] in ("SecretMissing", "HandleInvalid")


def test_an_older_connection_put_back_counts_at_the_next_broker(notebooks: Notebooks, folder: Path) -> None:
    """Noticed by a broker that knows the newer one; not stopped at the next one: it was real, and its MAC is."""
    before = made(notebooks, "older")
    with database(folder) as opened:
        row = opened.execute(
            "SELECT revision, document, mac FROM connections WHERE id = ?", (before["id"],)
        ).fetchone()
    body = {"id": before["id"], "revision": before["revision"], "fields": {**POSTGRES, "user": "less"}}
    notebooks.operator.call("connections.update", body)
    with database(folder) as opened:
        opened.execute(
            "UPDATE connections SET revision = ?, document = ?, mac = ? WHERE id = ?", (*row, before["id"])
        )
    assert shown(notebooks, "older")["status_reason"] == "edited"
    with second_broker(folder) as operator:
        (found,) = [
            view["connection"]
            for view in operator.call("connections.list")["connections"]
            if view["connection"]["name"] == "older"
        ]
        assert (found["status"], found["fields"]["user"]) == ("ready", POSTGRES["user"])


@contextmanager
def second_broker(folder: Path, passphrase: str = PASSPHRASE) -> Iterator[Operator]:
    """Another server's broker on the same vault."""
    with tempfile.TemporaryDirectory(prefix="cv-") as place:
        operator = Operator(rule=None)
        operator.broker.start(
            BrokerSettings(
                data_dir=str(folder / "vault"),
                socket_path=f"{place}/b",
                server_root=place,
                custodian="passphrase",
                provider_dirs=[str(PROVIDERS)],
                version=__version__,
            )
        )
        try:
            operator.call("vault.unlock", {"passphrase": passphrase})
            yield operator
        finally:
            operator.broker.stop()


@pytest.fixture
def own() -> Iterator[tuple[Notebooks, Path]]:
    """A broker with a vault of its own, whose passphrase changes."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=by_reason) as (operator, path),
    ):
        operator.create("warehouse", IN_CLEAR, POSTGRES, {"password": CANARY})
        yield Notebooks(operator, home=Path(name), socket_path=path), Path(name)


def change(operator: Operator) -> None:
    operator.call("vault.passphrase", {"current": PASSPHRASE, "new": CHANGED})


def test_an_old_copy_and_the_old_passphrase_open_nothing_stored_later(own: tuple[Notebooks, Path]) -> None:
    """Whoever knew the passphrase, has a copy of then and everything of now, has the secrets of then and no others."""
    notebooks, folder = own
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        copied = Path(name) / "vault"
        shutil.copytree(folder / "vault", copied)
        change(notebooks.operator)
        view = notebooks.operator.call("connections.list")["connections"][0]
        later = {"id": view["connection"]["id"], "field": "password", "value": "stored later"}
        notebooks.operator.call("secrets.set", later)
        with notebooks.open("a.ipynb") as a:
            assert a.run("connection('warehouse', reason='once').arguments()['password']") == "stored later"
        with (
            operated_broker(Path(name), rule=by_reason) as (operator, path),
            Notebooks(operator, home=Path(name), socket_path=path).open("a.ipynb") as thief,
        ):
            found = thief.run("connection('warehouse', reason='once').arguments()['password']")
            assert found == CANARY, "what was stored before is what the copy has"
            with closing(sqlite3.connect(folder / "vault" / "connvault.db")) as opened:
                (envelope,) = opened.execute("SELECT envelope FROM secrets").fetchone()
            with database(Path(name)) as opened:
                opened.execute("UPDATE secrets SET envelope = ?", (envelope,))
            assert refused(thief, "connection('warehouse', reason='once').arguments()")[0] == "SecretInvalid"
    with pytest.raises(WrongPassphrase), second_broker(folder):
        pass


def test_another_server_never_seals_with_the_old_key(own: tuple[Notebooks, Path]) -> None:
    """Its next call asks to unlock, and its panel hears of it without any call."""
    notebooks, folder = own
    view = notebooks.operator.call("connections.list")["connections"][0]
    secret = {"id": view["connection"]["id"], "field": "password", "value": "with the old key"}
    with second_broker(folder) as other:
        heard = len(other.heard)
        change(notebooks.operator)
        wait_until(
            lambda: "vault:changed" in other.heard[heard:], deadline_s=20, what="the other broker's timer"
        )
        assert other.call("vault.state")["state"] == "locked"
        with pytest.raises(VaultLocked, match="changed by another server"):
            other.call("secrets.set", secret)
        other.call("vault.unlock", {"passphrase": CHANGED})
        other.call("secrets.set", {**secret, "value": "with the new key"})
    with notebooks.open("a.ipynb") as a:
        a.run("h = connection('warehouse', reason='once'); h._handle_ref.deliver()")
    assert notebooks.operator.call("audit.verify")["consistent"] is True
