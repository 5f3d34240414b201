"""Runs a script for each library below a kernel, through a handle of a connection to a real server or a stand-in."""

from __future__ import annotations

import ast
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environments import ready, versions
from .kernels import Kernel
from .places import Places
from .stand_ins import STAND_INS

_HERE = Path(__file__).parent
_DEADLINE_S = 90.0
_TOLD = 400


@dataclass(frozen=True)
class Library:
    """`fails`: why it is known not to work. `needs`: what it takes besides, in a few words."""

    name: str
    environment: str
    requirements: tuple[str, ...]
    distribution: str
    connection: str
    needs: str = ""
    fails: str = ""

    @property
    def script(self) -> Path:
        return _HERE / "libraries" / f"use_{self.name}.py"

    @property
    def does(self) -> str:
        return (ast.get_docstring(ast.parse(self.script.read_text())) or "").replace("\n", " ")


def libraries(file: Path = _HERE / "libraries.json") -> Iterator[Library]:
    """By their environment: those of one agree with each other about versions."""
    for environment, group in json.loads(file.read_text()).items():
        for name, about in group["libraries"].items():
            yield Library(name, environment, tuple(group["requirements"]), **about)


def tried(library: Library, kernel: Kernel, places: Places, folder: Path) -> dict[str, Any]:
    """A row of the results. `folder` keeps environments and logs. Raises: EnvironmentFailed."""
    python = ready(folder / "environments" / library.environment, library.requirements)
    place = places.ready(library.connection)
    log = folder / "libraries" / f"{library.name}.log"
    log.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cv-") as cwd:
        status = kernel.run(
            [str(python), str(library.script)],
            environment=place.variables,
            cwd=Path(cwd),
            log=log,
            deadline_s=_DEADLINE_S,
        )
    lines = log.read_text(errors="replace").strip().splitlines()
    return {
        "distribution": library.distribution,
        "version": versions(python).get(library.distribution.lower().replace("_", "-"), "?"),
        "kind": place.kind,
        "real": library.connection not in STAND_INS,
        "does": library.does,
        "works": status == 0,
        "needs": library.needs,
        "fails": library.fails,
        "told": "" if status == 0 else (lines[-1][:_TOLD] if lines else f"status {status}"),
    }
