"""WorkspacesService: what projects offer, and how a person accepts it. What is accepted is a connection of theirs.

A block is accepted as it was shown, by its digest: a file that is replaced between the look and the yes is shown again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ...contracts.connections import (
    Connection,
    ConnectionView,
    CreateConnection,
    DeleteConnection,
    SecretDraft,
    WorkspaceRef,
)
from ...contracts.workspaces import (
    AcceptBlock,
    BlockState,
    ListWorkspaces,
    Workspace,
    WorkspaceBlock,
    WorkspaceEntry,
    WorkspaceList,
)
from ...errors import (
    ConnectionNotFound,
    InvalidFields,
    NameTaken,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
)
from ..context import Context
from ..identifiers import new_id
from .changes import ConnectionChanges, NewConnection
from .directory import Directory
from .workspaces import block_of, digest_of, says

_ByName: TypeAlias = Mapping[str, Sequence[Connection]]
"""Without regard to case."""


class WorkspacesService:
    """All methods are called with the lock held."""

    def __init__(self, *, context: Context, directory: Directory, changes: ConnectionChanges) -> None:
        self._documents = directory.documents
        self._workspaces = directory.workspaces
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._changes = changes
        self._transactions = context.transactions
        self._clock = context.clock
        self._randomness = context.randomness

    def list(self, request: ListWorkspaces) -> WorkspaceList:
        """The projects of these paths, then those of which something was accepted."""
        every = self._documents.all()
        roots = dict.fromkeys(
            root for path in request.paths if (root := self._workspaces.root_at(path)) is not None
        )
        roots |= dict.fromkeys(one.place for one in every if one.place)
        by_name = _by_name(every)
        return WorkspaceList(workspaces=[self._workspace(root, every, by_name) for root in roots])

    def accept(self, request: AcceptBlock, *, actor: str) -> ConnectionView:
        """Makes the accepted copy what the block says. Another destination than the accepted one removes the secrets,
        and a change of anything that a dialog shows voids the grants.

        Raises: WorkspaceFileChanged: it is not what was shown. WorkspaceFileInvalid, ProviderNotFound, InvalidFields,
            NameTaken, RevisionConflict, AuthenticationOff, VaultLocked, VaultNotSetUp, StorageError.
        """
        ref = request.workspace
        every = self._documents.all()
        old = next((one for one in every if one.workspace == ref), None)
        if old is None and not self._workspaces.is_root(ref.root):
            # Of another server's project, or above ours: nobody was shown it here.
            raise WorkspaceFileChanged
        file = self._workspaces.file(ref.root)
        block = None if file is None else file.blocks.get(ref.id)
        if block is None or digest_of(ref, block, old) != request.digest:
            raise WorkspaceFileChanged
        self._refuse_clash(block, ref, every)
        provider = self._changes.provider(block.provider_id)
        # Its fields are checked even where they are what was accepted: they are the file's.
        self._changes.check(provider, block.fields, request.secrets)
        if old is not None and old.provider_id == block.provider_id:
            return self._accept_change(old, block, request.secrets, actor)
        with self._transactions.transaction():
            if old is not None:
                # Nothing of one kind is true of another.
                self._changes.delete(old, old.revision, actor)
            asked = NewConnection(
                provider=provider,
                name=block.name,
                display_name=block.display_name,
                fields=block.fields,
                reveal_allowed=None,
                secrets=request.secrets,
                workspace=ref,
            )
            connection = self._changes.add(asked, actor, code="workspace")
        if old is not None:
            self._changes.gone(old)
        return self._changes.changed(connection)

    def create(self, request: CreateConnection, *, actor: str) -> ConnectionView:
        """Writes a new connection into a project's file, and accepts it.

        Raises: see `ConnectionsService.create`."""
        root = self._workspaces.new_root(request.workspace or "")
        if root is None:
            raise InvalidFields(
                "The project's folder does not exist below the server's root.",
                errors=[{"path": "workspace", "message": "is no folder below the server's root"}],
            )
        ref = WorkspaceRef(root=root, id=new_id(self._randomness))
        asked = NewConnection.of(request, self._changes.provider(request.provider_id), workspace=ref)
        self._changes.check(asked.provider, asked.fields, asked.secrets)
        with self._transactions.transaction():
            connection = self._changes.add(asked, actor)
            block = block_of(connection)
            self._refuse_clash(block, ref, self._documents.all())
            # Last: what fails before it leaves the project as it is, and what fails after it leaves a block that nobody
            # has accepted.
            self._workspaces.change(root, lambda blocks: {**blocks, ref.id: block})
        return self._changes.changed(connection)

    def forget(self, request: DeleteConnection, *, actor: str) -> None:
        """Deletes the accepted copy of a project's connection, and leaves the project as it is.

        Raises: ConnectionNotFound: also if it is of no project. RevisionConflict, StorageError."""
        connection = self._changes.existing(request.id)
        if connection.workspace is None:
            raise ConnectionNotFound
        with self._transactions.transaction():
            self._changes.delete(connection, request.revision, actor)
        self._changes.gone(connection)

    def _accept_change(
        self, old: Connection, block: WorkspaceBlock, secrets: Mapping[str, SecretDraft], actor: str
    ) -> ConnectionView:
        edited = old.model_copy(
            update={
                "name": block.name,
                "display_name": block.display_name,
                "fields": block.fields,
                "revision": old.revision + 1,
                "updated_at": self._clock(),
            }
        )
        connection, ended = self._changes.replace(old, edited, secrets, actor, code="workspace_changed")
        return self._changes.replaced(connection, ended=ended)

    def _refuse_clash(self, block: WorkspaceBlock, ref: WorkspaceRef, every: Sequence[Connection]) -> None:
        taken = _taken(block, ref, _by_name(every))
        if taken is None:
            return
        where = f"in {self._workspaces.name(ref.root)}" if taken.place else "of your own"
        raise NameTaken(
            f"A connection {where} that you have already has this name. A notebook of the project could not "
            "tell them apart: rename or delete that one first."
        )

    def _workspace(self, root: str, every: Sequence[Connection], by_name: _ByName) -> Workspace:
        accepted = {one.workspace.id: one for one in every if one.workspace and one.workspace.root == root}
        blocks: Mapping[str, WorkspaceBlock] = {}
        problem = ""
        try:
            file = self._workspaces.file(root)
            blocks = {} if file is None else file.blocks
        except WorkspaceFileInvalid as exc:
            problem = exc.message
        ids = sorted({*blocks, *accepted}, key=lambda one: _name(blocks.get(one), accepted.get(one)))
        return Workspace(
            root=root,
            file=self._workspaces.name(root),
            problem=problem,
            # Of a file that can't be read, nobody can say what is gone from it.
            entries=[]
            if problem
            else [
                self._entry(WorkspaceRef(root=root, id=one), blocks.get(one), accepted.get(one), by_name)
                for one in ids
            ],
        )

    def _entry(
        self,
        ref: WorkspaceRef,
        block: WorkspaceBlock | None,
        accepted: Connection | None,
        by_name: _ByName,
    ) -> WorkspaceEntry:
        if accepted is not None:
            # Accepting is a yes to all that is shown of it.
            self._documents.show(accepted)
        shown = block or (None if accepted is None else block_of(accepted))
        provider = None if shown is None else self._registry.get(shown.provider_id)
        now, before = self._digest(block), self._digest(None if accepted is None else block_of(accepted))
        return WorkspaceEntry(
            id=ref.id,
            state=self._state(ref, block, accepted, by_name),
            block=block,
            accepted=None if accepted is None else block_of(accepted),
            connection_id=None if accepted is None else accepted.id,
            provider_name="" if provider is None else provider.name,
            destination=self._line(block),
            accepted_destination=self._line(None if accepted is None else block_of(accepted)),
            destination_changed=block is not None and accepted is not None and now != before,
            secrets_missing=[]
            if provider is None or block is None
            else sorted(self._registry.missing_secrets(provider, block.fields, frozenset())),
            digest=digest_of(ref, block, accepted),
        )

    def _state(
        self,
        ref: WorkspaceRef,
        block: WorkspaceBlock | None,
        accepted: Connection | None,
        by_name: _ByName,
    ) -> BlockState:
        if block is None:
            return "gone"
        if accepted is not None and says(block, accepted):
            return "accepted"
        if self._registry.get(block.provider_id) is None:
            return "unknown_kind"
        if _taken(block, ref, by_name) is not None:
            return "name_taken"
        return "new" if accepted is None else "changed"

    def _line(self, block: WorkspaceBlock | None) -> str:
        provider = None if block is None else self._registry.get(block.provider_id)
        return "" if block is None or provider is None else self._registry.destination(provider, block.fields)

    def _digest(self, block: WorkspaceBlock | None) -> tuple[str, str] | None:
        """Where secrets may be sent."""
        provider = None if block is None else self._registry.get(block.provider_id)
        if block is None or provider is None:
            return None
        return block.provider_id, self._destinations.would_be(provider, block.fields).digest


def _by_name(every: Sequence[Connection]) -> _ByName:
    found: dict[str, list[Connection]] = {}
    for one in every:
        found.setdefault(one.name.lower(), []).append(one)
    return found


def _taken(block: WorkspaceBlock, ref: WorkspaceRef, by_name: _ByName) -> Connection | None:
    """Another connection with the block's name that a notebook of the project sees."""
    same = by_name.get(block.name.lower(), ())
    return next((one for one in same if one.place in ("", ref.root) and one.workspace != ref), None)


def _name(block: WorkspaceBlock | None, accepted: Connection | None) -> str:
    return block.name.lower() if block is not None else "" if accepted is None else accepted.name.lower()
