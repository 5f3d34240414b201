"""Which connections a requester sees: the person's own, and those of its own project. Their names are unique, or it is
said where they clash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ...contracts.access import Requester
from ...contracts.connections import Connection
from ...contracts.workspaces import WorkspaceBlock
from ...errors import ConnectionNotFound, NameClash, WorkspaceFileInvalid, WorkspaceNotAccepted
from .documents import Documents
from .workspaces import Workspaces


@dataclass(frozen=True)
class Seen:
    """What a requester sees. `accepted`: copies of its project's blocks; `offered`: the blocks that nobody accepted.
    `problem`: why the project's file can't be used."""

    root: str | None
    own: Sequence[Connection]
    accepted: Sequence[Connection] = ()
    offered: Sequence[WorkspaceBlock] = ()
    renamed: Sequence[tuple[str, Connection]] = ()
    problem: str = ""

    @property
    def connections(self) -> list[Connection]:
        """By name."""
        return sorted([*self.own, *self.accepted], key=lambda one: one.name.lower())


class VisibleConnections:
    """All methods are called with the lock held."""

    def __init__(self, *, documents: Documents, workspaces: Workspaces) -> None:
        self._documents = documents
        self._workspaces = workspaces

    def named(self, requester: Requester, name: str) -> Connection:
        """The connection that code means by this name; whether it may be used is not judged.

        Raises: ConnectionNotFound: suggests a similar name, if there is one. NameClash, WorkspaceNotAccepted.
            WorkspaceFileInvalid: nothing that can be read has this name.
        """
        root = self._workspaces.root_of(requester)
        own = self._documents.by_name(name)
        if root is None and own is not None:
            return own
        seen = self._seen(root)
        called = _called(seen, name)
        places = len({one.place for one in called})
        offered = [block for block in seen.offered if block.name.lower() == name.lower()]
        if root is not None and (places > 1 or (called and not called[0].place and offered)):
            raise NameClash(
                f"Two connections have this name: one of your own, and one of the project, in "
                f"{self._workspaces.name(root)}. Rename one of them."
            )
        for one in called:
            if one.name == name:
                return one
        for new_name, one in seen.renamed:
            if new_name == name:
                return one
        if any(block.name == name for block in offered):
            raise WorkspaceNotAccepted
        if seen.problem:
            raise WorkspaceFileInvalid(seen.problem)
        names = {one.lower(): one for one in _names(seen)}
        similar = get_close_matches(name.lower(), names, n=1)
        raise ConnectionNotFound(**({"suggestion": names[similar[0]]} if similar else {}))

    def every(self, requester: Requester, name: str) -> Sequence[Connection]:
        """All that this name could mean, for what must work even where names clash."""
        seen = self._seen(self._workspaces.root_of(requester))
        return [one for one in _called(seen, name) if one.name == name]

    def of(self, requester: Requester) -> Seen:
        """Everything that it sees."""
        return self._seen(self._workspaces.root_of(requester))

    def _seen(self, root: str | None) -> Seen:
        every = self._documents.all()
        own = [one for one in every if not one.place]
        if root is None:
            return Seen(root, own)
        accepted = {one.workspace.id: one for one in every if one.workspace and one.workspace.root == root}
        try:
            file = self._workspaces.file(root)
        except WorkspaceFileInvalid as exc:
            return Seen(root, own, [*accepted.values()], problem=exc.message)
        blocks = {} if file is None else file.blocks
        return Seen(
            root,
            own,
            [*accepted.values()],
            [block for identity, block in blocks.items() if identity not in accepted],
            [(block.name, accepted[identity]) for identity, block in blocks.items() if identity in accepted],
        )


def _called(seen: Seen, name: str) -> list[Connection]:
    """Of this name without regard to case: people can't tell them apart. Those that the file calls so now, too."""
    lower = name.lower()
    found = [one for one in seen.connections if one.name.lower() == lower]
    return found + [one for new, one in seen.renamed if new.lower() == lower and one not in found]


def _names(seen: Seen) -> list[str]:
    return [*(one.name for one in seen.connections), *(block.name for block in seen.offered)]
