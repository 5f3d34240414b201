"""What is created, changed and deleted of a project's connections goes into its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connvault_jupyter.contracts.connections import (
    ConnectionView,
    CreateConnection,
    DeleteConnection,
    DeleteSecret,
    SetSecret,
    UpdateConnection,
)
from connvault_jupyter.errors import (
    ConnectionNotFound,
    ConnectionNotReady,
    InvalidFields,
    NameTaken,
    WorkspaceReadOnly,
)
from tests.support.canary import CANARY
from tests.support.services.projects import FIELDS, Project
from tests.support.services.service_world import World
from tests.support.services.workspace_worlds import accept, entry, now
from tests.support.services.workspace_worlds import shop as shop
from tests.support.services.workspace_worlds import world as world


def create(world: World, **changes: Any) -> ConnectionView:
    body = {
        "provider_id": "ledger",
        "name": "lake",
        "scope": "workspace",
        "workspace": "shop",
        "fields": FIELDS,
        "secrets": {"password": {"value": CANARY}},
        **changes,
    }
    return world.connections.create(CreateConnection.model_validate(body), actor="ada")


def test_a_new_connection_of_a_project_is_in_its_file_and_accepted(world: World, shop: Project) -> None:
    """Without the secret."""
    made = create(world).connection
    assert made.status == "ready"
    assert made.workspace is not None
    assert shop.blocks[made.workspace.id] == {
        "name": "lake",
        "display_name": "",
        "provider_id": "ledger",
        "fields": FIELDS,
    }
    assert CANARY not in shop.file.read_text()
    assert set(json.loads(shop.file.read_text())["connections"]) == {"Zt3h", made.workspace.id}
    assert entry(world, made.workspace.id).state == "accepted"


def test_the_first_connection_makes_the_file(world: World) -> None:
    """In the server's root, if nothing else is said."""
    made = create(world, workspace=None).connection
    assert made.workspace is not None
    assert Path(made.workspace.root) == Path(world.runs.root)
    assert set(Project(Path(world.runs.root)).blocks) == {made.workspace.id}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"workspace": "not there"}, InvalidFields),
        ({"workspace": ".."}, InvalidFields),
        ({"name": "warehouse"}, NameTaken),
        ({"name": "WAREHOUSE"}, NameTaken),
        ({"name": "own"}, NameTaken),
        ({"fields": {**FIELDS, "application_name": "password=abcdef"}}, InvalidFields),
    ],
)
def test_what_cannot_be_in_the_file_is_nowhere(
    world: World, shop: Project, changes: dict[str, Any], error: type[Exception]
) -> None:
    """Neither in the project nor in the vault."""
    world.connection("own")
    before = shop.file.read_bytes()
    with pytest.raises(error):
        create(world, **changes)
    assert shop.file.read_bytes() == before
    assert [one.connection.name for one in world.connections.list().connections] == ["own"]


def test_a_change_goes_into_the_file(world: World, shop: Project) -> None:
    """Name, title and fields; what is the person's own affair does not."""
    accepted = accept(world).connection
    before = shop.file.read_bytes()
    shown = world.connections.update(
        UpdateConnection(id=accepted.id, revision=1, reveal_allowed=False), actor="ada"
    ).connection
    assert shop.file.read_bytes() == before
    fields = {**FIELDS, "host": "new.example.org"}
    changed = world.connections.update(
        UpdateConnection(id=accepted.id, revision=shown.revision, name="store", fields=fields), actor="ada"
    ).connection
    assert (changed.name, changed.status_reason) == ("store", "destination_changed")
    assert shop.blocks["Zt3h"] == {
        "name": "store",
        "display_name": "",
        "provider_id": "ledger",
        "fields": fields,
    }


def test_a_change_of_what_somebody_else_changed_is_refused(world: World, shop: Project) -> None:
    """Theirs is reviewed first; nothing is stored, neither here nor there."""
    accepted = accept(world).connection
    shop.field(host="theirs.example.org")
    before = shop.file.read_bytes()
    with pytest.raises(ConnectionNotReady):
        world.connections.update(
            UpdateConnection(id=accepted.id, revision=1, fields={**FIELDS, "user": "x"}), actor="ada"
        )
    with pytest.raises(ConnectionNotReady):
        world.connections.set_secret(
            SetSecret(id=accepted.id, field="password", value=SecretStr("x")), actor="ada"
        )
    world.connections.delete_secret(DeleteSecret(id=accepted.id, field="password"), actor="ada")
    assert shop.file.read_bytes() == before
    assert now(world, accepted).fields == FIELDS


def test_a_deleted_connection_leaves_the_file_and_a_forgotten_one_stays(world: World, shop: Project) -> None:
    """Deleting is for everybody, forgetting for oneself."""
    accepted = accept(world).connection
    world.workspaces.forget(DeleteConnection(id=accepted.id, revision=1), actor="ada")
    assert entry(world).state == "new"
    again = accept(world).connection
    world.connections.delete(DeleteConnection(id=again.id, revision=1), actor="ada")
    assert shop.blocks == {}
    assert world.connections.list().connections == []
    own = world.connection("own")
    with pytest.raises(ConnectionNotFound):
        world.workspaces.forget(DeleteConnection(id=own.id, revision=1), actor="ada")


def test_a_project_that_cannot_be_written_stays_as_it_is_and_so_does_the_vault(
    world: World, shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Creating, changing and deleting are undone as a whole."""
    accepted = accept(world).connection
    before = shop.file.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    for change in (
        lambda: create(world),
        lambda: world.connections.update(
            UpdateConnection(id=accepted.id, revision=1, name="store"), actor="ada"
        ),
        lambda: world.connections.delete(DeleteConnection(id=accepted.id, revision=1), actor="ada"),
    ):
        with pytest.raises(WorkspaceReadOnly):
            change()
    monkeypatch.undo()
    assert shop.file.read_bytes() == before
    assert [one.connection for one in world.connections.list().connections] == [accepted]
