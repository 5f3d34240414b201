"""What projects' files say, beside the copies that a person accepted. Nobody is asked here, and nothing is changed.

A block of a file has no power. What a person accepted is a connection in their own store, with a MAC like every other;
it is used only as long as the file still says the same, letter by letter. Who changes the file can so take a connection
away, as by any other change of a project, and lead nobody anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

from ...contracts.access import Requester
from ...contracts.connections import Connection, StatusReason, WorkspaceRef
from ...contracts.secret_words import secret_values
from ...contracts.workspaces import WorkspaceBlock
from ...errors import (
    ConnectionNotReady,
    ConnvaultError,
    InvalidFields,
    NameTaken,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
)
from ..canonical import canonical, canonical_contract
from ..ports import ProviderRegistry, RunningRequesters
from ..workspace_ports import WorkspaceFile, WorkspaceFiles

_DOMAIN = b"connvault-workspace-entry-1\0"

OF_THE_FILE: frozenset[StatusReason] = frozenset(
    {"workspace_changed", "workspace_gone", "workspace_unreadable"}
)
"""Why an accepted copy is not used, whatever its own state is. Never stored."""


class Workspaces:
    """All methods are called with the lock held."""

    def __init__(
        self, *, files: WorkspaceFiles, registry: ProviderRegistry, running: RunningRequesters
    ) -> None:
        self._files = files
        self._registry = registry
        self._running = running
        self._checked: dict[str, WorkspaceFile] = {}
        self._compared: dict[str, tuple[Connection, WorkspaceBlock, bool]] = {}
        self._seen: dict[str, object] = {}

    def root_of(self, requester: Requester) -> str | None:
        """The project of its notebook or script; `None`: it has none."""
        folder = self._running.folder_of(requester)
        return None if folder is None else self._files.nearest(folder)

    def root_at(self, path: str) -> str | None:
        """The project at or above a document or folder below the server's root."""
        folder = self._files.folder(path) or self._files.folder(path.rpartition("/")[0])
        return None if folder is None else self._files.nearest(folder)

    def new_root(self, path: str) -> str | None:
        """The project that has, or will have, its file in this folder below the server's root; `None`: it is none."""
        return self._files.folder(path)

    def is_root(self, root: str) -> bool:
        """Whether this is the root of a project below the server's, spelt as it always is."""
        return self._files.nearest(root) == root

    def name(self, root: str) -> str:
        """The path of its file, for people."""
        return self._files.name(root)

    def file(self, root: str) -> WorkspaceFile | None:
        """`None`: there is none. Raises: WorkspaceFileInvalid: also if it has a secret in it."""
        found = self._files.read(root)
        if found is not None and self._checked.get(root) is not found:
            self._refuse_secrets(root, found)
            self._checked[root] = found
        return found

    def problem(self, root: str) -> str:
        """Why its file can't be used; empty: it can."""
        try:
            self.file(root)
        except WorkspaceFileInvalid as exc:
            return exc.message
        return ""

    def difference(self, connection: Connection) -> StatusReason | None:
        """Why an accepted copy may not be used; `None`: the file says what was accepted, or it is of no project."""
        if connection.scope == "user" and connection.workspace is None:
            return None
        ref = connection.workspace
        if ref is None:
            # No such document is ever made.
            return "workspace_gone"
        if ref.root not in self._seen:
            self._seen[ref.root] = self._files.signature(ref.root)
        try:
            block = self._block(ref)
        except WorkspaceFileInvalid:
            return "workspace_unreadable"
        if block is None:
            return "workspace_gone"
        of, by, same = self._compared.get(connection.id, (None, None, False))
        if of is not connection or by is not block:
            same = says(block, connection)
            self._compared[connection.id] = connection, block, same
        return None if same else "workspace_changed"

    def content(self, connection: Connection) -> bytes:
        """Other when the file says something else of an accepted copy. Not to be stored."""
        ref, block, problem = connection.workspace, None, ""
        try:
            block = self._block(ref)
        except WorkspaceFileInvalid as exc:
            problem = exc.message
        said = problem.encode() if block is None else canonical_contract(block)
        return hashlib.sha256(said).digest()

    def differing(self, connection: Connection) -> Sequence[str]:
        """The names of what the file says otherwise than was accepted; what leads elsewhere first. Empty if it says
        nothing of it. Names that the connection's kind does not have are the file's, so they are not told: `fields`."""
        try:
            block = self._block(connection.workspace)
        except WorkspaceFileInvalid:
            block = None
        if block is None:
            return []
        now, before = _values(block), _values(block_of(connection))
        provider = self._registry.get(connection.provider_id)
        known: Collection[str] = () if provider is None else provider.field_schemas.keys()
        places = frozenset() if provider is None else provider.destination_fields
        names = {
            (name if field is None else field if field in known else "fields"): field in places
            for name, field in sorted(now.keys() | before.keys(), key=str)
            if now.get((name, field)) != before.get((name, field))
        }
        return sorted(names, key=lambda one: (one != "provider_id", not names[one], one))

    def refusal(self, connection: Connection) -> ConnvaultError:
        """What to tell code that asks for an accepted copy that is not used."""
        ref, reason = connection.workspace, connection.status_reason
        file = "" if ref is None else self.name(ref.root)
        problem = "" if ref is None else self.problem(ref.root)
        if reason == "workspace_unreadable" and problem:
            return WorkspaceFileInvalid(problem)
        if reason == "workspace_gone":
            return ConnectionNotReady(
                f"The project no longer has this connection in {file}. Restore it there, or delete it in the "
                "Connections panel.",
                reason=reason,
            )
        return ConnectionNotReady(
            f"The project has changed this connection in {file} since you accepted it. It is not used until "
            "you review the change in the Connections panel.",
            reason=reason,
        )

    def news(self) -> bool:
        """Whether a file of an accepted copy is another one than at the last call."""
        now = {root: self._files.signature(root) for root in self._seen}
        before, self._seen = self._seen, now
        return before != now

    def change(
        self, root: str, edit: Callable[[dict[str, WorkspaceBlock]], Mapping[str, WorkspaceBlock]]
    ) -> None:
        """Replaces what the file says: `edit` gets its present blocks, and returns all that are to be in it.

        Raises: NameTaken: another block has the name. InvalidFields: one has a secret in it. WorkspaceFileInvalid,
            WorkspaceFileChanged, WorkspaceReadOnly, StorageFull, StorageBusy, StorageError.
        """
        found = self.file(root)
        blocks = edit({} if found is None else dict(found.blocks))
        if len({block.name.lower() for block in blocks.values()}) != len(blocks):
            raise NameTaken(f"Another connection in {self.name(root)} has this name. Choose another one.")
        if any(self._has_secret(block) for block in blocks.values()):
            raise InvalidFields(
                "A field has a secret in it, which everybody who has the project could read. Enter it as a secret.",
                errors=[{"path": "fields", "message": "has a secret in it"}],
            )
        self._files.change(root, blocks, expected=None if found is None else found.digest)

    def replace(self, before: Connection, after: Connection) -> None:
        """Writes a changed copy into the file, if the file says any of it.

        Raises: as `change`. WorkspaceFileChanged: the block is not `before`."""

        def edit(blocks: dict[str, WorkspaceBlock]) -> Mapping[str, WorkspaceBlock]:
            identity = self._same_in(blocks, before).id
            return {**blocks, identity: block_of(after)}

        if not says(block_of(before), after):
            self.change(before.place, edit)

    def remove(self, connection: Connection) -> None:
        """Takes the block of a copy out of the file. Raises: as `replace`."""

        def edit(blocks: dict[str, WorkspaceBlock]) -> Mapping[str, WorkspaceBlock]:
            identity = self._same_in(blocks, connection).id
            return {one: block for one, block in blocks.items() if one != identity}

        self.change(connection.place, edit)

    def forget(self, connection_id: str) -> None:
        """The copy is deleted."""
        self._compared.pop(connection_id, None)

    def _block(self, ref: WorkspaceRef | None) -> WorkspaceBlock | None:
        found = None if ref is None else self.file(ref.root)
        return None if found is None or ref is None else found.blocks.get(ref.id)

    def _same_in(self, blocks: Mapping[str, WorkspaceBlock], connection: Connection) -> WorkspaceRef:
        ref = connection.workspace
        block = None if ref is None else blocks.get(ref.id)
        if ref is None or block is None or not says(block, connection):
            raise WorkspaceFileChanged
        return ref

    def _refuse_secrets(self, root: str, found: WorkspaceFile) -> None:
        for identity, block in found.blocks.items():
            if self._has_secret(block):
                line = found.lines.get(identity)
                where = "" if line is None else f" in the connection at line {line}"
                raise WorkspaceFileInvalid(
                    f"{self.name(root)} has a secret{where}. Delete it there, and change it at the service: "
                    "everybody who has the project could read it."
                )

    def _has_secret(self, block: WorkspaceBlock) -> bool:
        provider = self._registry.get(block.provider_id)
        # Of a kind that is not installed, nobody can tell which fields are secrets: only values are judged.
        plain = block.fields.keys() if provider is None else provider.field_schemas.keys()
        secret = frozenset() if provider is None else provider.secret_fields
        return bool(secret_values(block.fields, secret_fields=secret, plain_fields=plain - secret))


def block_of(connection: Connection) -> WorkspaceBlock:
    """What a project's file says of such a connection."""
    return WorkspaceBlock(
        name=connection.name,
        display_name=connection.display_name,
        provider_id=connection.provider_id,
        fields=connection.fields,
    )


def says(block: WorkspaceBlock, connection: Connection) -> bool:
    """Whether a block says what was accepted, letter by letter."""
    # As bytes: for Python, 1 and True are equal.
    return canonical_contract(block) == canonical_contract(block_of(connection))


def _values(block: WorkspaceBlock) -> dict[tuple[str, str | None], bytes]:
    """Letter by letter, as `says` compares."""
    values: dict[tuple[str, str | None], object] = {
        ("fields", name): one for name, one in block.fields.items()
    }
    values |= {(name, None): one for name, one in block.__dict__.items() if name != "fields"}
    return {where: canonical({"": [value]}) for where, value in values.items()}


def digest_of(ref: WorkspaceRef, block: WorkspaceBlock | None, accepted: Connection | None) -> str:
    """Covers what a person is shown of a block: what it says, and what was accepted of it, in which revision."""
    shown = {
        "root": ref.root,
        "id": ref.id,
        "block": block,
        "accepted": None if accepted is None else block_of(accepted),
        "connection": None if accepted is None else [accepted.id, accepted.revision],
    }
    return hashlib.sha256(_DOMAIN + canonical(shown)).hexdigest()
