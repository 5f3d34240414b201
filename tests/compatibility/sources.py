"""The tests of a package: from its source distribution, or from its repository where that holds none."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path


class Unavailable(Exception):
    """The tests could not be had."""


@dataclass(frozen=True)
class Source:
    """`repository` and `tag` are given where the source distribution has no tests."""

    distribution: str
    version: str
    repository: str = ""
    tag: str = ""
    left_out: tuple[str, ...] = ()
    """Folders that would be imported in the place of the installed package, and are not compiled."""

    @property
    def origin(self) -> str:
        return f"tag `{self.tag}` of the repository" if self.repository else "source distribution"

    def unpacked(self, folder: Path) -> Path:
        """Below `folder`, fetched once. Raises: Unavailable."""
        target = folder / f"{self.distribution}-{self.version}"
        if not target.exists():
            fetched = folder / f"{target.name}.part"
            shutil.rmtree(fetched, ignore_errors=True)
            fetched.mkdir(parents=True)
            (self._clone if self.repository else self._download)(fetched)
            # An sdist has one folder, named as its builder liked.
            (only,) = (path for path in fetched.iterdir() if path.is_dir())
            for name in self.left_out:
                shutil.rmtree(only / name)
            only.rename(target)
            shutil.rmtree(fetched)
        return target

    def _download(self, folder: Path) -> None:
        # Not `:all:`, which builds the tools that it is built with from source too.
        source_only = ["--no-deps", "--no-binary", self.distribution]
        _run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                *source_only,
                f"{self.distribution}=={self.version}",
            ],
            folder,
        )
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")

    def _clone(self, folder: Path) -> None:
        _run(["git", "clone", "-q", "--depth=1", "--branch", self.tag, self.repository, "tests"], folder)


def _run(argv: list[str], folder: Path) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(argv[:4])} ...: {done.stderr.strip()[-400:]}")
