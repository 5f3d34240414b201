"""Workspaces: what a project's file says beside what this person accepted of it. No secrets, no power of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .connections import Fields, SecretDraft, WorkspaceRef
from .contract import ConnectionName, Contract, FieldName, Id, ProviderId

Path = Annotated[str, StringConstraints(max_length=4096)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

BlockState = Literal["new", "accepted", "changed", "gone", "name_taken", "unknown_kind"]


class WorkspaceBlock(Contract):
    """A connection as a project commits it."""

    name: ConnectionName
    display_name: Annotated[str, StringConstraints(max_length=100)] = ""
    provider_id: ProviderId
    fields: Fields = {}


class WorkspaceEntry(Contract):
    """One block, with what was accepted of it.

    `block` `None`: it is gone from the file. `accepted` and `connection_id` `None`: nobody has accepted it. `digest`
    covers both; an acceptance must carry it. `destination_changed`: the accepted copy's secrets may not be sent to
    where the block leads, so accepting it removes them.
    `name_taken`: a connection of the person's own, or another accepted one of this project, has the name.
    """

    id: Id
    state: BlockState
    block: WorkspaceBlock | None
    accepted: WorkspaceBlock | None
    connection_id: Id | None
    provider_name: str
    destination: str
    accepted_destination: str
    destination_changed: bool
    secrets_missing: list[FieldName]
    digest: Digest


class Workspace(Contract):
    """A project's folder. `file`: its file, for people. `problem`: why the file can't be used, and what to do."""

    root: Path
    file: Path
    problem: str = ""
    entries: list[WorkspaceEntry]


class ListWorkspaces(Contract):
    """`paths`: open documents and folders, below the server's root."""

    paths: Annotated[list[Path], Field(max_length=64)] = []


class WorkspaceList(Contract):
    """The projects of the given paths, and those of which something was accepted."""

    workspaces: list[Workspace]


class AcceptBlock(Contract):
    """A person accepts a block as it was shown, by its digest."""

    workspace: WorkspaceRef
    digest: Digest
    secrets: Annotated[dict[FieldName, SecretDraft], Field(max_length=16)] = {}
