"""Connections that a project commits: offered, accepted, changed under one's feet, written, and seen by whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connvault_jupyter.contracts.access import RevokeOwn
from connvault_jupyter.contracts.connections import (
    ConnectionRef,
    DeleteConnection,
    SetSecret,
    UpdateConnection,
    WorkspaceRef,
)
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.contracts.workspaces import AcceptBlock, ListWorkspaces
from connvault_jupyter.errors import (
    ConnectionNotFound,
    ConnectionNotReady,
    ConnectionsFileInvalid,
    ConsentInterrupted,
    InvalidFields,
    NameClash,
    NameTaken,
    ProviderNotFound,
    SecretMissing,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
    WorkspaceNotAccepted,
)
from connvault_jupyter.services.connections.workspaces import digest_of
from tests.support.canary import CANARY
from tests.support.services.projects import FIELDS, Project
from tests.support.services.service_world import World, notebook, unasked
from tests.support.services.workspace_worlds import SHOP, accept, entry, now, refused, workspace
from tests.support.services.workspace_worlds import shop as shop
from tests.support.services.workspace_worlds import world as world


def test_what_nobody_accepted_is_offered_and_never_asked_about(world: World, shop: Project) -> None:
    """Code is told who has to do what; nothing is stored."""
    found = workspace(world)
    assert (found.root, found.file, found.problem) == (
        str(shop.root),
        "shop/.connvault/connections.json",
        "",
    )
    offered = entry(world)
    assert (offered.state, offered.connection_id, offered.accepted) == ("new", None, None)
    assert offered.block is not None
    assert offered.block.fields == FIELDS
    assert "db.example.org" in offered.destination
    assert offered.secrets_missing == ["password"]
    (seen,) = world.connections.summaries(SHOP).connections
    assert (seen.name, seen.status, seen.status_reason, seen.scope) == (
        "warehouse",
        "draft",
        "workspace_new",
        "workspace",
    )
    assert isinstance(refused(world), WorkspaceNotAccepted)
    assert world.connections.list().connections == []


def test_what_a_person_accepted_is_used_like_any_other(world: World, shop: Project) -> None:
    """With their own secret; the file stays as it was."""
    before = shop.file.read_bytes()
    accepted = accept(world).connection
    assert (accepted.status, accepted.scope, accepted.name) == ("ready", "workspace", "warehouse")
    assert accepted.workspace is not None
    assert (accepted.workspace.root, accepted.workspace.id) == (str(shop.root), "Zt3h")
    assert entry(world).state == "accepted"
    ref = world.request(SHOP, world.answer("session")).ref
    assert world.deliver(SHOP, ref).secrets["password"].get_secret_value() == CANARY
    assert shop.file.read_bytes() == before
    assert [row.code for row in world.record() if row.type == "connection:created"] == ["workspace"]


def test_without_a_secret_it_needs_ones_own(world: World, shop: Project) -> None:
    """Accepted, and entered later."""
    accepted = accept(world, password=None).connection
    assert (accepted.status, accepted.status_reason) == ("draft", "secret_missing")
    assert isinstance(refused(world), SecretMissing)
    world.connections.set_secret(
        SetSecret(id=accepted.id, field="password", value=SecretStr(CANARY)), actor="ada"
    )
    assert now(world, accepted).status == "ready"


CHANGES: dict[str, dict[str, Any]] = {
    "host": {"host": "evil.example.org"},
    "user": {"user": "root"},
    "database": {"database": "salaries"},
    "one more field": {"application_name": "x"},
    "a field's type": {"port": "5432"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_block_stops_everything_until_it_is_back(
    world: World, shop: Project, change: dict[str, Any]
) -> None:
    """Not asked about, not delivered, not tested; the accepted copy stays what it was, and so do its permissions."""
    accepted = accept(world).connection
    ref = world.request(SHOP, world.answer("always")).ref
    before = shop.file.read_text()
    shop.field(**change)
    assert (now(world, accepted).status, now(world, accepted).status_reason) == ("draft", "workspace_changed")
    assert now(world, accepted).fields == FIELDS
    for use in (
        lambda: world.deliver(SHOP, ref),
        lambda: world.check(SHOP, ref),
        lambda: world.connections.test(ConnectionRef(id=accepted.id), actor="ada"),
        lambda: world.reveal(SHOP, ref, unasked),
    ):
        with pytest.raises(ConnectionNotReady) as caught:
            use()
        assert caught.value.details["reason"] == "workspace_changed"
        assert "shop/.connvault/connections.json" in caught.value.message
    assert not world.still_good(SHOP, ref)
    refusal = refused(world)
    assert refusal.details["reason"] == "workspace_changed"
    shop.text(before)
    assert world.deliver(SHOP, ref).secrets["password"].get_secret_value() == CANARY
    assert world.request(SHOP, unasked).decision == "always"


def test_a_use_that_is_remembered_looks_at_the_file_too(world: World, shop: Project) -> None:
    """What a handle resolved to is cached; the file is no part of that."""
    accept(world)
    ref = world.request(SHOP, world.answer("session")).ref
    for _ in range(3):
        world.deliver(SHOP, ref)
    shop.field(host="evil.example.org")
    with pytest.raises(ConnectionNotReady):
        world.deliver(SHOP, ref)


def test_a_change_while_the_question_is_open_ends_it(world: World, shop: Project) -> None:
    """Nobody answers for something else than what is there."""
    accept(world)
    with pytest.raises(ConsentInterrupted):
        world.request(SHOP, world.meanwhile(lambda: shop.field(host="evil.example.org")))
    assert world.grants() == []


def test_open_handles_are_looked_at_when_a_file_changes(world: World, shop: Project) -> None:
    """Whoever holds them hears that something changed, within a second; nothing is told without a change."""
    accept(world)
    world.consent.tick()
    changes: list[Callable[[], object]] = [
        lambda: shop.field(host="evil.example.org"),
        lambda: shop.text("{"),
        shop.file.unlink,
    ]
    for change in changes:
        world.clock.forward(2)
        world.consent.tick()
        world.events.clear()
        change()
        world.clock.forward(2)
        world.consent.tick()
        assert "connections:changed" in [event.event for event in world.events]


def noticed(world: World, *, after_s: int = 2) -> list[tuple[str | None, str | None, str | None]]:
    """What is on record of changes of projects, after the timer has looked."""
    world.clock.forward(after_s)
    world.consent.tick()
    return [
        (row.connection, row.code, row.field)
        for row in world.record()
        if row.type == "connection:changed_in_project"
    ]


RECORDED: dict[str, tuple[dict[str, Any], str]] = {
    "destinations come first": ({"fields": {**FIELDS, "user": "x", "host": CANARY}}, "host, user"),
    "a field of no kind": ({"fields": {**FIELDS, "approved_by_it": CANARY}}, "fields"),
    "a field less": ({"fields": {**FIELDS, "database": None}}, "database"),
    "a type": ({"fields": {**FIELDS, "port": "5432"}}, "port"),
    "a name": ({"name": "lake", "display_name": CANARY}, "display_name, name"),
    "a kind": ({"provider_id": "postgresql"}, "provider_id"),
    "everything": (
        {
            "provider_id": "postgresql", "name": "n", "display_name": "d",
            "fields": {"host": "h", "port": 1, "database": "d", "user": "u", "sslmode": "disable"},
        },
        "provider_id, host, port, sslmode, database, +3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "names"), RECORDED.values(), ids=RECORDED)
def test_a_pulled_change_is_on_record_by_the_names_of_what_differs(
    world: World, shop: Project, change: dict[str, Any], names: str
) -> None:
    """Without any use; never with a value, nor with a name that only the file has."""
    accept(world)
    assert noticed(world) == []
    shop.put(**change)
    assert noticed(world) == [("warehouse", "workspace_changed", names)]
    assert not any(CANARY in row.model_dump_json() for row in world.record())


def test_what_is_gone_or_can_not_be_read_is_on_record_too(world: World, shop: Project) -> None:
    """Each as what it is."""
    accept(world)
    before = shop.file.read_text()
    shop.take_out()
    assert noticed(world) == [("warehouse", "workspace_gone", None)]
    shop.text(before.replace("{", "<<<<<<< HEAD\n{", 1))
    assert noticed(world, after_s=31)[-1] == ("warehouse", "workspace_unreadable", None)


def test_a_content_is_on_record_once_and_again_when_it_comes_back(world: World, shop: Project) -> None:
    """Looking, using and another text of the same do not repeat it; between two rows are 30 s, whatever is done."""
    accept(world)
    before = shop.file.read_text()
    shop.field(host="evil.example.org")
    for _ in range(3):
        assert len(noticed(world)) == 1
        refused(world)
    shop.put("Lk41", name="lake")
    assert len(noticed(world, after_s=40)) == 1
    shop.field(host="other.example.org")
    assert len(noticed(world)) == 2
    for number in range(10):
        shop.field(host=f"{number}.example.org")
        assert len(noticed(world)) == 2
    assert len(noticed(world, after_s=31)) == 3
    shop.text(before)
    assert len(noticed(world, after_s=31)) == 3
    shop.field(host="evil.example.org")
    assert len(noticed(world)) == 4


def test_a_change_on_a_full_disk_is_on_record_when_there_is_room(world: World, shop: Project) -> None:
    """The timer tries again."""
    accept(world)
    noticed(world)
    shop.field(host="evil.example.org")
    world.storage.record_full = True
    assert noticed(world) == []
    world.storage.record_full = False
    assert len(noticed(world)) == 1


def test_a_change_while_connections_can_not_be_read_is_on_record_later(
    world: World, shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while connections.json has a conflict; the timer does its other work meanwhile."""
    accept(world)
    noticed(world)
    shop.field(host="evil.example.org")

    def unreadable() -> None:
        raise ConnectionsFileInvalid

    monkeypatch.setattr(world.stores.connections, "all", unreadable)
    assert noticed(world) == []
    monkeypatch.undo()
    assert len(noticed(world)) == 1


def test_a_change_while_the_vault_was_locked_is_on_record_after_the_unlock(
    world: World, shop: Project
) -> None:
    """Before, nobody can tell what was accepted."""
    accept(world)
    noticed(world)
    world.secrets.lock(actor="ada")
    shop.field(host="evil.example.org")
    assert noticed(world) == []
    world.secrets.unlock(UnlockVault(), actor="ada")
    assert len(noticed(world)) == 1


def test_an_accepted_change_of_the_destination_removes_secrets_and_permissions(
    world: World, shop: Project
) -> None:
    """As if the person had changed it in the form."""
    accepted = accept(world).connection
    world.request(SHOP, world.answer("always"))
    shop.field(host="new.example.org")
    changed = entry(world)
    assert (changed.state, changed.destination_changed) == ("changed", True)
    assert "db.example.org" in changed.accepted_destination
    assert "new.example.org" in changed.destination
    found = accept(world, password=None)
    assert found.connection.id == accepted.id
    assert found.connection.fields["host"] == "new.example.org"
    assert (found.connection.status, found.connection.status_reason) == ("draft", "destination_changed")
    assert found.secrets == {}
    assert world.grants() == []
    (row,) = [row for row in world.record() if row.type == "connection:confirmed"]
    assert (row.code, row.decided_by) == ("workspace_changed", "ada")


def test_an_accepted_change_of_what_dialogs_show_keeps_the_secret(world: World, shop: Project) -> None:
    """The envelope is bound to the destination alone; permissions to all that was shown."""
    accept(world)
    world.request(SHOP, world.answer("always"))
    shop.put(display_name="The warehouse")
    assert entry(world).destination_changed is False
    found = accept(world, password=None)
    assert found.connection.status == "ready"
    assert world.grants() == []


def test_an_accepted_change_of_the_kind_is_another_connection(world: World, shop: Project) -> None:
    """Nothing of the old one is left: id, secrets, permissions."""
    accepted = accept(world).connection
    world.request(SHOP, world.answer("always"))
    shop.put(provider_id="postgresql")
    assert entry(world).destination_changed is True
    found = accept(world, password=None)
    assert found.connection.provider_id == "postgresql"
    assert found.connection.id != accepted.id
    assert found.secrets == {}
    assert [one.connection.id for one in world.connections.list().connections] == [found.connection.id]
    assert world.grants() == []


def test_a_file_that_changes_between_look_and_yes_is_shown_again(world: World, shop: Project) -> None:
    """The yes was for something else; nothing is stored."""
    digest = entry(world).digest
    shop.field(host="evil.example.org")
    with pytest.raises(WorkspaceFileChanged):
        accept(world, digest=digest)
    assert world.connections.list().connections == []
    assert entry(world).state == "new"


@pytest.mark.parametrize("spelt", ["{home}/../outside", "{outside}", "{home}/shop/../shop", "{home}/link"])
def test_a_root_that_is_none_of_ours_accepts_nothing(world: World, shop: Project, spelt: str) -> None:
    """Also with the right digest, which code can compute."""
    home = Path(world.runs.root)
    outside = Project(home.parent / "outside")
    outside.root.mkdir()
    outside.put()
    (home / "link").symlink_to(shop.root)
    ref = WorkspaceRef(root=spelt.format(home=home, outside=outside.root), id="Zt3h")
    digest = digest_of(ref, entry(world).block, None)
    with pytest.raises(WorkspaceFileChanged):
        world.workspaces.accept(AcceptBlock(workspace=ref, digest=digest), actor="ada")
    assert world.connections.list().connections == []


def test_a_yes_counts_once(world: World, shop: Project) -> None:
    """A page that was loaded before another tab accepted has an old digest."""
    digest = entry(world).digest
    accept(world)
    with pytest.raises(WorkspaceFileChanged):
        accept(world, digest=digest)


def test_a_block_that_is_gone_is_told_and_can_be_forgotten(world: World, shop: Project) -> None:
    """And comes back with the same text."""
    accepted = accept(world).connection
    before = shop.file.read_text()
    shop.take_out()
    assert entry(world).state == "gone"
    assert refused(world).details["reason"] == "workspace_gone"
    shop.text(before)
    assert now(world, accepted).status == "ready"
    shop.file.unlink()
    assert now(world, accepted).status_reason == "workspace_gone"
    world.connections.delete(DeleteConnection(id=accepted.id, revision=1), actor="ada")
    assert world.connections.list().connections == []
    with pytest.raises(ConnectionNotFound):
        world.request(SHOP, unasked)


def test_a_file_that_cannot_be_read_says_what_to_do_and_loses_nothing(world: World, shop: Project) -> None:
    """In the list, to code, and in the person's own connections nothing changes."""
    accepted = accept(world).connection
    world.connection("own")
    before = shop.file.read_text()
    shop.text(before.replace("{", "{\n<<<<<<< HEAD\n", 1))
    found = workspace(world)
    assert "markers of a merge conflict (line 2)" in found.problem
    assert found.entries == []
    assert now(world, accepted).status_reason == "workspace_unreadable"
    for name in ("warehouse", "another"):
        refusal = refused(world, name)
        assert isinstance(refusal, WorkspaceFileInvalid)
        assert refusal.message.startswith("shop/.connvault/connections.json has the markers")
    assert world.request(SHOP, world.answer("once"), "own").connection == "own"
    shop.text(before)
    assert now(world, accepted).status == "ready"


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "a-password-of-somebody"},
        {"host": "https://ada:a-password@db.example.org"},
        {"application_name": "token=abcdefghij"},
    ],
)
def test_a_file_with_a_secret_is_refused_as_a_whole(
    world: World, shop: Project, fields: dict[str, Any]
) -> None:
    """It has leaked already; the message says where, and quotes nothing."""
    accepted = accept(world).connection
    shop.put("other", name="other", fields={**FIELDS, **fields})
    problem = workspace(world).problem
    assert "has a secret in the connection at line" in problem
    assert not any(str(value) in problem for value in fields.values())
    assert now(world, accepted).status_reason == "workspace_unreadable"


def test_only_its_own_notebooks_see_a_project(world: World, shop: Project) -> None:
    """Others see the person's own connections alone, and equal names of other projects are theirs."""
    accept(world)
    other = Project(Path(world.runs.root) / "other")
    other.root.mkdir()
    other.put(fields={**FIELDS, "host": "other.example.org"})
    outside, inside = notebook("b.ipynb"), notebook("other/c.ipynb")
    assert world.connections.summaries(outside).connections == []
    with pytest.raises(ConnectionNotFound):
        world.request(outside, unasked)
    with pytest.raises(WorkspaceNotAccepted):
        world.request(inside, unasked)
    found = world.workspaces.list(ListWorkspaces(paths=["other/c.ipynb"])).workspaces[0]
    body = {
        "workspace": {"root": found.root, "id": "Zt3h"},
        "digest": found.entries[0].digest,
        "secrets": {"password": {"value": "another"}},
    }
    world.workspaces.accept(AcceptBlock.model_validate(body), actor="ada")
    assert "other.example.org" in world.request(inside, world.answer("once")).destination
    assert "db.example.org" in world.request(SHOP, world.answer("once")).destination


def test_a_name_of_two_places_is_an_error_that_names_both(world: World, shop: Project) -> None:
    """Accepted or not, in whatever case; elsewhere the person's own is meant. A revoke works all the same."""
    own = world.connection("Warehouse")
    clash = refused(world, "Warehouse")
    assert isinstance(clash, NameClash)
    assert "your own" in clash.message
    assert "shop/.connvault/connections.json" in clash.message
    assert isinstance(refused(world, "warehouse"), NameClash)
    assert entry(world).state == "name_taken"
    with pytest.raises(NameTaken):
        accept(world)
    assert world.request(notebook("b.ipynb"), world.answer("once"), "Warehouse").connection == "Warehouse"
    assert world.access.revoke_own(SHOP, RevokeOwn(connection="Warehouse")).released == 0
    renamed = UpdateConnection(id=own.id, revision=1, name="mine")
    world.connections.update(renamed, actor="ada")
    accept(world)
    assert world.request(SHOP, world.answer("once")).connection == "warehouse"


def test_a_name_that_the_file_gives_to_another_block_is_not_used(world: World, shop: Project) -> None:
    """Two blocks swap their names: neither is what was accepted. One of them is forgotten, then both are accepted."""
    shop.put("Lk41", name="lake", fields={**FIELDS, "host": "lake.example.org"})
    accept(world)
    lake = accept(world, "Lk41").connection
    shop.put(name="swap")
    shop.put("Lk41", name="warehouse")
    shop.put(name="lake")
    for name in ("warehouse", "lake"):
        assert refused(world, name).details["reason"] == "workspace_changed"
    assert entry(world).state == "name_taken"
    with pytest.raises(NameTaken):
        accept(world)
    world.workspaces.forget(DeleteConnection(id=lake.id, revision=1), actor="ada")
    accept(world, password=None)
    accept(world, "Lk41")
    assert "lake.example.org" in world.request(SHOP, world.answer("once")).destination


def test_a_kind_that_is_not_installed_is_told(world: World, shop: Project) -> None:
    """It can't be accepted."""
    shop.put(provider_id="not-installed")
    assert entry(world).state == "unknown_kind"
    with pytest.raises(ProviderNotFound):
        accept(world, password=None)


def test_a_block_that_does_not_fit_its_kind_is_not_accepted(world: World, shop: Project) -> None:
    """As in the form."""
    shop.field(port=99_999)
    with pytest.raises(InvalidFields):
        accept(world)
    assert world.connections.list().connections == []


def test_what_was_accepted_is_listed_wherever_one_looks(world: World, shop: Project) -> None:
    """Its state has to be seen also with no document open."""
    accept(world)
    shop.field(host="new.example.org")
    (found,) = world.workspaces.list(ListWorkspaces()).workspaces
    assert [one.state for one in found.entries] == ["changed"]


def test_a_locked_vault_keeps_what_was_accepted_without_a_secret(tmp_path: Path) -> None:
    """As any draft; after the unlock it is confirmed."""
    (tmp_path / "shop" / "reports").mkdir(parents=True)
    world = World(root=str(tmp_path), unlocked=False)
    Project(tmp_path / "shop").put()
    accepted = accept(world, password=None).connection
    world.set_up()
    assert now(world, accepted).status_reason == "secret_missing"
