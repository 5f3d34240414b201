"""What the services need of projects' files, as a Protocol, and the record that crosses it. No implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Protocol

from ..contracts.workspaces import WorkspaceBlock


@dataclass(frozen=True)
class WorkspaceFile:
    """A file that was read: its blocks by id, and the lines in which they begin. `digest`: SHA-256 of its text."""

    digest: bytes
    blocks: Mapping[str, WorkspaceBlock]
    lines: Mapping[str, int] = attribute(default_factory=dict)


class WorkspaceFiles(Protocol):
    """The files of the projects below the server's root. What they say counts for nothing until a person accepts it.

    A `root` is the absolute path of a project's folder, without symbolic links.
    """

    def nearest(self, folder: str) -> str | None:
        """The root of the nearest file at or above this folder, and not above the server's root; `None`: there is
        none, or the folder is not below the root. A file that can't be read counts: the next one is not the
        project's."""

    def folder(self, path: str) -> str | None:
        """The root that the folder at `path`, below the server's root, would be; `None`: it is no folder there."""

    def name(self, root: str) -> str:
        """The path of its file, for people."""

    def signature(self, root: str) -> object:
        """Another one when its file is another. Costs two looks at the folder; nothing is read."""

    def read(self, root: str) -> WorkspaceFile | None:
        """Equal (`is`) as long as the file is the same; `None`: there is none. Raises: WorkspaceFileInvalid."""

    def change(self, root: str, blocks: Mapping[str, WorkspaceBlock], *, expected: bytes | None) -> None:
        """Replaces the file as a whole: whoever reads it, and whoever comes after a crash, finds the old or the new.
        `expected`: the digest of what it replaces; `None`: there is no file.

        Raises: WorkspaceFileChanged: it is another one. WorkspaceFileInvalid: it would be too large.
            WorkspaceReadOnly, StorageFull, StorageBusy, StorageError.
        """
