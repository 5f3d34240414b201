"""A vault that the version before has left: what is genuine in it is carried over once it is unlocked, not before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connvault_jupyter.contracts.access import GrantFilter, GrantRef, GrantView
from connvault_jupyter.contracts.vault import ChangePassphrase, UnlockVault
from connvault_jupyter.errors import AccessDenied, HandleInvalid
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from tests.support.canary import CANARY
from tests.support.services.service_world import World, notebook, unasked
from tests.support.vault_before import PASSPHRASE, refs, restore

GENUINE = ["once", "session", "agent-session"]
# They last, and covered too little; the connection was changed since; the claim was masked, so nobody knows it.
NOT_ANY_MORE = ["for", "always", "relayed", "agent-always", "changed", "agent-guess"]
NEVER = ["never", "agent-never"]


def edit(path: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as opened:
        opened.execute(statement, parameters)


def document_of(path: Path, name: str) -> str:
    with closing(sqlite3.connect(path)) as opened:
        (found,) = opened.execute(
            "SELECT document FROM grants WHERE requester_key LIKE ?", (f"%/{name}.ipynb",)
        ).fetchone()
    return str(found)


class Before:
    """The vault on a disk, and a broker of this version on it."""

    def __init__(self, data_dir: Path) -> None:
        self.path = restore(data_dir)
        self.database: Database | None = None

    def open(self) -> World:
        self.close()
        self.database, stores = open_stores(data_dir=self.path.parent)
        world = World(
            storage=(None, stores),  # type: ignore[arg-type]
            custodians={"passphrase": PassphraseCustodian()},
            publish=lambda _: None,
            unlocked=False,
            broker="4712:1000",
        )
        # As late as the vault was left.
        world.clock.forward(2)
        # Refs and ids that are made now are other ones than those of before.
        world._random = 1_000_000
        return world

    def unlocked(self) -> World:
        world = self.open()
        unlock(world)
        return world

    def close(self) -> None:
        if self.database is not None:
            self.database.close()
            self.database = None


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Before]:
    vault = Before(tmp_path / "vault")
    yield vault
    vault.close()


def unlock(world: World) -> None:
    world.secrets.unlock(UnlockVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")


def views(world: World) -> dict[str, GrantView]:
    return {
        view.grant.requester_label.removesuffix(".ipynb"): view
        for view in world.consent.grants(GrantFilter()).grants
    }


def test_the_fixture_is_of_the_version_before(before: Before) -> None:
    """Its claims stand there in the open, and its grants have no other digest than the destination's."""
    with closing(sqlite3.connect(before.path)) as opened:
        assert opened.execute("PRAGMA user_version").fetchone() == (1,)
        documents = [json.loads(row[0]) for row in opened.execute("SELECT document FROM grants")]
    assert sorted(one["requester_label"].removesuffix(".ipynb") for one in documents) == sorted(
        GENUINE + NOT_ANY_MORE + NEVER
    )
    assert not any("shown_digest" in one for one in documents)
    assert {one["agent"] for one in documents} == {None, "helper", "[secret]"}
    assert b"helper" in before.path.read_bytes()


def test_a_genuine_grant_goes_on_without_a_question(before: Before) -> None:
    """Handles that are out, and new ones by grants that give them; each is on record, once."""
    world = before.unlocked()
    found = views(world)
    assert sorted(found) == sorted(GENUINE + NEVER)
    assert all(view.counts for view in found.values())
    for name in GENUINE:
        world.check(notebook(f"{name}.ipynb"), refs()[f"{name}.ipynb"])
    secret = world.deliver(notebook("session.ipynb"), refs()["session.ipynb"]).secrets["password"]
    assert secret.get_secret_value() == CANARY
    world.request(notebook("session.ipynb"), unasked)
    world.request(notebook("agent-session.ipynb"), unasked, agent="helper")
    with pytest.raises(AccessDenied):
        world.request(notebook("agent-session.ipynb"), world.answer("deny"))
    carried = [row.requester_label for row in world.record() if row.type == "grant:carried_over"]
    assert sorted(carried, key=str) == sorted(f"{name}.ipynb" for name in GENUINE)
    assert world.audit.verify().consistent
    again = before.unlocked()
    assert [row.type for row in again.record()].count("grant:carried_over") == len(GENUINE)
    assert again.audit.verify().consistent


def test_what_is_not_sure_any_more_is_void_and_on_record(before: Before) -> None:
    """A person is asked again."""
    world = before.unlocked()
    voided = [row.requester_label for row in world.record() if row.type == "grant:voided"]
    assert sorted(voided, key=str) == sorted(f"{name}.ipynb" for name in NOT_ANY_MORE)
    for name, connection, agent in (
        ("changed", "changed", None),
        ("always", "warehouse", None),
        ("for", "warehouse", None),
        ("relayed", "shop", None),
        ("agent-always", "warehouse", "helper"),
        ("agent-guess", "warehouse", "[secret]"),
        ("agent-guess", "warehouse", CANARY[:60]),
    ):
        world.clock.forward(30)
        with pytest.raises(AccessDenied) as refused:
            world.request(notebook(f"{name}.ipynb"), world.answer("deny"), connection, agent=agent)
        assert refused.value.details["reason"] == "denied"


def test_a_never_stays_and_its_claim_is_sealed(before: Before) -> None:
    """Whatever its MAC is; before the unlock too."""
    edit(before.path, "UPDATE grants SET mac = x'00' WHERE requester_key LIKE '%/agent-never.ipynb'")
    world = before.open()
    for _ in range(2):
        for name in NEVER:
            with pytest.raises(AccessDenied) as refused:
                world.request(notebook(f"{name}.ipynb"), unasked, agent="x")
            assert refused.value.details["reason"] == "never"
        unlock(world)
    assert views(world)["agent-never"].grant.agent == "helper"
    assert '"agent":null' in document_of(before.path, "agent-never")


FORGERIES = {
    "aimed at another notebook": (
        "session",
        '"requester_label":"session.ipynb"',
        '"requester_label":"mine.ipynb"',
    ),
    "made to last": ("session", '"decision":"session"', '"decision":"always"'),
    "without its claim": ("agent-session", '"agent":"helper"', '"agent":null'),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_grant_is_not_carried_over(before: Before, name: str) -> None:
    """The MAC of the form of before is looked at before anything is made anew. A person sees what somebody did."""
    grant, old, new = FORGERIES[name]
    edit(
        before.path,
        "UPDATE grants SET document = replace(document, ?, ?) WHERE requester_key LIKE ?",
        old,
        new,
        f"%/{grant}.ipynb",
    )
    world = before.unlocked()
    (view,) = [one for one in world.consent.grants(GrantFilter()).grants if not one.counts]
    assert view.reason_not == "forged"
    with pytest.raises(HandleInvalid):
        world.check(notebook(f"{grant}.ipynb"), refs()[f"{grant}.ipynb"])
    with pytest.raises(AccessDenied):
        world.request(notebook(f"{grant}.ipynb"), world.answer("deny"))


def test_while_locked_no_grant_is_carried_over(before: Before) -> None:
    """Nobody can tell then what is genuine; the list shows what is there."""
    world = before.open()
    found = views(world)
    assert len(found) == len(GENUINE + NOT_ANY_MORE + NEVER)
    assert found["agent-always"].grant.agent == "helper"
    assert "shown_digest" not in document_of(before.path, "always")


def test_a_grant_for_another_destination_is_not_carried_over(before: Before) -> None:
    """Its row was edited before the update."""
    edit(
        before.path,
        "UPDATE connections SET document = replace(document, 'db.example.org', 'evil.test') WHERE name = 'warehouse'",
    )
    world = before.unlocked()
    assert sorted(views(world)) == sorted(NEVER)


def test_a_lasting_permission_does_not_lead_an_edited_connection_elsewhere(before: Before) -> None:
    """Nothing covered user and database then, so an edit before the first unlock can't be told. A person is asked, and
    reads where it leads."""
    edit(
        before.path,
        "UPDATE connections SET document = replace(document, ?, ?) WHERE name = 'warehouse'",
        '"user":"ada"',
        '"user":"root"',
    )
    world = before.unlocked()

    def look() -> None:
        assert "root" in str(world.question().destination)
        world.decide("deny")

    with pytest.raises(AccessDenied):
        world.request(notebook("always.ipynb"), world.meanwhile(look))


def put_back(before: Before, row: tuple[object, ...]) -> None:
    edit(
        before.path,
        "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *row,
    )


def row_of(before: Before, name: str) -> tuple[object, ...]:
    with closing(sqlite3.connect(before.path)) as opened:
        found: tuple[object, ...] = opened.execute(
            "SELECT * FROM grants WHERE requester_key LIKE ?", (f"%/{name}.ipynb",)
        ).fetchone()
    return found


def test_a_row_of_the_old_form_that_is_put_back_counts_for_nothing_ever(before: Before) -> None:
    """Neither at once nor after another unlock: its MAC was made by keys that do not count any more."""
    old = row_of(before, "session")
    world = before.unlocked()
    world.consent.revoke(GrantRef(id=str(old[0])), actor="ada")
    put_back(before, old)
    for unlocks in range(2):
        world = before.unlocked() if unlocks else world
        with pytest.raises(AccessDenied):
            world.request(notebook("session.ipynb"), world.answer("deny"))
        view = views(world)["session"]
        assert (view.counts, view.reason_not) == (False, "forged")
    types = [row.type for row in world.record() if row.grant_id == old[0]]
    assert types.count("grant:carried_over") == 1


def test_when_the_passphrase_is_changed_before_the_first_unlock_they_are_carried_over_too(
    before: Before,
) -> None:
    """That takes the vault over as well, and leaves it locked."""
    world = before.open()
    world.secrets.change_passphrase(
        ChangePassphrase.model_validate({"current": PASSPHRASE, "new": "another long passphrase"}),
        actor="ada",
    )
    world.secrets.unlock(UnlockVault.model_validate({"passphrase": "another long passphrase"}), actor="ada")
    assert sorted(views(world)) == sorted(GENUINE + NEVER)
    world.request(notebook("agent-session.ipynb"), unasked, agent="helper")
    assert views(world)["agent-session"].grant.agent == "helper"


def test_after_a_changed_passphrase_claims_are_read_and_found_equal(before: Before) -> None:
    """By what is kept of the keys of then; new ones are of the new generation."""
    world = before.unlocked()
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"), agent="planner", reason="quarterly")
    world.secrets.change_passphrase(
        ChangePassphrase.model_validate({"current": PASSPHRASE, "new": "another long passphrase"}),
        actor="ada",
    )
    world.request(notebook("agent-session.ipynb"), unasked, agent="helper")
    assert views(world)["agent-session"].grant.agent == "helper"
    (row,) = [row for row in world.record() if row.type == "access:asked" and row.agent == "planner"]
    assert row.reason_claim == "quarterly"
    handle = world.request(notebook("reveal2.ipynb"), unasked, "token", agent="planner")
    found = world.reveal(notebook("reveal2.ipynb"), handle.ref, world.answer("once"), reason="look")
    assert found.secrets["value"].get_secret_value() == CANARY


def test_handles_that_had_a_claim_and_no_grant_are_gone_and_had_anew_without_a_question(
    before: Before,
) -> None:
    """Only the keys could have sealed their claims. The others go on."""
    world = before.unlocked()
    world.check(notebook("reveal.ipynb"), refs()["reveal.ipynb"])
    agent = notebook("agent-reveal.ipynb")
    with pytest.raises(HandleInvalid):
        world.check(agent, refs()["agent-reveal.ipynb"])
    world.request(agent, unasked, "token", agent="helper")


def test_the_question_of_a_dead_broker_is_closed_without_its_claims(before: Before) -> None:
    """They are in the record of before already; they are not written again in the open."""
    world = before.open()
    world.consent.close_orphans(lambda broker: False)
    row = next(row for row in world.record() if row.type == "access:interrupted")
    assert (row.requester_label, row.agent, row.reason_claim) == ("open.ipynb", None, None)


def test_the_old_record_still_verifies_and_shows_its_claims(before: Before) -> None:
    """Rows are never changed; what they said in the open they still say to a person, and to no requester."""
    world = before.unlocked()
    assert world.audit.verify().consistent
    assert world.audit.verify().keyed
    assert "monthly report" in [row.reason_claim for row in world.record()]
