"""A world with a project, and what a person does with its connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import (
    Connection,
    ConnectionRef,
    ConnectionView,
)
from connvault_jupyter.contracts.workspaces import AcceptBlock, ListWorkspaces, Workspace, WorkspaceEntry
from connvault_jupyter.errors import (
    ConnvaultError,
)
from tests.support.canary import CANARY
from tests.support.services.projects import Project
from tests.support.services.service_world import World, notebook, unasked

SHOP = notebook("shop/reports/a.ipynb")


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "home" / "shop" / "reports").mkdir(parents=True)
    return World(root=str(tmp_path / "home"))


@pytest.fixture
def shop(world: World) -> Project:
    """A project with one connection."""
    project = Project(Path(world.runs.root) / "shop")
    project.put()
    return project


def workspace(world: World, path: str = "shop/reports/a.ipynb") -> Workspace:
    return world.workspaces.list(ListWorkspaces(paths=[path])).workspaces[0]


def entry(world: World, identity: str = "Zt3h") -> WorkspaceEntry:
    return next(one for one in workspace(world).entries if one.id == identity)


def accept(
    world: World, identity: str = "Zt3h", *, password: str | None = CANARY, **changes: Any
) -> ConnectionView:
    """A person accepts what is shown now."""
    found = workspace(world)
    shown = next(one for one in found.entries if one.id == identity)
    body = {
        "workspace": {"root": found.root, "id": identity},
        "digest": shown.digest,
        "secrets": {} if password is None else {"password": {"value": password}},
        **changes,
    }
    return world.workspaces.accept(AcceptBlock.model_validate(body), actor="ada")


def now(world: World, connection: Connection) -> Connection:
    return world.connections.get(ConnectionRef(id=connection.id)).connection


def refused(world: World, name: str = "warehouse") -> ConnvaultError:
    """Why code is refused, without anybody being asked."""
    with pytest.raises(ConnvaultError) as caught:
        world.request(SHOP, unasked, name)
    assert world.consent.questions().access_requests == []
    return caught.value
